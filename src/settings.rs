//! The flags of `serve` and their environment variables, as texts.

use std::ffi::OsString;

use clap::Args;

use crate::credentials::Secret;

/// The settings of `serve` as they were given, unchecked. What is `None` has its default.
///
/// The texts are read by [`Config`](crate::config::Config) and not by clap, which stops at the first fault and quotes values.
#[derive(Args, Clone, Debug, Default)]
#[allow(missing_docs, reason = "the comments are the help texts")]
pub struct Settings {
    /// Where to listen for gRPC, host:port or unix:/path [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS", env = "JWKS_GATEWAY_LISTEN", hide_env_values = true)]
    pub listen: Option<OsString>,

    /// URL of the Apinizer Manager, with or without /apiops at its end (required)
    #[arg(long, value_name = "URL", env = "JWKS_GATEWAY_UPSTREAM", hide_env_values = true)]
    pub upstream: Option<OsString>,

    /// Allow plain http to another host than loopback: tokens can be read on the way
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        env = "JWKS_GATEWAY_ALLOW_PLAINTEXT_UPSTREAM",
        hide_env_values = true
    )]
    pub allow_plaintext_upstream: Option<OsString>,

    /// How long an upstream call may take as a whole: queueing, connecting, the body [default: 10s]
    #[arg(long, value_name = "DURATION", env = "JWKS_GATEWAY_UPSTREAM_TIMEOUT", hide_env_values = true)]
    pub upstream_timeout: Option<OsString>,

    /// How long connecting to the upstream may take, TLS included [default: 2s]
    #[arg(long, value_name = "DURATION", env = "JWKS_GATEWAY_CONNECT_TIMEOUT", hide_env_values = true)]
    pub connect_timeout: Option<OsString>,

    /// The largest body taken from the upstream, compressed or not [default: 16MiB]
    #[arg(long, value_name = "SIZE", env = "JWKS_GATEWAY_MAX_RESPONSE_BYTES", hide_env_values = true)]
    pub max_response_bytes: Option<OsString>,

    /// The most upstream calls at once [default: 256]
    #[arg(long, value_name = "COUNT", env = "JWKS_GATEWAY_MAX_IN_FLIGHT", hide_env_values = true)]
    pub max_in_flight: Option<OsString>,

    /// The most callers that wait for an upstream call; others are turned away [default: 1024]
    #[arg(long, value_name = "COUNT", env = "JWKS_GATEWAY_MAX_QUEUED", hide_env_values = true)]
    pub max_queued: Option<OsString>,

    /// Let calls that ask the same share upstream calls, on or off [default: on]
    #[arg(long, value_name = "ON|OFF", env = "JWKS_GATEWAY_COALESCE", hide_env_values = true)]
    pub coalesce: Option<OsString>,

    /// How long running calls may take to finish after SIGTERM or SIGINT [default: 20s]
    #[arg(long, value_name = "DURATION", env = "JWKS_GATEWAY_DRAIN_TIMEOUT", hide_env_values = true)]
    pub drain_timeout: Option<OsString>,

    /// How long a connection lives before it is ended in peace, so that callers rebalance [default: 30m]
    #[arg(long, value_name = "DURATION", env = "JWKS_GATEWAY_MAX_CONNECTION_AGE", hide_env_values = true)]
    pub max_connection_age: Option<OsString>,

    /// Certificate that callers see, in PEM, with those that lead to its root; read again when it changes
    #[arg(long, value_name = "FILE", env = "JWKS_GATEWAY_TLS_CERT", hide_env_values = true)]
    pub tls_cert: Option<OsString>,

    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", env = "JWKS_GATEWAY_TLS_KEY", hide_env_values = true)]
    pub tls_key: Option<OsString>,

    /// Roots of the certificates that callers have to show, in PEM; without it, callers need none
    #[arg(long, value_name = "FILE", env = "JWKS_GATEWAY_TLS_CLIENT_CA", hide_env_values = true)]
    pub tls_client_ca: Option<OsString>,

    /// Roots to trust for the upstream beside the platform's, in PEM; read again when it changes
    #[arg(long, value_name = "FILE", env = "JWKS_GATEWAY_UPSTREAM_CA", hide_env_values = true)]
    pub upstream_ca: Option<OsString>,

    /// File with the gateway's own token; callers' tokens are then not used
    ///
    /// It is read again when it changes. The variable JWKS_GATEWAY_TOKEN may hold the token itself instead.
    #[arg(long, value_name = "FILE", env = "JWKS_GATEWAY_TOKEN_FILE", hide_env_values = true)]
    pub token_file: Option<OsString>,

    /// The gateway's own token, from the environment; never an argument, which other users of a machine can see
    #[arg(skip)]
    pub token: Option<Secret>,

    /// Let everyone who reaches the listener use the gateway's own token
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        env = "JWKS_GATEWAY_ALLOW_UNAUTHENTICATED_CALLERS",
        hide_env_values = true
    )]
    pub allow_unauthenticated_callers: Option<OsString>,

    /// The form of the log, text or json [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT", env = "JWKS_GATEWAY_LOG_FORMAT", hide_env_values = true)]
    pub log_format: Option<OsString>,
}
