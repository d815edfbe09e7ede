//! An upstream that speaks HTTP/2 only, chosen by ALPN.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::bytes::Bytes;
use tokio::{net::TcpListener, task::JoinHandle};

use super::certificates::Identity;

/// The upstream; it ends on drop.
pub(crate) struct Http2Upstream {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Drop for Http2Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Http2Upstream {
    pub(crate) async fn answering(identity: &Identity, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::<AtomicUsize>::default();
        let (tls, count) = (identity.acceptor(b"h2"), connections.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, count) = (tls.clone(), count.clone());
                tokio::spawn(async move {
                    let stream = TokioIo::new(tls.accept(stream).await.expect("a TLS handshake"));
                    count.fetch_add(1, Ordering::Relaxed);
                    let service = service_fn(move |_: Request<Incoming>| async move {
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(body.as_bytes()))))
                    });
                    http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
                });
            }
        });
        Self { address, connections, accepting }
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}
