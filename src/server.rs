//! The gRPC server: which services there are, and their life from start to drain.

use std::pin::pin;

use tonic::{
    server::NamedService,
    service::{Routes, RoutesBuilder},
};
use tonic_health::{ServingStatus, pb::health_server::HealthServer, server::HealthReporter};

use crate::{
    call::MAX_REQUEST_BYTES,
    config::Config,
    connections,
    credentials::Credentials,
    listener::Listener,
    pb::{FILE_DESCRIPTOR_SET, jwk_service_server::JwkServiceServer},
    service::Gateway,
    tls::ServerTls,
    upstream::Upstream,
};

pub use crate::connections::Drain;

/// The services whose health is reported: the server as a whole, and the one it is there for.
const HEALTH_OF: [&str; 2] = ["", JwkServiceServer::<Gateway>::NAME];

/// Serves on a listener until `shutdown`, then lets the running calls finish, for the drain timeout at most.
///
/// # Errors
/// Where a file cannot be read, or the upstream's client or the reflection service cannot be set up. Nothing has been
/// accepted then.
pub async fn run(listener: Listener, config: &Config, shutdown: impl Future<Output = ()>) -> Result<Drain, StartError> {
    let credentials = Credentials::load(config.own_token.clone()).await.map_err(StartError::Token)?;
    let upstream = Upstream::new(config).await.map_err(StartError::Upstream)?;
    let tls = match config.tls.clone() {
        Some(files) => Some(ServerTls::load(files).await.map_err(StartError::Tls)?),
        None => None,
    };
    let gateway = Gateway::new(upstream, credentials);
    let health = HealthReporter::new();
    for service in HEALTH_OF {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
    let routes = routes(gateway, &health)?;
    let shutdown = async {
        shutdown.await;
        tracing::info!("draining");
        stop_reporting(health).await;
    };
    tracing::info!(address = %listener.address().map_err(StartError::Listener)?, "listening");
    connections::serve(listener, tls, routes, pin!(shutdown), config.connections).await.map_err(StartError::Workers)
}

/// Turns every health answer to NOT_SERVING, then ends the streams of those who watch, since a watch never ends by
/// itself and would keep its connection from draining.
async fn stop_reporting(mut health: HealthReporter) {
    for service in HEALTH_OF {
        health.set_service_status(service, ServingStatus::NotServing).await;
        health.clear_service_status(service).await;
    }
}

fn routes(gateway: Gateway, health: &HealthReporter) -> Result<Routes, tonic_reflection::server::Error> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that tools can show the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(JwkServiceServer::new(gateway).max_decoding_message_size(MAX_REQUEST_BYTES))
        .add_service(HealthServer::new(tonic_health::server::HealthService::from_health_reporter(health.clone())))
        .add_service(reflection().build_v1()?)
        // Older tools ask for this name only.
        .add_service(reflection().build_v1alpha()?);
    Ok(routes.routes().prepare())
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The HTTP client for the upstream: its CA file, or no root certificates on this platform.
    #[error("the connection to the upstream: {0}")]
    Upstream(String),
    /// The certificates that callers see, or those that they have to show.
    #[error("TLS: {0}")]
    Tls(String),
    /// The gateway's own token.
    #[error("the gateway's own token: {0}")]
    Token(String),
    /// The descriptors that were compiled in.
    #[error("the reflection service cannot be set up")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The threads.
    #[error("the workers cannot be started")]
    Workers(#[source] std::io::Error),
    /// A listener without an address.
    #[error("the listener has no address")]
    Listener(#[source] std::io::Error),
}
