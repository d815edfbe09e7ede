//! SIGTERM and SIGINT: running calls finish, nobody holds the process up.

use std::time::Duration;

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::support::{Reply, Upstream, gateway, list, process::Process};

/// An upstream that answers slowly enough for a signal to come first.
async fn slow_upstream() -> Upstream {
    let body = r#"{"success": true, "resultList": [{"name": "a"}]}"#;
    Upstream::answering(Reply::head(200, &[], body.len()).drip(body, Duration::from_millis(10))).await
}

#[tokio::test]
async fn a_running_call_finishes_and_the_exit_code_is_zero() {
    for signal in [Signal::TERM, Signal::INT] {
        let upstream = slow_upstream().await;
        let process = Process::serve(&upstream.url(), &[]).await;
        let call = tokio::spawn(gateway::list(gateway::channel(process.address).await, "P"));
        upstream.arrived(1).await;
        process.signal(signal);
        assert_eq!(call.await.expect("no panic").expect("a list").len(), 1);
        let (code, log) = process.ended().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("drained"), "{log}");
    }
}

#[tokio::test]
async fn who_watches_the_health_sees_not_serving_and_the_end() {
    let upstream = slow_upstream().await;
    let process = Process::serve(&upstream.url(), &[]).await;
    let channel = gateway::channel(process.address).await;
    let mut watches = Vec::new();
    for service in ["", "apinizer.apiops.v1.JwkService"] {
        let request = HealthCheckRequest { service: service.into() };
        let mut watch = HealthClient::new(channel.clone()).watch(request).await.expect("a watch").into_inner();
        assert_eq!(watch.message().await.expect("no error").expect("a status").status(), ServingStatus::Serving);
        watches.push(watch);
    }
    process.signal(Signal::TERM);
    for watch in &mut watches {
        assert_eq!(watch.message().await.expect("no error").expect("a status").status(), ServingStatus::NotServing);
        assert_eq!(watch.message().await.expect("no error"), None);
    }
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn no_connection_is_accepted_while_draining() {
    let upstream = slow_upstream().await;
    let mut process = Process::serve(&upstream.url(), &[]).await;
    let call = tokio::spawn(gateway::list(gateway::channel(process.address).await, "P"));
    upstream.arrived(1).await;
    process.signal(Signal::TERM);
    process.logged("draining").await;
    while TcpStream::connect(process.address).await.is_ok() {}
    assert_eq!(call.await.expect("no panic").expect("a list").len(), 1);
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn peers_that_never_speak_do_not_hold_up_the_drain() {
    let upstream = Upstream::answering(list("")).await;
    let process = Process::serve(&upstream.url(), &["--drain-timeout", "1h"]).await;
    let silent = TcpStream::connect(process.address).await.expect("a connection");
    let mut half = TcpStream::connect(process.address).await.expect("a connection");
    half.write_all(b"PRI * HTTP/2.0\r\n").await.expect("half a preface");
    let mut deaf = TcpStream::connect(process.address).await.expect("a connection");
    deaf.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("a preface");
    deaf.read_u8().await.expect("the gateway's settings");
    process.signal(Signal::TERM);
    let ended = tokio::time::timeout(Duration::from_secs(60), process.ended()).await.expect("an end");
    assert_eq!(ended.0, Some(0), "{}", ended.1);
    drop((silent, half, deaf));
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_at_the_drain_timeout_and_the_exit_code_says_so() {
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let process = Process::serve(&upstream.url(), &["--drain-timeout", "100ms", "--upstream-timeout", "1h"]).await;
    let call = tokio::spawn(gateway::list(gateway::channel(process.address).await, "P"));
    upstream.arrived(1).await;
    process.signal(Signal::TERM);
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains(r#""calls":1"#), "{log}");
    call.await.expect("no panic").expect_err("it was cut");
}

#[tokio::test]
async fn a_second_signal_ends_the_drain_at_once() {
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let mut process = Process::serve(&upstream.url(), &["--drain-timeout", "1h", "--upstream-timeout", "1h"]).await;
    let call = tokio::spawn(gateway::list(gateway::channel(process.address).await, "P"));
    upstream.arrived(1).await;
    process.signal(Signal::TERM);
    process.logged("draining").await;
    process.signal(Signal::INT);
    assert_eq!(process.ended().await.0, Some(3));
    call.await.expect("no panic").expect_err("it was cut");
}

#[tokio::test]
async fn hundreds_of_connections_without_a_call_do_not_hold_up_the_drain() {
    let upstream = Upstream::answering(list("")).await;
    // Few enough for the usual limits on file descriptors, with other tests beside.
    let process = Process::serve(&upstream.url(), &["--drain-timeout", "1h"]).await;
    let mut silent = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..150 {
        silent.push(TcpStream::connect(process.address).await.expect("a connection"));
    }
    for _ in 0..25 {
        idle.push(gateway::channel(process.address).await);
    }
    gateway::list(idle[0].clone(), "P").await.expect("a list");
    process.signal(Signal::TERM);
    let ended = tokio::time::timeout(Duration::from_secs(60), process.ended()).await.expect("an end");
    assert_eq!(ended.0, Some(0), "{}", ended.1);
}
