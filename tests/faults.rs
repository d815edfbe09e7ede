//! An upstream that breaks: UNAVAILABLE, and the next call is served.

use std::time::Duration;

use jwks_gateway::settings::Settings;
use tokio::net::TcpListener;
use tonic::Code;

use crate::support::{Gateway, Reply, Upstream, list, told};

const UNREACHABLE: (Code, &str, &str) = (Code::Unavailable, "jwks-gateway", "UPSTREAM_UNREACHABLE");

#[tokio::test]
async fn an_answer_that_breaks_off_is_unavailable_and_the_next_call_is_served() {
    let half = || Reply::head(200, &[], 1000).send(r#"{"success": true, "resultList": []}"#);
    let gzip = || Reply::head(200, &[("content-encoding", "gzip")], 1000).send(b"\x1f\x8b\x08\0\0");
    let faults = [
        ("closed without a word", Reply::nothing().close(), None),
        ("reset without a word", Reply::nothing().reset(), None),
        ("closed within the head", Reply::raw("HTTP/1.1 200 OK\r\ncontent-le").close(), None),
        ("closed before a declared body", Reply::head(200, &[], 35).close(), Some("200")),
        ("closed within a declared body", half().close(), Some("200")),
        ("reset within a declared body", half().reset(), Some("200")),
        ("closed within a declared error body", Reply::head(500, &[], 1000).send("{").close(), Some("500")),
        ("closed within a chunk", Reply::chunked().send("ff\r\n{").close(), Some("200")),
        ("closed between chunks", Reply::chunked().send("1\r\n{\r\n").close(), Some("200")),
        ("a chunk without a size", Reply::chunked().send("secret\r\n").close(), Some("200")),
        ("closed within a gzip body", gzip().close(), Some("200")),
    ];
    for (fault, reply, http_status) in faults {
        let upstream =
            Upstream::scripted(
                move |head| {
                    if head.contains("/Broken/") { reply.clone() } else { list(r#"{"name": "a"}"#) }
                },
            )
            .await;
        let gateway = Gateway::before(&upstream).await;
        let told = told(&gateway.refusal("Broken").await);
        assert_eq!(told.verdict(), UNREACHABLE, "{fault}");
        // After a reset the head may be lost with the rest.
        if !fault.starts_with("reset") {
            assert_eq!(told.http_status(), http_status, "{fault}");
        }
        assert_eq!(gateway.list("Whole").await.expect(fault).len(), 1);
    }
}

#[tokio::test]
async fn what_is_no_http_is_unavailable() {
    let long = "x".repeat(100_000);
    let huge_head = format!("HTTP/1.1 200 OK\r\n{}", format!("x-filler: {long}\r\n").repeat(20));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    let no_http: [&[u8]; 9] = [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        huge_head.as_bytes(),
        many_headers.as_bytes(),
    ];
    for bytes in no_http {
        let upstream = Upstream::answering(Reply::raw(bytes).close()).await;
        let told = told(&Gateway::before(&upstream).await.refusal("P").await);
        assert_eq!(told.verdict(), UNREACHABLE, "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
        assert_eq!(told.http_status(), None);
    }
}

#[tokio::test]
async fn bytes_after_a_whole_answer_are_not_taken_for_the_next_one() {
    let injected = list(r#"{"name": "real"}"#)
        .send("HTTP/1.1 200 OK\r\ncontent-length: 35\r\n\r\n{\"success\": true, \"resultList\": []}");
    let upstream = Upstream::answering(injected.close()).await;
    let gateway = Gateway::before(&upstream).await;
    for _ in 0..10 {
        assert_eq!(gateway.list("P").await.expect("a list")[0].name, "real");
    }
}

async fn refusal_by(upstream: &str) -> told::Told {
    told(&Gateway::with(Settings { upstream: Some(upstream.into()), ..Settings::default() }).await.refusal("P").await)
}

#[tokio::test]
async fn a_refused_connection_is_unavailable_and_shows_no_address() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
    let told = refusal_by(&format!("http://{closed}")).await;
    assert_eq!(told.verdict(), UNREACHABLE);
    assert_eq!(told.http_status(), None);
    assert!(!told.message.contains("127.0.0.1") && !told.message.contains(&closed.port().to_string()));
}

#[tokio::test]
async fn a_host_without_an_address_is_unavailable() {
    let told = refusal_by("https://no-such-host.invalid").await;
    assert_eq!(told.verdict(), UNREACHABLE);
    assert!(!told.message.contains("invalid"), "{}", told.message);
}

#[tokio::test]
async fn an_upstream_that_fails_the_tls_handshake_is_unavailable() {
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("https://{}", plain.local_addr().expect("an address"));
    tokio::spawn(async move { while plain.accept().await.is_ok() {} });
    assert_eq!(refusal_by(&url).await.verdict(), UNREACHABLE);
}

#[tokio::test]
async fn connecting_has_a_limit_of_its_own() {
    // It accepts, but never answers the TLS handshake, which is part of connecting.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let gateway = Gateway::with(Settings {
        upstream: Some(format!("https://{}", silent.local_addr().expect("an address")).into()),
        connect_timeout: Some("50ms".into()),
        upstream_timeout: Some("1h".into()),
        ..Settings::default()
    })
    .await;
    let refusal = tokio::time::timeout(Duration::from_secs(60), gateway.refusal("P")).await.expect("an end");
    assert_eq!(told(&refusal).verdict(), UNREACHABLE);
}
