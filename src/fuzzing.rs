//! What the fuzz targets of `fuzz/` reach into; compiled for them alone.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;
use tonic::Status;

use crate::{
    call::grpc_timeout,
    project::ProjectName,
    upstream::{self, BaseUrl, MemoryBudget},
};

/// What an answer of the upstream, of this many bytes at most, becomes: an encoded `ListJwksResponse` or a status.
pub async fn answer(response: http::Response<Vec<u8>>, limit: usize) -> Result<Vec<u8>, Status> {
    let end = Instant::now() + Duration::from_secs(60);
    let answer = upstream::read(response.into(), limit, &MemoryBudget::new(limit), end).await;
    answer.map(|answer| answer.list.0.to_vec()).map_err(|error| error.to_status(Some("project")))
}

/// The URL that a project's list is fetched from, if there is one.
pub fn list_url(base: &BaseUrl, project: &ProjectName) -> Option<String> {
    base.list_jwks(project).ok().map(String::from)
}

/// How long a caller waits who sends this `grpc-timeout`.
pub fn timeout(grpc_timeout_header: HeaderValue) -> Option<Duration> {
    let name = http::HeaderName::from_static("grpc-timeout");
    grpc_timeout(&HeaderMap::from_iter([(name, grpc_timeout_header)]))
}
