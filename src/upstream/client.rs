//! The HTTP client: what it sends with every request, and what it must never do.

use std::{error::Error as _, time::Duration};

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, ACCEPT_ENCODING},
};
use reqwest::{Certificate, Client, redirect};

use crate::config::Config;

/// How often an HTTP/2 connection is pinged, and how long it may take to answer: a half-dead one would let call after
/// call time out.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long sent bytes may go unacknowledged before an HTTP/1.1 connection counts as dead. It has no pings.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

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
