//! The HTTP client: what it sends with every request, and what it must never do.

use std::{collections::BTreeSet, error::Error as _, net::SocketAddr, time::Duration};

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, ACCEPT_ENCODING},
};
use reqwest::{Certificate, Client, redirect};
use tokio::time::Instant;

use super::Resolver;
use crate::{
    config::Config,
    reload::{Files, Source},
};

/// How often an HTTP/2 connection is pinged, and how long it may take to answer: a half-dead one would let call after
/// call time out.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long sent bytes may go unacknowledged before an HTTP/1.1 connection counts as dead. It has no pings.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// How often the Manager's name is looked up.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(5);

/// What a client is made of: a new CA file makes a new client, and so does a name that has moved, since connections
/// that are in use would stay with its old addresses. Running calls end on the client that they began with.
pub(super) struct ClientSource {
    ca: Files,
    /// The Manager's host, if it is a name.
    name: Option<String>,
    resolver: Resolver,
    addresses: Option<BTreeSet<SocketAddr>>,
    next_lookup: Instant,
    moves: u64,
}

impl ClientSource {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            ca: Files(config.upstream_ca.iter().cloned().collect()),
            name: config.upstream.name(),
            resolver: config.resolver.clone(),
            addresses: None,
            // The start is not to wait for a name server.
            next_lookup: Instant::now() + Duration::from_millis(1),
            moves: 0,
        }
    }

    /// Looks the name up, and counts when it has moved. Where that fails, open connections may still be good; a new one
    /// would say what is wrong.
    async fn look_up(&mut self, name: &str) {
        if let Ok(addresses) = self.resolver.addresses(name).await {
            let before = self.addresses.replace(addresses);
            self.moves += u64::from(before.is_some() && before != self.addresses);
        }
    }
}

impl Source for ClientSource {
    /// The CA file if there is one, and how often the name has moved.
    type Found = (Vec<Vec<u8>>, u64);

    async fn read(&mut self) -> Result<Self::Found, String> {
        if self.next_lookup <= Instant::now()
            && let Some(name) = self.name.clone()
        {
            self.look_up(&name).await;
            self.next_lookup = Instant::now() + LOOKUP_INTERVAL;
        }
        Ok((self.ca.read().await?, self.moves))
    }
}

/// A client that trusts the platform's roots and those of `ca`, in PEM.
///
/// # Errors
/// Where `ca` holds no certificates, or the platform has none and there is no `ca`.
pub(super) fn new(config: &Config, ca: &[u8]) -> Result<Client, String> {
    let roots = Certificate::from_pem_bundle(ca).map_err(|_| "the CA file holds no certificates in PEM".to_owned())?;
    if roots.is_empty() && config.upstream_ca.is_some() {
        return Err("the CA file holds no certificates in PEM".to_owned());
    }
    let client = Client::builder()
        .default_headers(HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
        ]))
        .user_agent(concat!("jwks-gateway/", env!("CARGO_PKG_VERSION")))
        // Each of these would carry the caller's token to a host that nobody configured.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .dns_resolver(config.resolver.clone())
        .connect_timeout(config.connect_timeout)
        .http2_keep_alive_interval(KEEPALIVE)
        .http2_keep_alive_timeout(KEEPALIVE)
        .http2_keep_alive_while_idle(true);
    #[cfg(target_os = "linux")]
    let client = client.tcp_user_timeout(UNACKNOWLEDGED);
    // Without TLS, the platform's roots are not needed, and need not be there.
    let client = if config.upstream.is_https() { client.tls_certs_merge(roots) } else { client.tls_certs_only(roots) };
    client.build().map_err(|error| error.source().map_or_else(|| error.to_string(), ToString::to_string))
}
