//! One list, fetched: the right to run, the attempts, and what their answers mean.

use std::{iter, sync::Arc, time::SystemTime};

use http::header::AUTHORIZATION;
use reqwest::Url;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Answer, BaseUrl, Question,
    body::{self, Body},
    client::{self, ClientSource},
    coalesce::Until,
    limits::{Admission, MemoryBudget},
    retry::RetryBudget,
    retry_after,
};
use crate::{
    answer,
    codec::EncodedList,
    config::Config,
    credentials::BearerToken,
    error::{Error, Failure},
    reload::Reloaded,
    workers,
};

/// The bodies of all calls together may take so many times the largest one.
const BODIES_AT_ONCE: usize = 8;

/// Fetches lists, within all limits.
#[derive(Debug)]
pub(super) struct Fetch {
    /// A client for each worker, since a connection belongs to the runtime that opened it.
    http: Reloaded<Vec<reqwest::Client>>,
    base: BaseUrl,
    max_response_bytes: usize,
    admission: Admission,
    memory: MemoryBudget,
    retry_budget: RetryBudget,
    uses_own_token: bool,
}

impl Fetch {
    /// Prepares connections to the Manager; none is opened yet.
    ///
    /// # Errors
    /// Where TLS cannot be set up: the CA file cannot be used, or the platform has no root certificates.
    pub(super) async fn new(config: &Config) -> Result<Self, String> {
        let http = {
            let (source, config) = (ClientSource::new(config), config.clone());
            Reloaded::new("upstream client", source, move |(ca, _)| {
                iter::repeat_with(|| client::new(&config, &ca.concat())).take(workers::count()).collect()
            })
            .await?
        };
        Ok(Self {
            http,
            base: config.upstream.clone(),
            max_response_bytes: config.max_response_bytes,
            admission: Admission::new(config.max_in_flight, config.max_queued),
            memory: MemoryBudget::new(config.max_response_bytes.saturating_mul(BODIES_AT_ONCE)),
            retry_budget: RetryBudget::new(),
            uses_own_token: config.own_token.is_some(),
        })
    }

    /// Fetches a list when there is room, in several attempts if the upstream fails in passing.
    pub(super) async fn list(&self, question: &Question, until: Until) -> Result<Answer, Error> {
        let answer = self.list_with_retries(question, until).await;
        answer.map_err(|error| if self.uses_own_token { error.with_own_token() } else { error })
    }

    async fn list_with_retries(&self, question: &Question, until: Until) -> Result<Answer, Error> {
        let url = self.base.list_jwks(&question.project)?;
        let _admitted = timeout_at(until.timeout, self.admission.admit())
            .await
            .unwrap_or(Err(Failure::Timeout))
            .map_err(|failure| failure.at(None))?;
        let mut retries = self.retry_budget.for_call();
        loop {
            let error = match self.attempt(url.clone(), &question.token, until.timeout).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(wait) = retries.wait_after(&error, until.end) else { return Err(error) };
            tracing::debug!(?wait, causes = error.causes(), "upstream failed, trying again");
            sleep(wait).await;
        }
    }

    /// One GET.
    async fn attempt(&self, url: Url, token: &BearerToken, timeout: Instant) -> Result<Answer, Error> {
        let request =
            self.http.get()[workers::index()].get(url).header(AUTHORIZATION, token.header_value().clone()).send();
        let response = timeout_at(timeout, request)
            .await
            .map_err(|_| Failure::Timeout.at(None))?
            .map_err(|error| unreachable(error).at(None))?;
        read(response, self.max_response_bytes, &self.memory, timeout).await
    }

    /// A part in an answer that others have a part in as well. What each of them sends on its way takes memory of its own.
    pub(super) fn share(&self, answer: &Answer) -> Result<Answer, Failure> {
        let memory = self.memory.reserve(answer.list.0.len())?;
        Ok(Answer { list: answer.list.clone(), memory: Arc::new(memory) })
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
            let list = answer::read(status, retry_after, &bytes)?;
            Ok(Answer { list: EncodedList(list.into()), memory: Arc::new(memory) })
        })
        .map_err(|failure| failure.at(status))
}

/// What reqwest reports while a request is sent or a body read. The URL, which its message would show, is left out.
pub(super) fn unreachable(error: reqwest::Error) -> Failure {
    Failure::Unreachable(error.without_url().into())
}
