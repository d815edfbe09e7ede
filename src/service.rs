//! The generated trait: check, ask, answer.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::{
    call::Call,
    codec::EncodedList,
    credentials::BearerToken,
    error::Error,
    pb::{ListJwksRequest, jwk_service_server::JwkService},
    upstream::{Answer, Upstream},
};

/// `apinizer.apiops.v1.JwkService` in front of an upstream.
#[derive(Debug)]
pub struct Gateway {
    upstream: Upstream,
}

impl Gateway {
    /// Answers from this upstream.
    pub fn new(upstream: Upstream) -> Self {
        Self { upstream }
    }

    async fn answer(&self, call: &Call, request: Request<ListJwksRequest>) -> Result<Response<EncodedList>, Error> {
        let token = BearerToken::from_metadata(request.metadata().as_ref());
        let project = call.ask_for(request.into_inner().project);
        let Answer { list, memory } = self.upstream.list_jwks(&project?, &token?, call.deadline()).await?;
        let mut response = Response::new(list);
        // Counted until the caller has taken the answer, see src/connections.rs.
        response.extensions_mut().insert(Arc::new(memory));
        Ok(response)
    }
}

#[tonic::async_trait]
impl JwkService for Gateway {
    async fn list_jwks(&self, request: Request<ListJwksRequest>) -> Result<Response<EncodedList>, Status> {
        let call = request.extensions().get::<Call>().cloned().unwrap_or_default();
        self.answer(&call, request).await.map_err(|error| call.refuse(error))
    }
}
