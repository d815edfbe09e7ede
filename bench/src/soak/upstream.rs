//! The upstream: for each project one way to answer, and what callers are to make of it.

use std::{collections::BTreeMap, io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use tonic::Code;

use crate::support::{Reply, Upstream, list};

/// The gateway's limit here. Few enough calls run at once that their bodies find room.
pub(crate) const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// A project.
pub(crate) struct Case {
    pub(crate) reply: Reply,
    pub(crate) expected: Expected,
}

/// What a caller gets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expected {
    /// A list of so many.
    List(usize),
    /// A code, and who gives which reason for it.
    Error(Code, String),
    /// No answer within any deadline here.
    Never,
}

impl Expected {
    /// Whether the gateway tries again before a caller gets this.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Error(Code::Unavailable, _))
    }

    /// Whether an attempt that meets a closed connection may be the last: the third, or one before a deadline too near
    /// for another.
    pub(crate) fn may_be_tried_no_more(&self) -> bool {
        self.is_transient() || *self == Self::Never
    }
}

/// What the gateway infers.
pub(crate) fn by_gateway(code: Code, reason: &str) -> Expected {
    Expected::Error(code, format!("jwks-gateway {reason}"))
}

pub(crate) async fn start(cases: std::sync::Arc<BTreeMap<&'static str, Case>>) -> Upstream {
    Upstream::scripted(move |head| {
        let project = head.split('/').nth(3).expect("a path");
        cases.get(project).unwrap_or_else(|| panic!("no such project: {head}")).reply.clone()
    })
    .await
}

/// All ways to answer, by project.
pub(crate) fn cases() -> BTreeMap<&'static str, Case> {
    use Expected::{List, Never};

    let manager = |code, reason| Expected::Error(code, format!("apinizer.com {reason}"));
    let said = |status, word| {
        Reply::json(status, format!(r#"{{"error": "{word}", "error_description": "as the Manager says it"}}"#))
    };
    let malformed = by_gateway(Code::Internal, "UPSTREAM_MALFORMED");
    let unreachable = by_gateway(Code::Unavailable, "UPSTREAM_UNREACHABLE");
    let too_large = by_gateway(Code::ResourceExhausted, "UPSTREAM_TOO_LARGE");
    let http = |code| by_gateway(code, "UPSTREAM_HTTP_STATUS");
    let zipped = [("content-encoding", "gzip")];
    let pause = Duration::from_millis(50);
    let rows = [
        ("empty", list(""), List(0)),
        ("two", list(&entries(2)), List(2)),
        ("twenty", list(&entries(20)), List(20)),
        ("two-and-close", list(&entries(2)).close(), List(2)),
        ("thousands", list(&entries(3000)), List(3000)),
        ("zipped", Reply::http(200, &zipped, gzip(body(500).as_bytes())), List(500)),
        ("not-found", said(404, "not_found"), manager(Code::NotFound, "NOT_FOUND")),
        ("token", said(401, "invalid_token"), manager(Code::Unauthenticated, "INVALID_TOKEN")),
        ("token-in-200", said(200, "token_expired"), manager(Code::Unauthenticated, "TOKEN_EXPIRED")),
        ("forbidden", said(403, "forbidden"), manager(Code::PermissionDenied, "FORBIDDEN")),
        ("rate", said(429, "rate_limit_exceeded"), manager(Code::ResourceExhausted, "RATE_LIMIT_EXCEEDED")),
        ("defect", said(500, "internal_error"), manager(Code::Internal, "INTERNAL_ERROR")),
        ("page", Reply::http(200, &[("content-type", "text/html")], "<html>Sign in</html>"), malformed.clone()),
        ("cut-json", Reply::json(200, r#"{"success": true, "resultList": [{"name": "#), malformed.clone()),
        ("bad-gzip", Reply::http(200, &zipped, b"\x1f\x8b\x08\0\0"), malformed),
        (
            "redirect",
            Reply::http(302, &[("location", "http://127.0.0.2/")], ""),
            by_gateway(Code::Internal, "UPSTREAM_REDIRECT"),
        ),
        ("bare-404", Reply::http(404, &[], "<html>"), http(Code::Unimplemented)),
        ("bare-503", Reply::http(503, &[], "<html>"), http(Code::Unavailable)),
        ("hang-up", Reply::nothing().close(), unreachable.clone()),
        ("reset", Reply::nothing().reset(), unreachable.clone()),
        ("half-body", Reply::head(200, &[], 1000).send("{").close(), unreachable.clone()),
        ("half-chunk", Reply::chunked().send("ff\r\n{").reset(), unreachable.clone()),
        ("no-http", Reply::raw("SSH-2.0-OpenSSH_9.2\r\n").close(), unreachable.clone()),
        ("endless-head", Reply::raw("HTTP/1.1 200 OK\r\n").repeat("a: b\r\n".repeat(1000), 100).close(), unreachable),
        ("declared", Reply::head(200, &[], 1_u64 << 40).close(), too_large.clone()),
        (
            "endless",
            Reply::chunked().repeat(format!("10000\r\n{}\r\n", "x".repeat(0x10000)), 1000).close(),
            too_large.clone(),
        ),
        ("bomb", Reply::http(200, &zipped, gzip(&vec![b' '; 8 * MAX_RESPONSE_BYTES])), too_large),
        ("stall", Reply::nothing().stall(), Never),
        ("stalled-body", Reply::head(200, &[], 1000).send("{").stall(), Never),
        ("drip", Reply::head(200, &[], 1000).drip(" ".repeat(1000), pause).close(), Never),
    ];
    rows.into_iter().map(|(project, reply, expected)| (project, Case { reply, expected })).collect()
}

fn entries(count: usize) -> String {
    let entry =
        |index| format!(r#"{{"name": "key-{index}", "type": "RSA", "kid": "kid-{index}", "description": null}}"#);
    (0..count).map(entry).collect::<Vec<_>>().join(",")
}

fn body(count: usize) -> String {
    format!(r#"{{"success": true, "resultList": [{}]}}"#, entries(count))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
