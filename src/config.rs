//! The configuration: settings that were checked. Every fault is found, and all are reported together.

use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

use bytesize::ByteSize;

use crate::{
    credentials::{BearerToken, Secret, TokenSource},
    listener::ListenAddress,
    settings::Settings,
    tls::TlsFiles,
    upstream::{BaseUrl, Resolver},
};

/// The longest duration that can be set.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);
/// The largest body that can be allowed: a gRPC message has a length of 32 bits.
const MAX_BODY: u64 = 2 * 1024 * 1024 * 1024;
/// The most of anything that can be counted.
const MAX_COUNT: usize = 1_000_000;

/// Why the gateway does not start with a token of its own on this listener.
const LENDS_THE_TOKEN: &str = "others can reach it and would use the gateway's own token: authenticate them by \
     --tls-client-ca, listen on loopback or a unix socket, or give --allow-unauthenticated-callers";

/// Settings that were checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on.
    pub listen: ListenAddress,
    /// The Manager.
    pub upstream: BaseUrl,
    /// How the Manager's name becomes addresses; the system's way unless a program sets another.
    pub resolver: Resolver,
    /// The bound on an upstream call as a whole.
    pub upstream_timeout: Duration,
    /// The bound on connecting, within the former.
    pub connect_timeout: Duration,
    /// The largest body taken, in bytes, before and after decompression.
    pub max_response_bytes: usize,
    /// The most upstream calls at once.
    pub max_in_flight: usize,
    /// The most callers that wait for one.
    pub max_queued: usize,
    /// Whether calls that ask the same share upstream calls.
    pub coalesce: bool,
    /// Roots to trust for the upstream beside the platform's.
    pub upstream_ca: Option<PathBuf>,
    /// How callers are spoken to; plain HTTP/2 without it.
    pub tls: Option<TlsFiles>,
    /// Where the gateway's own token comes from; without one, each caller brings its own.
    pub own_token: Option<TokenSource>,
    /// What a connection may do.
    pub connections: ConnectionLimits,
    /// The form of the log; where there is none, it depends on the terminal.
    pub log_format: Option<LogFormat>,
}

/// What callers may do with their connections. Two of these are settings; the rest is the same everywhere.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// How long running calls may take to finish once their connection has to end.
    pub drain_timeout: Duration,
    /// How long a connection lives, give or take a tenth.
    pub max_age: Duration,
    /// Connections at once; others wait to be accepted.
    pub max_connections: usize,
    /// How long a peer may take to finish what it has begun to send: the TLS handshake, the HTTP/2 preface, a request.
    pub handshake_timeout: Duration,
    /// How often a quiet peer is pinged, and how long it may take to answer.
    pub keepalive: Duration,
    /// Calls at once on a connection.
    pub max_streams: u32,
    /// Resets of a connection's streams, by it or for its errors, before it is closed.
    pub max_resets: usize,
    /// The metadata of a call, as HTTP/2 counts them, in bytes.
    pub max_header_list_bytes: u32,
    /// What a caller may send of its requests before they are read, in bytes.
    pub window_bytes: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            drain_timeout: Duration::from_secs(20),
            max_age: Duration::from_secs(30 * 60),
            max_connections: 10_000,
            handshake_timeout: Duration::from_secs(5),
            keepalive: Duration::from_secs(20),
            max_streams: 200,
            max_resets: 100,
            max_header_list_bytes: 16 * 1024,
            window_bytes: 64 * 1024,
        }
    }
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Checks all settings.
    ///
    /// # Errors
    /// Every fault there is, by the name of its flag, without the values.
    pub fn new(settings: Settings) -> Result<Self, ConfigFaults> {
        let mut faults = ConfigFaults::default();
        let listen = faults.check("listen", settings.listen, "127.0.0.1:50051", str::parse::<ListenAddress>);
        let upstream = faults.check("upstream", settings.upstream, "", manager_url);
        let plaintext =
            faults.check("allow-plaintext-upstream", settings.allow_plaintext_upstream, "false", true_or_false);
        let upstream_timeout = faults.check("upstream-timeout", settings.upstream_timeout, "10s", positive_duration);
        let connect_timeout = faults.check("connect-timeout", settings.connect_timeout, "2s", positive_duration);
        let max_response_bytes = faults.check("max-response-bytes", settings.max_response_bytes, "16MiB", body_size);
        let max_in_flight = faults.check("max-in-flight", settings.max_in_flight, "256", positive_count);
        let max_queued = faults.check("max-queued", settings.max_queued, "1024", count);
        let coalesce = faults.check("coalesce", settings.coalesce, "on", on_or_off);
        let drain_timeout = faults.check("drain-timeout", settings.drain_timeout, "20s", duration);
        let max_age = faults.check("max-connection-age", settings.max_connection_age, "30m", positive_duration);
        let log_format = faults.check("log-format", settings.log_format, "auto", log_format);
        let own_token = own_token(&mut faults, settings.token_file, settings.token);
        let unauthenticated = faults.check(
            "allow-unauthenticated-callers",
            settings.allow_unauthenticated_callers,
            "false",
            true_or_false,
        );
        let tls = tls_files(&mut faults, settings.tls_cert, settings.tls_key, settings.tls_client_ca);
        let knows_callers = tls.as_ref().is_some_and(|files| files.client_ca.is_some());
        let is_reachable = listen.as_ref().is_some_and(ListenAddress::is_reachable_by_others);
        if own_token.is_some() && is_reachable && !knows_callers && unauthenticated == Some(false) {
            faults.add("listen", LENDS_THE_TOKEN);
        }
        if plaintext == Some(false) && upstream.as_ref().is_some_and(BaseUrl::leaves_host_in_the_clear) {
            faults.add("upstream", "plain http to another host than loopback needs --allow-plaintext-upstream");
        }
        let complete = || {
            Some(Self {
                listen: listen?,
                upstream: upstream?,
                resolver: Resolver::system(),
                upstream_timeout: upstream_timeout?,
                connect_timeout: connect_timeout?,
                max_response_bytes: max_response_bytes?,
                max_in_flight: max_in_flight?,
                max_queued: max_queued?,
                coalesce: coalesce?,
                connections: ConnectionLimits {
                    drain_timeout: drain_timeout?,
                    max_age: max_age?,
                    ..ConnectionLimits::default()
                },
                upstream_ca: settings.upstream_ca.map(PathBuf::from),
                tls,
                own_token,
                log_format: log_format?,
            })
        };
        if faults.0.is_empty() { complete().ok_or(faults) } else { Err(faults) }
    }
}

