//! The REST side: the only place that sends HTTP.

mod base_url;
mod body;
mod client;
mod coalesce;
mod fetch;
mod limits;
mod resolver;
mod retry;
mod retry_after;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::{
    base_url::{BaseUrl, BaseUrlFault},
    limits::Reservation,
    resolver::Resolver,
};
use self::{
    coalesce::{Asked, Coalescer, Until},
    fetch::Fetch,
};
#[cfg(fuzzing)]
pub(crate) use self::{fetch::read, limits::MemoryBudget};
use crate::{
    codec::EncodedList,
    config::Config,
    credentials::BearerToken,
    error::{Error, Failure},
    project::ProjectName,
};

/// The Manager behind the gateway.
#[derive(Debug)]
pub struct Upstream {
    fetch: Arc<Fetch>,
    /// The calls that share answers, if any may.
    coalescer: Option<Coalescer<Arc<Question>, SharedResult>>,
    timeout: Duration,
}

/// What several callers can have a part in.
type SharedResult = Result<Answer, Arc<Error>>;

/// A project, and as whom it is asked for: the Manager's answer may depend on both.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Question {
    project: ProjectName,
    token: BearerToken,
}

/// A list, and the memory that is reserved for it until it is dropped.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The list.
    pub list: EncodedList,
    /// The length of the body that it came in, which is never less than its own; of a shared list, its own.
    pub memory: Arc<Reservation>,
}

impl Upstream {
    /// Prepares connections to the Manager; none is opened yet.
    ///
    /// # Errors
    /// Where TLS cannot be set up: the CA file cannot be used, or the platform has no root certificates.
    pub async fn new(config: &Config) -> Result<Self, String> {
        Ok(Self {
            fetch: Arc::new(Fetch::new(config).await?),
            coalescer: config.coalesce.then(Coalescer::new),
            timeout: config.upstream_timeout,
        })
    }

    /// Fetches the JWKs of a project: when it is this call's turn, within the upstream timeout and the caller's
    /// deadline, in several attempts if the upstream fails in passing, and together with others who ask the same.
    ///
    /// Dropping the future ends the request and its connection, if nobody else waits for it.
    ///
    /// # Errors
    /// Everything that is not a 200 with a list, see [`Failure`].
    pub async fn list_jwks(
        &self,
        project: ProjectName,
        token: BearerToken,
        deadline: Option<Instant>,
    ) -> Result<Answer, Arc<Error>> {
        let timeout = Instant::now() + self.timeout;
        let until = Until { timeout, end: deadline.map_or(timeout, |deadline| deadline.min(timeout)) };
        let question = Arc::new(Question { project, token });
        let Some(coalescer) = &self.coalescer else {
            return self.fetch.list(&question, until).await.map_err(Arc::new);
        };
        let (fetch, asked) = (self.fetch.clone(), question.clone());
        let fetching = move |until| async move { fetch.list(&asked, until).await.map_err(Arc::new) };
        match coalescer.ask(&question, until, fetching).await {
            Asked::Own(answer) => answer,
            Asked::Shared(answer) => self.fetch.share(&answer?).map_err(|failure| Arc::new(failure.at(None))),
            Asked::TimedOut => Err(Arc::new(Failure::Timeout.at(None))),
            Asked::Lost => Err(Arc::new(Error::Panic)),
        }
    }
}
