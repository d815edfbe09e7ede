//! Everything that can go wrong with a call, named by what happened and who spoke, and what the caller gets for it.

use std::{error::Error as StdError, fmt::Write as _, time::Duration};

use http::StatusCode;
use tonic::{Code, Status};

use crate::{
    credentials::CredentialsFault,
    details::{Details, upper_snake},
    project::ProjectFault,
    status::{Speaker, code_of_http_status},
    wire::{Malformed, error::ApinizerError},
};

/// `ErrorInfo.domain` of what the Manager said.
const MANAGER: &str = "apinizer.com";
/// `ErrorInfo.domain` of what the gateway inferred.
const GATEWAY: &str = "jwks-gateway";

/// How long callers are asked to stay away who found the gateway overloaded.
const OVERLOADED_DELAY: Duration = Duration::from_secs(1);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asks for a project that cannot be.
    #[error("the project name {0}")]
    ProjectInvalid(#[from] ProjectFault),
    /// The caller brings no usable token.
    #[error("{0}")]
    Credentials(#[from] CredentialsFault),
    /// The caller's `grpc-timeout` ran out.
    #[error("the caller's deadline passed before there was an answer")]
    DeadlineExceeded,
    /// The caller began a request and did not end it.
    #[error("the request did not arrive whole in time")]
    RequestTooSlow,
    /// The upstream gave no answer, or one that is none.
    #[error("{}", .failure.message(*.http_status))]
    Upstream {
        /// The status of the upstream's answer, if there was one.
        http_status: Option<StatusCode>,
        /// What was wrong with it.
        #[source]
        failure: Failure,
    },
    /// A defect of the gateway.
    #[error("the gateway failed to handle the call")]
    Panic,
}

/// What was wrong with the upstream call or its answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The Manager named the error.
    #[error("the Manager says {:?}", .error.word)]
    Said {
        /// The Manager's words.
        error: ApinizerError,
        /// How long to wait before the next try.
        retry_after: Option<Duration>,
    },
    /// An HTTP error without an error object of the Manager.
    #[error("an HTTP error without an error object")]
    HttpStatus {
        /// How long to wait before the next try.
        retry_after: Option<Duration>,
    },
    /// A redirect, which the gateway never follows: it would carry the token to another host.
    #[error("a redirect")]
    Redirect,
    /// An answer that is no list.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// No connection, or one that ended before the answer was whole.
    #[error("unreachable")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    /// A body over the limit.
    #[error("a body over {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// No whole answer within the gateway's own timeout.
    #[error("timed out")]
    Timeout,
    /// The gateway's own token is not, or no longer, valid.
    #[error("the gateway's own token was refused")]
    OwnTokenRejected,
    /// Too many calls at once, or no memory for one more body.
    #[error("too much at once")]
    Overloaded,
}

impl Failure {
    /// The same with the status of the answer that it happened in.
    pub(crate) fn at(self, http_status: impl Into<Option<StatusCode>>) -> Error {
        Error::Upstream { http_status: http_status.into(), failure: self }
    }

    /// A sentence for the caller. It quotes nothing of a body but the words of the Manager's own error objects.
    fn message(&self, http_status: Option<StatusCode>) -> String {
        let number = http_status.map_or(0, |status| status.as_u16());
        match self {
            Self::Said { error, .. } => match &error.description {
                Some(description) => description.clone(),
                None => format!("the upstream answered HTTP {number} with the error {:?} and no description", error.word),
            },
            Self::HttpStatus { .. } if number == 404 => {
                "the upstream answered HTTP 404 without an error of the Manager: does the gateway call the right address?"
                    .to_owned()
            }
            Self::HttpStatus { .. } => format!("the upstream answered HTTP {number} without an error of the Manager"),
            Self::Redirect => format!("the upstream answered with a redirect (HTTP {number}), which is never followed"),
            Self::Malformed(malformed) => format!("the upstream's answer is malformed: {malformed}"),
            Self::Unreachable(_) if http_status.is_some() => {
                "the connection to the upstream ended before its answer was whole".to_owned()
            }
            Self::Unreachable(_) => "the upstream cannot be reached or does not speak HTTP".to_owned(),
            Self::TooLarge { limit } => format!("the upstream's answer is larger than {limit} bytes"),
            Self::OwnTokenRejected => "the upstream refused the gateway's own token; no caller can mend that".to_owned(),
            Self::Overloaded => "the gateway has too much to do at once".to_owned(),
            Self::Timeout => "the upstream gave no whole answer within the gateway's timeout".to_owned(),
        }
    }
}

impl Error {
    /// The same for a call that was made with the gateway's own token: that it was refused is not the caller's fault.
    pub(crate) fn with_own_token(self) -> Self {
        match self {
            Self::Upstream { http_status, .. } if self.code() == Code::Unauthenticated => {
                Failure::OwnTokenRejected.at(http_status)
            }
            error => error,
        }
    }