/// What is wrong with the settings, a line each.
#[derive(Debug, Default, thiserror::Error)]
pub struct ConfigFaults(Vec<String>);

impl ConfigFaults {
    fn add(&mut self, flag: &str, fault: impl fmt::Display) {
        let variable = flag.to_uppercase().replace('-', "_");
        self.0.push(format!("--{flag} (or JWKS_GATEWAY_{variable}): {fault}"));
    }

    /// Reads one setting, or takes its fault down.
    fn check<T, E: fmt::Display>(
        &mut self,
        flag: &str,
        value: Option<OsString>,
        default: &str,
        read: fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = match value.map(OsString::into_string) {
            None => default.to_owned(),
            Some(Ok(text)) => text,
            Some(Err(_)) => {
                self.add(flag, "expected a text in UTF-8");
                return None;
            }
        };
        read(&text).map_err(|fault| self.add(flag, fault)).ok()
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the configuration is faulty:")?;
        self.0.iter().try_for_each(|fault| write!(formatter, "\n  {fault}"))
    }
}

fn tls_files(
    faults: &mut ConfigFaults,
    certificate: Option<OsString>,
    key: Option<OsString>,
    client_ca: Option<OsString>,
) -> Option<TlsFiles> {
    match (certificate, key, client_ca) {
        (Some(certificate), Some(key), client_ca) => {
            Some(TlsFiles { certificate: certificate.into(), key: key.into(), client_ca: client_ca.map(PathBuf::from) })
        }
        (None, None, None) => None,
        (None, ..) => {
            faults.add("tls-cert", "required with --tls-key and --tls-client-ca");
            None
        }
        (_, None, _) => {
            faults.add("tls-key", "required with --tls-cert");
            None
        }
    }
}

fn own_token(faults: &mut ConfigFaults, file: Option<OsString>, token: Option<Secret>) -> Option<TokenSource> {
    match (file, token) {
        (None, None) => None,
        (Some(file), None) => Some(TokenSource::File(file.into())),
        (None, Some(Secret(token))) => {
            let token = BearerToken::own(token.as_encoded_bytes());
            if token.is_none() {
                faults.0.push("JWKS_GATEWAY_TOKEN: expected one token, without \"Bearer\"".to_owned());
            }
            token.map(TokenSource::Given)
        }
        (Some(_), Some(_)) => {
            faults.add("token-file", "given beside JWKS_GATEWAY_TOKEN: which of the two is meant?");
            None
        }
    }
}

fn manager_url(text: &str) -> Result<BaseUrl, String> {
    match text {
        "" => Err("required: the Manager's URL, such as https://manager.example.com".to_owned()),
        _ => BaseUrl::parse(text).map_err(|fault| fault.to_string()),
    }
}

fn true_or_false(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "expected true or false")
}

fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off"),
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= MAX_DURATION => Ok(duration),
        Ok(_) => Err("expected a day at most"),
        Err(_) => Err("expected a duration such as 500ms, 2s or 1m"),
    }
}

fn positive_duration(text: &str) -> Result<Duration, &'static str> {
    match duration(text)? {
        Duration::ZERO => Err("expected more than zero"),
        duration => Ok(duration),
    }
}

fn body_size(text: &str) -> Result<usize, &'static str> {
    match text.parse::<ByteSize>() {
        Ok(size) if (1..=MAX_BODY).contains(&size.as_u64()) => {
            usize::try_from(size.as_u64()).map_err(|_| "too much for this machine")
        }
        Ok(_) => Err("expected 1 byte to 2GiB"),
        Err(_) => Err("expected a size such as 512KiB or 16MiB"),
    }
}

fn count(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|&count| count <= MAX_COUNT).ok_or("expected a number, a million at most")
}

fn positive_count(text: &str) -> Result<usize, &'static str> {
    match count(text)? {
        0 => Err("expected more than zero"),
        count => Ok(count),
    }
}

fn log_format(text: &str) -> Result<Option<LogFormat>, &'static str> {
    match text {
        "auto" => Ok(None),
        "text" => Ok(Some(LogFormat::Text)),
        "json" => Ok(Some(LogFormat::Json)),
        _ => Err("expected text or json"),
    }
}
