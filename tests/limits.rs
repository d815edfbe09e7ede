//! The limit on bodies: declared or counted, before and after decompression, and what it means for memory.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use jwks_gateway::config::Settings;
use tonic::Code;

use crate::support::{Gateway, Reply, Upstream, gateway, list, process::Process, told};

const TOO_LARGE: (Code, &str, &str) = (Code::ResourceExhausted, "jwks-gateway", "UPSTREAM_TOO_LARGE");

async fn gateway_with_limit(upstream: &Upstream, limit: impl ToString) -> Gateway {
    Gateway::with(Settings {
        upstream: Some(upstream.url().into()),
        max_response_bytes: Some(limit.to_string().into()),
        ..Settings::default()
    })
    .await
}

fn gzip(parts: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    parts.for_each(|part| packed.write_all(&part).expect("gzip"));
    packed.finish().expect("gzip")
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_taken_and_one_byte_more_is_not() {
    let body = r#"{"success": true, "resultList": [{"name": "a"}]}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let replies = [
        ("declared", Reply::json(200, body)),
        ("counted", Reply::chunked().send(chunked)),
        ("until the end", Reply::raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").send(body).close()),
    ];
    for (how, reply) in replies {
        let upstream = Upstream::answering(reply).await;
        let exact = gateway_with_limit(&upstream, body.len()).await;
        assert_eq!(exact.list("P").await.expect(how).len(), 1);
        let short = gateway_with_limit(&upstream, body.len() - 1).await;
        let told = told(&short.refusal("P").await);
        assert_eq!((told.verdict(), told.http_status()), (TOO_LARGE, Some("200")), "{how}");
    }
}

#[tokio::test]
async fn the_limit_holds_after_decompression() {
    let body = format!(r#"{{"success": true, "resultList": [], "filler": "{}"}}"#, " ".repeat(10_000));
    let packed = gzip([body.clone().into_bytes()].into_iter());
    assert!(packed.len() < 200);
    let upstream = Upstream::answering(Reply::http(200, &[("content-encoding", "gzip")], packed)).await;
    assert_eq!(gateway_with_limit(&upstream, body.len()).await.list("P").await.expect("a list"), []);
    let told = told(&gateway_with_limit(&upstream, body.len() - 1).await.refusal("P").await);
    assert_eq!(told.verdict(), TOO_LARGE);
}

#[tokio::test]
async fn the_limit_holds_before_decompression() {
    // Members without content: any number of bytes that unpack to none.
    let nothing = gzip(std::iter::empty());
    let endless = Reply::raw("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n");
    let upstream = Upstream::answering(endless.repeat(nothing.repeat(1000), 1_000_000).close()).await;
    assert_eq!(told(&gateway_with_limit(&upstream, "64KiB").await.refusal("P").await).verdict(), TOO_LARGE);
    upstream.given_up(1).await;
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_the_body() {
    let upstream = Upstream::answering(Reply::head(200, &[], u64::MAX / 2).stall()).await;
    assert_eq!(told(&gateway_with_limit(&upstream, "16MiB").await.refusal("P").await).verdict(), TOO_LARGE);
    upstream.given_up(1).await;
}

#[tokio::test]
async fn the_limit_holds_for_error_bodies_too() {
    let upstream = Upstream::answering(Reply::json(500, "x".repeat(2000))).await;
    let told = told(&gateway_with_limit(&upstream, 1000).await.refusal("P").await);
    assert_eq!((told.verdict(), told.http_status()), (TOO_LARGE, Some("500")));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn endless_streams_and_gzip_bombs_end_with_the_process_under_200_megabytes() {
    let mebibyte = vec![b' '; 1 << 20];
    let bomb = gzip(std::iter::repeat_n(mebibyte.clone(), 200));
    let bomb = Reply::http(200, &[("content-encoding", "gzip")], bomb);
    let chunk = [b"100000\r\n", &mebibyte[..], b"\r\n"].concat();
    let upstream = Upstream::scripted(move |head| match head {
        bomb_wanted if bomb_wanted.contains("/Bomb/") => bomb.clone(),
        stream_wanted if stream_wanted.contains("/Chunks/") => Reply::chunked().repeat(&chunk, 2048).close(),
        stream_wanted if stream_wanted.contains("/Stream/") => {
            Reply::raw("HTTP/1.1 200 OK\r\n\r\n").repeat(&mebibyte, 2048).close()
        }
        _ => list(""),
    })
    .await;
    let process = Process::serve(&upstream.url(), &[]).await;
    let channel = gateway::channel(process.address).await;
    for project in ["Bomb", "Chunks", "Stream", "Bomb", "Chunks", "Stream"] {
        let refusal = gateway::list(channel.clone(), project).await.expect_err("too large");
        assert_eq!(told(&refusal).verdict(), TOO_LARGE, "{project}");
    }
    gateway::list(channel, "P").await.expect("the next call is served");
    assert!(process.peak_memory() < 200_000_000, "{} bytes", process.peak_memory());
}