    /// The gRPC code; the tables are in `status.rs`.
    pub fn code(&self) -> Code {
        let Self::Upstream { http_status, failure } = self else {
            return match self {
                Self::ProjectInvalid(_) => Code::InvalidArgument,
                Self::Credentials(_) => Code::Unauthenticated,
                Self::DeadlineExceeded | Self::RequestTooSlow => Code::DeadlineExceeded,
                Self::Panic | Self::Upstream { .. } => Code::Internal,
            };
        };
        let by_number = |speaker| http_status.map_or(Code::Internal, |s| code_of_http_status(s.as_u16(), speaker));
        match failure {
            Failure::Said { error, .. } => error.code().unwrap_or_else(|| by_number(Speaker::Manager)),
            Failure::HttpStatus { .. } => by_number(Speaker::Unknown),
            Failure::Redirect | Failure::Malformed(_) | Failure::OwnTokenRejected => Code::Internal,
            Failure::Unreachable(_) => Code::Unavailable,
            Failure::TooLarge { .. } | Failure::Overloaded => Code::ResourceExhausted,
            Failure::Timeout => Code::DeadlineExceeded,
        }
    }

    /// `ErrorInfo.reason`: stable, for programs.
    pub fn reason(&self) -> String {
        let constant = match self {
            Self::ProjectInvalid(_) => "PROJECT_INVALID",
            Self::Credentials(CredentialsFault::Missing) => "CREDENTIALS_MISSING",
            Self::Credentials(_) => "CREDENTIALS_INVALID",
            Self::DeadlineExceeded | Self::RequestTooSlow => "DEADLINE_EXCEEDED",
            Self::Panic => "INTERNAL",
            Self::Upstream { failure, .. } => match failure {
                Failure::Said { error, .. } => return upper_snake(&error.word),
                Failure::HttpStatus { .. } => "UPSTREAM_HTTP_STATUS",
                Failure::Redirect => "UPSTREAM_REDIRECT",
                Failure::Malformed(_) => "UPSTREAM_MALFORMED",
                Failure::Unreachable(_) => "UPSTREAM_UNREACHABLE",
                Failure::TooLarge { .. } => "UPSTREAM_TOO_LARGE",
                Failure::Timeout => "UPSTREAM_TIMEOUT",
                Failure::OwnTokenRejected => "GATEWAY_TOKEN_REJECTED",
                Failure::Overloaded => "OVERLOADED",
            },
        };
        constant.to_owned()
    }

    /// The status for the caller, with the typed details of AIP-193.
    ///
    /// `project` is the name as the caller wrote it, if it has arrived.
    pub fn to_status(&self, project: Option<&str>) -> Status {
        let mut details = Details::new(self.reason(), GATEWAY);
        if let Some(project) = project {
            details.metadata("project", project);
        }
        if let Self::ProjectInvalid(fault) = self {
            details.violation("project", &fault.to_string());
        }
        if let Self::Upstream { http_status, failure } = self {
            if let Some(http_status) = http_status {
                details.metadata("http_status", http_status.as_str());
            }
            if let Failure::Said { error, .. } = failure {
                details.domain(MANAGER);
                for violation in &error.violations {
                    details.violation(&violation.field, &violation.message);
                }
            }
        }
        details.retry_after(self.retry_after());
        details.into_status(self.code(), &self.to_string())
    }

    /// How long to wait before the next try, if the upstream or our own load says so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Upstream {
                failure: Failure::Said { retry_after, .. } | Failure::HttpStatus { retry_after }, ..
            } => *retry_after,
            Self::Upstream { failure: Failure::Overloaded, .. } => Some(OVERLOADED_DELAY),
            _ => None,
        }
    }

    /// Whether the next attempt may succeed: the connection failed or broke, or the answer was a 502 or 503 that no
    /// word explains. Everything else was said on purpose, or took the time that there was.
    pub(crate) fn is_transient(&self) -> bool {
        self.code() == Code::Unavailable
    }

    /// Whether there is nothing for the operator of the gateway to look into.
    pub(crate) fn is_callers_fault(&self) -> bool {
        match self {
            Self::ProjectInvalid(_) | Self::Credentials(_) | Self::DeadlineExceeded | Self::RequestTooSlow => true,
            Self::Upstream { failure: Failure::Said { .. }, .. } => self.code() != Code::Internal,
            Self::Upstream { .. } | Self::Panic => false,
        }
    }

    /// Whether calls fail until somebody mends the gateway or its configuration.
    pub(crate) fn is_ours_to_mend(&self) -> bool {
        matches!(self, Self::Panic | Self::Upstream { failure: Failure::OwnTokenRejected, .. })
    }

    /// The causes below this error, outermost first, for the operator's log.
    pub(crate) fn causes(&self) -> String {
        let mut causes = String::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let separator = if causes.is_empty() { "" } else { ": " };
            let _ = write!(causes, "{separator}{cause}");
            next = cause.source();
        }
        causes
    }
}
