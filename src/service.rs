//! The generated trait: check, ask, answer.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::{
    call::Call,
    codec::EncodedList,
    credentials::Credentials,
    error::Error,
    pb::{ListJwksRequest, jwk_service_server::JwkService},
    upstream::{Answer, Upstream},
};

/// `apinizer.apiops.v1.JwkService` in front of an upstream.
#[derive(Debug)]
pub struct Gateway {
    upstream: Upstream,
    credentials: Credentials,
}

impl Gateway {
    /// Answers from this upstream, with these credentials.
    pub fn new(upstream: Upstream, credentials: Credentials) -> Self {
        Self { upstream, credentials }
    }

    async fn answer(&self, call: &Call, request: Request<ListJwksRequest>) -> Result<Answer, Arc<Error>> {
        let token = self.credentials.for_call(call.token()).map_err(Error::from);
        let project = call.ask_for(request.into_inner().project);
        self.upstream.list_jwks(project?, token?, call.deadline()).await
    }
}

#[tonic::async_trait]
impl JwkService for Gateway {
    async fn list_jwks(&self, request: Request<ListJwksRequest>) -> Result<Response<EncodedList>, Status> {
        let call = request.extensions().get::<Call>().cloned().ok_or_else(|| Status::internal("no call"))?;
        let Answer { list, memory } = self.answer(&call, request).await.map_err(|error| call.refuse(&error))?;
        let mut response = Response::new(list);
        // Counted until the caller has taken the answer, see src/connections.rs.
        response.extensions_mut().insert(memory);
        Ok(response)
    }
}
