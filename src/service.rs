//! The generated trait: check, ask, answer.

use tonic::{Request, Response, Status};

use crate::{
    call::Call,
    credentials::BearerToken,
    error::Error,
    pb::{ListJwksRequest, ListJwksResponse, jwk_service_server::JwkService},
    upstream::Upstream,
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

    async fn answer(&self, call: &Call, request: Request<ListJwksRequest>) -> Result<ListJwksResponse, Error> {
        let token = BearerToken::from_metadata(request.metadata().as_ref());
        let project = call.ask_for(request.into_inner().project);
        self.upstream.list_jwks(&project?, &token?, call.deadline()).await
    }
}

#[tonic::async_trait]
impl JwkService for Gateway {
    async fn list_jwks(&self, request: Request<ListJwksRequest>) -> Result<Response<ListJwksResponse>, Status> {
        let call = request.extensions().get::<Call>().cloned().unwrap_or_default();
        self.answer(&call, request).await.map(Response::new).map_err(|error| call.refuse(error))
    }
}
