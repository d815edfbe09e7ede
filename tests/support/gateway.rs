//! The gateway in this process, on a free port.

use std::net::SocketAddr;

use jwks_gateway::{
    config::{Config, ConnectionLimits},
    listener::Listener,
    pb::{Jwk, ListJwksRequest, jwk_service_client::JwkServiceClient},
    server,
    settings::Settings,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};

use super::{TOKEN, Upstream};

/// A running gateway; it ends on drop.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Gateway {
    /// In front of this upstream, with default settings.
    pub(crate) async fn before(upstream: &Upstream) -> Self {
        Self::with(Settings { upstream: Some(upstream.url().into()), ..Settings::default() }).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::configured(Config::new(settings).expect("good settings")).await
    }

    /// In front of this upstream, with default settings but for the limits on connections; each call has an upstream call
    /// of its own.
    pub(crate) async fn limiting(upstream: &Upstream, connections: ConnectionLimits) -> Self {
        let coalesce = Some("off".into());
        let settings = Settings { upstream: Some(upstream.url().into()), coalesce, ..Settings::default() };
        Self::configured(Config { connections, ..Config::new(settings).expect("good settings") }).await
    }

    pub(crate) async fn configured(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move {
            server::run(Listener::Tcp(listener), &config, std::future::pending()).await.expect("the server starts");
        });
        Self { address, serving }
    }

    pub(crate) async fn channel(&self) -> Channel {
        channel(self.address).await
    }

    /// A call with the token of the tests and a client that takes answers of any size.
    pub(crate) async fn list(&self, project: &str) -> Result<Vec<Jwk>, Status> {
        list(self.channel().await, project).await
    }

    /// The error that a call gets.
    pub(crate) async fn refusal(&self, project: &str) -> Status {
        self.list(project).await.map(|jwks| jwks.len()).expect_err("an error")
    }
}

pub(crate) async fn channel(address: SocketAddr) -> Channel {
    Endpoint::try_from(format!("http://{address}")).expect("an endpoint").connect().await.expect("a connection")
}

pub(crate) async fn list(channel: Channel, project: &str) -> Result<Vec<Jwk>, Status> {
    let mut client = JwkServiceClient::new(channel).max_decoding_message_size(usize::MAX);
    Ok(client.list_jwks(request(project)).await?.into_inner().jwks)
}

pub(crate) fn request(project: &str) -> Request<ListJwksRequest> {
    let mut request = Request::new(ListJwksRequest { project: project.to_owned() });
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().expect("metadata"));
    request
}
