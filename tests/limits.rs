//! The limits on bodies, declared or counted, before and after decompression; on memory; and on calls at once.

use std::{io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use jwks_gateway::settings::Settings;
use tokio::time::timeout;
use tonic::Code;

use crate::support::{Gateway, Reply, TOKEN, Upstream, caller, gateway, list, process::Process, told};

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

/// A gateway with these limits on calls.
async fn gateway_for(upstream: &Upstream, in_flight: &str, queued: &str) -> Gateway {
    Gateway::with(Settings {
        upstream: Some(upstream.url().into()),
        upstream_timeout: Some("1h".into()),
        max_in_flight: Some(in_flight.into()),
        max_queued: Some(queued.into()),
        // All ask the same here, and each is to have an upstream call of its own.
        coalesce: Some("off".into()),
        ..Settings::default()
    })
    .await
}

fn assert_overloaded(refusal: &tonic::Status) {
    let told = told(refusal);
    assert_eq!(told.verdict(), (Code::ResourceExhausted, "jwks-gateway", "OVERLOADED"));
    assert_eq!(told.retry_after, Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn calls_over_the_limit_wait_and_calls_over_the_queue_are_turned_away_at_once() {
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let gateway = gateway_for(&upstream, "2", "1").await;
    let channel = gateway.channel().await;
    let running: Vec<_> = (0..2).map(|_| tokio::spawn(gateway::list(channel.clone(), "P"))).collect();
    upstream.arrived(2).await;
    // One of these has the only place in the queue; the other is turned away.
    let mut waiting: FuturesUnordered<_> = (0..2).map(|_| tokio::spawn(gateway::list(channel.clone(), "P"))).collect();
    let turned_away = timeout(Duration::from_secs(60), waiting.next()).await.expect("an answer at once");
    let turned_away = turned_away.expect("a call").expect("no panic").expect_err("an error");
    assert_overloaded(&turned_away);
    assert_eq!(upstream.requests().len(), 2);

    // Whoever leaves makes room.
    running[0].abort();
    upstream.arrived(3).await;
}

#[tokio::test]
async fn a_call_waits_in_the_queue_no_longer_than_its_deadline_and_leaves_no_trace() {
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let gateway = gateway_for(&upstream, "1", "1").await;
    let running = tokio::spawn(gateway::list(gateway.channel().await, "P"));
    upstream.arrived(1).await;
    for _ in 0..3 {
        let refusal = caller::call(gateway.address, "P", &[("grpc-timeout", "50m")]).await;
        assert_eq!(told(&refusal).reason, "DEADLINE_EXCEEDED");
    }
    assert_eq!(upstream.requests().len(), 1);
    running.abort();
}

#[tokio::test]
async fn our_own_timeout_covers_the_queue() {
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let gateway = Gateway::with(Settings {
        upstream: Some(upstream.url().into()),
        upstream_timeout: Some("300ms".into()),
        max_in_flight: Some("1".into()),
        coalesce: Some("off".into()),
        ..Settings::default()
    })
    .await;
    let channel = gateway.channel().await;
    let calls: Vec<_> = (0..3).map(|_| tokio::spawn(gateway::list(channel.clone(), "P"))).collect();
    for call in calls {
        let refusal = call.await.expect("no panic").expect_err("an error");
        assert_eq!(told(&refusal).verdict(), (Code::DeadlineExceeded, "jwks-gateway", "UPSTREAM_TIMEOUT"));
    }
}

#[tokio::test]
async fn answers_that_nobody_takes_count_until_they_are_taken_or_given_up() {
    let filler = "x".repeat(1_000_000);
    let upstream = Upstream::answering(list(&format!(r#"{{"name": "{filler}"}}"#))).await;
    let gateway = gateway_with_limit(&upstream, "1MiB").await;
    let authorization = format!("Bearer {TOKEN}");
    let mut callers = Vec::new();
    for _ in 0..8 {
        let mut caller = caller::connect(gateway.address).await;
        let request = caller::request(gateway.address, &[("authorization", &authorization)], caller::message("P"));
        let untaken = caller.send_request(request).await.expect("a head");
        callers.push((caller, untaken));
    }
    // Eight bodies of the largest size are all that there is memory for.
    assert_overloaded(&gateway.refusal("P").await);

    let (_caller, taken) = callers.pop().expect("a caller");
    assert_eq!(caller::status(taken).await.code(), Code::Ok);
    assert_eq!(gateway.list("P").await.expect("room for one").len(), 1);

    for (caller, _untaken) in callers {
        caller.hang_up();
    }
    // The gateway sees it in its own time.
    while let Err(not_yet) = gateway.list("P").await {
        assert_overloaded(&not_yet);
    }
    let all: Vec<_> = (0..4).map(|_| gateway.list("P")).collect();
    for answered in futures_util::future::join_all(all).await {
        answered.expect("room for four");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn many_tiny_entries_take_no_more_memory_than_a_few_large_ones() {
    // 16 MB of JSON with 1.3 million entries: more than 250 MB as owned messages.
    let entries = vec![r#"{"name":""}"#; 1_350_000].join(",");
    let upstream = Upstream::answering(list(&entries)).await;
    let process = Process::serve(&upstream.url(), &[]).await;
    let channel = gateway::channel(process.address).await;
    for _ in 0..3 {
        assert_eq!(gateway::list(channel.clone(), "P").await.expect("a list").len(), 1_350_000);
    }
    assert!(process.peak_memory() < 100_000_000, "{} bytes", process.peak_memory());
}
