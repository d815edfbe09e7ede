//! The REST side: the only place that sends HTTP.

mod base_url;
mod body;
mod client;
mod limits;
mod resolver;
mod retry;
mod retry_after;

use std::time::{Duration, SystemTime};

use http::header::AUTHORIZATION;
use reqwest::Url;
use tokio::time::{Instant, sleep, timeout_at};

pub(crate) use self::limits::MemoryBudget;
pub use self::{
    base_url::{BaseUrl, BaseUrlFault},
    limits::Reservation,
    resolver::Resolver,
};
use self::{body::Body, client::ClientSource, limits::Admission, retry::RetryBudget};
use crate::{
    answer,
    codec::EncodedList,
    config::Config,
    credentials::BearerToken,
    error::{Error, Failure},
    project::ProjectName,
    reload::Reloaded,
};

/// The bodies of all calls together may take so many times the largest one.
const BODIES_AT_ONCE: usize = 8;

/// The Manager behind the gateway.
#[derive(Debug)]
pub struct Upstream {
    http: Reloaded<reqwest::Client>,
    base: BaseUrl,
    timeout: Duration,
    max_response_bytes: usize,
    admission: Admission,
    memory: MemoryBudget,
    retry_budget: RetryBudget,
}

/// A list, and the memory that is reserved for it until it is dropped.
#[derive(Debug)]
pub struct Answer {
    /// The list.
    pub list: EncodedList,
    /// The length of the body that it came in, which is never less than its own.
    pub memory: Reservation,
}

impl Upstream {
    /// Prepares connections to the Manager; none is opened yet.
    ///
    /// # Errors
    /// Where TLS cannot be set up: the CA file cannot be used, or the platform has no root certificates.
    pub async fn new(config: &Config) -> Result<Self, String> {
        let http = {
            let (source, config) = (ClientSource::new(config), config.clone());
            Reloaded::new("upstream client", source, move |(ca, _)| client::new(&config, &ca.concat())).await?
        };
        Ok(Self {
            http,
            base: config.upstream.clone(),
            timeout: config.upstream_timeout,
            max_response_bytes: config.max_response_bytes,
            admission: Admission::new(config.max_in_flight, config.max_queued),
            memory: MemoryBudget::new(config.max_response_bytes.saturating_mul(BODIES_AT_ONCE)),
            retry_budget: RetryBudget::new(),
        })
    }

    /// Fetches the JWKs of a project: when it is this call's turn, within the upstream timeout and the caller's
    /// deadline, in several attempts if the upstream fails in passing.
    ///
    /// Dropping the future ends the request and its connection.
    ///
    /// # Errors
    /// Everything that is not a 200 with a list, see [`Failure`].
    pub async fn list_jwks(
        &self,
        project: &ProjectName,
        token: &BearerToken,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let url = self.base.list_jwks(project)?;
        let timeout = Instant::now() + self.timeout;
        let end = deadline.map_or(timeout, |deadline| deadline.min(timeout));
        let _admitted = timeout_at(timeout, self.admission.admit())
            .await
            .unwrap_or(Err(Failure::Timeout))
            .map_err(|failure| failure.at(None))?;
        let mut retries = self.retry_budget.for_call();
        loop {
            let error = match self.attempt(url.clone(), token, timeout).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(wait) = retries.wait_after(&error, end) else { return Err(error) };
            tracing::debug!(?wait, causes = error.causes(), "upstream failed, trying again");
            sleep(wait).await;
        }
    }

    /// One GET.
    async fn attempt(&self, url: Url, token: &BearerToken, timeout: Instant) -> Result<Answer, Error> {
        let request = self.http.get().get(url).header(AUTHORIZATION, token.header_value().clone()).send();
        let response = timeout_at(timeout, request)
            .await
            .map_err(|_| Failure::Timeout.at(None))?
            .map_err(|error| unreachable(error).at(None))?;

        read(response, self.max_response_bytes, &self.memory, timeout).await
    }
}

/// Reads the body of an answer within the limits of time and size, and judges the whole.
pub(crate) async fn read(
    response: reqwest::Response,
    limit: usize,
    memory: &MemoryBudget,
    timeout: Instant,
) -> Result<Answer, Error> {
    let status = response.status();
    let retry_after = retry_after::from_headers(response.headers(), SystemTime::now());
    timeout_at(timeout, body::read(response, limit, memory))
        .await
        .unwrap_or(Err(Failure::Timeout))
        .and_then(|Body { bytes, memory }| {
            let list = answer::read(status, retry_after, &bytes).map(EncodedList)?;
            Ok(Answer { list, memory })
        })
        .map_err(|failure| failure.at(status))
}

/// What reqwest reports while a request is sent or a body read. The URL, which its message would show, is left out.
fn unreachable(error: reqwest::Error) -> Failure {
    Failure::Unreachable(error.without_url().into())
}
