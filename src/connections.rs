//! Connections: accepted, served as HTTP/2, and drained.
//!
//! hyper is driven directly, since tonic's own server offers neither a drain that is bounded against silent peers nor
//! a place for the deadline outside its timer.

use std::{
    convert::Infallible,
    future, io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::{
    io::InspectReader,
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tonic::{Status, service::Routes};

use crate::{
    call,
    config::ConnectionLimits,
    listener::{Listener, Stream},
    tls::ServerTls,
    upstream::Reservation,
    workers::Workers,
};

/// How long to wait after an accept that failed: when file descriptors are used up, the next one fails as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a peer that never made a call may take to say good-bye.
const GOODBYE: Duration = Duration::from_secs(1);
/// A client's part of the HTTP/2 preface: 24 bytes of text and the head of a SETTINGS frame (RFC 9113, section 3.4).
const PREFACE_LEN: usize = 24 + 9;

/// How serving came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Every call was answered.
    Clean,
    /// The drain timeout passed first.
    Cut {
        /// The calls that were given up.
        calls: usize,
    },
}

/// Serves every connection until `shutdown`, then waits for running calls, for the drain timeout at most.
pub(crate) async fn serve(
    listener: Listener,
    tls: Option<ServerTls>,
    routes: Routes,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    limits: ConnectionLimits,
) -> io::Result<Drain> {
    let workers = Workers::start()?;
    let room = Arc::new(Semaphore::new(limits.max_connections));
    let server = Server {
        tls: tls.map(Arc::new),
        http2: http2(&limits),
        routes,
        limits,
        calls: TaskTracker::new(),
        draining: CancellationToken::new(),
    };
    let mut connections = JoinSet::new();
    loop {
        // Those who find no room wait in the listener's backlog.
        let accepted = async {
            let place = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            listener.accept().await.map(|stream| (stream, place))
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_ended) = connections.join_next() => {}
            accepted = accepted => match accepted {
                Ok((stream, place)) => {
                    let (server, worker) = (server.clone(), workers.least_loaded());
                    let runtime = worker.runtime().clone();
                    let serving = async move {
                        match stream.register() {
                            Ok(stream) => server.serve_connection(stream).await,
                            Err(error) => tracing::warn!(%error, "cannot serve a connection"),
                        }
                        drop((place, worker));
                    };
                    connections.spawn_on(serving, &runtime);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    server.draining.cancel();
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(limits.drain_timeout, drained).await;
    // Connections that are left end here, with the set.
    Ok(match server.calls.len() {
        0 => Drain::Clean,
        calls => Drain::Cut { calls },
    })
}

fn http2(limits: &ConnectionLimits) -> http2::Builder<TokioExecutor> {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        // A peer that is gone without a word is found by a ping.
        .keep_alive_interval(limits.keepalive)
        .keep_alive_timeout(limits.keepalive)
        .max_concurrent_streams(limits.max_streams)
        // Rapid reset (CVE-2023-44487): streams that were opened and reset before they were handled.
        .max_pending_accept_reset_streams(limits.max_resets)
        .max_local_error_reset_streams(limits.max_resets)
        .max_header_list_size(limits.max_header_list_bytes)
        // Requests are small. What a caller sends beyond that waits on its own side.
        .initial_stream_window_size(limits.window_bytes)
        // h2 lets small DATA frames that nobody has read take half of this, each counted as 256 bytes, and then ends the
        // connection. A burst of calls, as many as there may be streams, is to fit in.
        .initial_connection_window_size(limits.window_bytes.max(limits.max_streams.saturating_mul(640)));
    http2
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    tls: Option<Arc<ServerTls>>,
    http2: http2::Builder<TokioExecutor>,
    routes: Routes,
    limits: ConnectionLimits,
    /// The calls that are not answered to the last byte.
    calls: TaskTracker,
    draining: CancellationToken,
}

impl Server {
    async fn serve_connection(self, stream: Stream) {
        let served = match &self.tls {
            None => self.serve_http2(stream).await,
            Some(tls) => match tls.accept(stream, self.limits.handshake_timeout).await {
                Ok(stream) => self.serve_http2(stream).await,
                Err(error) => {
                    tracing::debug!(%error, "no TLS handshake");
                    return;
                }
            },
        };
        if let Err(error) = served {
            tracing::debug!(%error, "connection ended");
        }
    }

    async fn serve_http2(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<()> {
        let received = Arc::new(AtomicUsize::new(0));
        let has_called = AtomicBool::new(false);
        let service = service_fn(|request: Request<Incoming>| {
            has_called.store(true, Ordering::Relaxed);
            let (routes, call) = (self.routes.clone(), self.calls.token());
            let within = self.limits.handshake_timeout;
            async move { Ok::<_, Infallible>(hold(call, call::answer(routes, request, within).await)) }
        });
        let stream = TokioIo::new(count_bytes(stream, received.clone()));
        let mut connection = pin!(self.http2.serve_connection(stream, service));
        let no_preface = async {
            sleep(self.limits.handshake_timeout).await;
            if received.load(Ordering::Relaxed) >= PREFACE_LEN {
                future::pending::<()>().await;
            }
        };
        let grace = tokio::select! {
            ended = connection.as_mut() => return ended,
            () = no_preface => return Ok(()),
            () = sleep(jittered(self.limits.max_age)) => self.limits.drain_timeout,
            // The drain as a whole has a bound, and what it cuts is counted there.
            () = self.draining.cancelled() => Duration::MAX,
        };
        connection.as_mut().graceful_shutdown();
        // A peer without a call may never have finished the preface; then it does not answer a GOAWAY either.
        let grace = if has_called.load(Ordering::Relaxed) { grace } else { GOODBYE };
        timeout(grace, connection).await.unwrap_or(Ok(()))
    }
}

/// Counts the bytes that are read.
fn count_bytes<S: AsyncRead>(stream: S, count: Arc<AtomicUsize>) -> InspectReader<S, impl FnMut(&[u8])> {
    InspectReader::new(stream, move |bytes: &[u8]| {
        count.fetch_add(bytes.len(), Ordering::Relaxed);
    })
}

/// A random part of a tenth less or more, so that connections that began together do not end together.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * fastrand::f64())
}

/// Keeps a call on the list, and its memory reserved, until the last byte of its answer is sent: HTTP/2 takes the body
/// at once, but sends it no faster than the caller reads.
fn hold(
    call: TaskTrackerToken,
    mut response: Response<tonic::body::Body>,
) -> Response<impl Body<Data = Bytes, Error = Status>> {
    let memory = response.extensions_mut().remove::<Arc<Reservation>>();
    let held = Arc::new((call, memory));
    response.map(|body| {
        body.map_frame(move |frame| {
            frame.map_data(|bytes| Bytes::from_owner(Held { bytes, _until_sent: held.clone() }))
        })
    })
}

/// Bytes that hold something until they are dropped.
struct Held<T> {
    bytes: Bytes,
    _until_sent: T,
}

impl<T> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
