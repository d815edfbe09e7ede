//! One call from its arrival to its answer, around whatever service handles it.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use prost::bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use tonic::{
    Status,
    body::Body,
    codegen::{Service as _, StdError as BoxError},
    service::Routes,
};

use crate::{
    arrival::Arrival,
    credentials::{BearerToken, CredentialsFault},
    error::Error,
    pb::jwk_service_server::SERVICE_NAME,
    project::{ProjectFault, ProjectName},
};

/// Has a request answered, within the caller's deadline and whatever the handler does.
///
/// When the deadline passes, the handler and with it the upstream call are dropped. tonic would answer CANCELLED to
/// both a timeout and a panic; DEADLINE_EXCEEDED and INTERNAL are what the gRPC specification has for them.
pub(crate) async fn answer<B>(mut routes: Routes, mut request: Request<B>, arrives_within: Duration) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    if let Some(refused) = refuse_what_is_no_grpc(&request) {
        return refused;
    }
    let call = Call::new(request.headers());
    request.extensions_mut().insert(call.clone());
    // Safe to go on after a panic: the handler's state is dropped, and what calls share has no invariants to break.
    let answering = async {
        if is_list_jwks(&request) {
            routes.call(request.map(|body| Arrival::new(body, arrives_within))).await
        } else {
            routes.call(request).await
        }
    };
    let answering = AssertUnwindSafe(answering).catch_unwind();
    let answered = match call.deadline {
        None => Ok(answering.await),
        Some(deadline) if deadline <= Instant::now() => Err(Error::DeadlineExceeded),
        Some(deadline) => timeout_at(deadline, answering).await.map_err(|_| Error::DeadlineExceeded),
    };
    match answered {
        Ok(Ok(Ok(response))) if is_request_too_long(&response) => {
            call.refuse(&Error::ProjectInvalid(ProjectFault::TooLong)).into_http()
        }
        Ok(Ok(Ok(response))) => response,
        Ok(Err(_panic)) => call.refuse(&Error::Panic).into_http(),
        Err(error) => call.refuse(&error).into_http(),
    }
}

/// A request that is no gRPC gets HTTP's answer (gRPC over HTTP/2, "Requests"). tonic would serve it all the same.
fn refuse_what_is_no_grpc<B>(request: &Request<B>) -> Option<Response<Body>> {
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let is_grpc = matches!(content_type.strip_prefix(b"application/grpc"), Some(b"" | b"+proto" | [b';', ..]));
    let status = match *request.method() {
        Method::POST if is_grpc => return None,
        Method::POST => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    let mut refused = Response::new(Body::empty());
    *refused.status_mut() = status;
    Some(refused)
}

/// Whether the request is for our own service. Reflection's may last as long as their connection.
fn is_list_jwks<B>(request: &Request<B>) -> bool {
    request.uri().path().strip_prefix('/').is_some_and(|path| path.starts_with(SERVICE_NAME))
}

/// The longest request that is read, in bytes. A longer one can only be a name that is too long.
pub(crate) const MAX_REQUEST_BYTES: usize = 4096;

/// Whether tonic refused the request's length, with a code that nothing else here has and without details.
fn is_request_too_long(response: &Response<Body>) -> bool {
    response.headers().get(Status::GRPC_STATUS).is_some_and(|code| code == "11")
}

/// What is known of a call; a request carries it as an extension.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    deadline: Option<Instant>,
    token: Result<BearerToken, CredentialsFault>,
    project: Arc<OnceLock<Box<str>>>,
}

impl Call {
    fn new(headers: &HeaderMap) -> Self {
        // A deadline too far away for the clock is none.
        let deadline = grpc_timeout(headers).and_then(|timeout| Instant::now().checked_add(timeout));
        Self { deadline, token: BearerToken::from_metadata(headers), project: Arc::default() }
    }

    /// The token in the head of the request. tonic's metadata would not do: trailers, which come after whatever a proxy
    /// has checked, overwrite them.
    pub(crate) fn token(&self) -> Result<BearerToken, CredentialsFault> {
        self.token.clone()
    }

    /// When the caller stops waiting.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes the project's name down for errors that are raised outside the handler, then checks it.
    pub(crate) fn ask_for(&self, project: String) -> Result<ProjectName, Error> {
        self.project.get_or_init(|| project.as_str().into());
        Ok(ProjectName::new(project)?)
    }

    /// The status for the caller; the operator finds the causes in the log. The message is not there: it may be the
    /// Manager's text, and that may repeat a token.
    pub(crate) fn refuse(&self, error: &Error) -> Status {
        let (code, reason) = (error.code(), error.reason());
        if error.is_callers_fault() {
            tracing::debug!(?code, reason, "call refused");
        } else if error.is_ours_to_mend() {
            tracing::error!(?code, reason, causes = error.causes(), "call failed");
        } else {
            tracing::warn!(?code, reason, causes = error.causes(), "call failed");
        }
        error.to_status(self.project.get().map(|project| &**project))
    }
}

/// `grpc-timeout`: 1 to 8 digits and a unit (gRPC over HTTP/2, "Requests").
///
/// A value of another form counts as none, as in the gRPC core; our own upstream timeout holds in any case.
pub(crate) fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get("grpc-timeout")?.as_bytes().split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::Ready,
        task::{Context, Poll},
    };

    use tonic::{Code, codegen::Service, server::NamedService};
    use tonic_types::StatusExt as _;

    use super::*;

    /// A handler with a defect.
    #[derive(Clone)]
    struct Panics;

    impl NamedService for Panics {
        const NAME: &'static str = "Panics";
    }

    impl Service<Request<Body>> for Panics {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            panic!("a defect")
        }
    }

    #[tokio::test]
    async fn a_panic_is_internal_and_the_next_call_is_answered() {
        let routes = Routes::new(Panics);
        for timeout in ["", "1H"] {
            let request = Request::post("/Panics/Call")
                .header("content-type", "application/grpc")
                .header("grpc-timeout", timeout)
                .body(Body::empty());
            let response = answer(routes.clone(), request.expect("a request"), Duration::MAX).await;
            let status = Status::from_header_map(response.headers()).expect("a status");
            assert_eq!(status.code(), Code::Internal);
            assert_eq!(status.get_details_error_info().expect("ErrorInfo").reason, "INTERNAL");
            assert!(!status.message().contains("defect"));
        }
    }

    fn timeout(value: &str) -> Option<Duration> {
        grpc_timeout(&HeaderMap::from_iter([(
            "grpc-timeout".parse().expect("a header name"),
            HeaderValue::from_bytes(value.as_bytes()).expect("a header value"),
        )]))
    }

    #[test]
    fn every_unit_of_the_specification_is_read() {
        let rows = [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("0S", Duration::ZERO),
            ("99999999H", Duration::from_secs(359_999_996_400)),
        ];
        for (value, duration) in rows {
            assert_eq!(timeout(value), Some(duration), "{value}");
        }
    }

    #[test]
    fn a_timeout_of_another_form_is_none() {
        for value in ["", "S", "1", "1s", "1 S", "-1S", "+1S", "1.5S", "123456789S", "1SS", "ö"] {
            assert_eq!(timeout(value), None, "{value}");
        }
        assert_eq!(grpc_timeout(&HeaderMap::new()), None);
    }
}
