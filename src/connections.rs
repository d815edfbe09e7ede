//! Connections: accepted, served as HTTP/2, and drained.
//!
//! hyper is driven directly, since tonic's own server offers neither a drain that is bounded against silent peers nor
//! a place for the deadline outside its timer.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tonic::{Status, service::Routes};

use crate::{call, upstream::Reservation};

/// How often a quiet peer is asked whether it is still there, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long to wait after an accept that failed: when file descriptors are used up, the next one fails as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a peer that never made a call may take to say good-bye.
const GOODBYE: Duration = Duration::from_secs(1);

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

/// Serves every connection until `shutdown`, then waits for running calls, for `drain_timeout` at most.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Routes,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    drain_timeout: Duration,
) -> Drain {
    let server = Server { http2: http2(), routes, calls: TaskTracker::new(), draining: CancellationToken::new() };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _peer)) => drop(connections.spawn(server.clone().serve_connection(stream))),
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
    let _ = timeout(drain_timeout, drained).await;
    // Connections that are left end here, with the set.
    match server.calls.len() {
        0 => Drain::Clean,
        calls => Drain::Cut { calls },
    }
}

fn http2() -> http2::Builder<TokioExecutor> {
    // hyper's limits on concurrent streams, resets and header lists are in force unless they are unset.
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2.timer(TokioTimer::new()).keep_alive_interval(KEEPALIVE).keep_alive_timeout(KEEPALIVE);
    http2
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    http2: http2::Builder<TokioExecutor>,
    routes: Routes,
    /// The calls that are not answered to the last byte.
    calls: TaskTracker,
    draining: CancellationToken,
}

impl Server {
    async fn serve_connection(self, stream: TcpStream) {
        if let Err(error) = self.try_serve_connection(stream).await {
            tracing::debug!(error = &*error, "connection ended");
        }
    }

    async fn try_serve_connection(&self, stream: TcpStream) -> Result<(), Box<dyn std::error::Error>> {
        // An answer is written whole, so there is nothing to wait for before it is sent.
        stream.set_nodelay(true)?;
        let has_called = AtomicBool::new(false);
        let service = service_fn(|request: Request<Incoming>| {
            has_called.store(true, Ordering::Relaxed);
            let (routes, call) = (self.routes.clone(), self.calls.token());
            async { Ok::<_, Infallible>(hold(call, call::answer(routes, request).await)) }
        });
        let mut connection = pin!(self.http2.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = self.draining.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        if has_called.load(Ordering::Relaxed) {
            return Ok(connection.await?);
        }
        // It may never have finished the HTTP/2 preface; then it does not answer a GOAWAY either.
        timeout(GOODBYE, connection).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(())
    }
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
