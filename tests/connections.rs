//! Connections: how many, how long, and what becomes of peers that say nothing.

use std::{io, time::Duration};

use futures_util::future::join_all;
use hyper_util::rt::TokioIo;
use jwks_gateway::{config::ConnectionLimits, listener::Listener};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tonic::transport::{Channel, Endpoint};

use crate::support::{
    Gateway, Reply, Upstream, caller, gateway, list,
    process::{Process, command},
};

/// Everything that a peer still gets until the gateway closes the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let closed = timeout(Duration::from_secs(60), stream.read_to_end(&mut received)).await.expect("an end");
    let _ = closed;
    received
}

/// Whether there is a GOAWAY among these frames.
fn has_goaway(mut frames: &[u8]) -> bool {
    while let [a, b, c, kind, rest @ ..] = frames {
        if *kind == 7 {
            return true;
        }
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        frames = rest.get(5 + length..).unwrap_or_default();
    }
    false
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn a_peer_that_does_not_finish_the_preface_is_closed() {
    let upstream = Upstream::answering(list("")).await;
    let limits = ConnectionLimits { handshake_timeout: Duration::from_millis(100), ..ConnectionLimits::default() };
    let gateway = Gateway::limiting(&upstream, limits).await;
    for beginning in [&b""[..], b"PRI * HTTP/2.0\r\n", &PREFACE[..24]] {
        let mut stream = TcpStream::connect(gateway.address).await.expect("a connection");
        stream.write_all(beginning).await.expect("a part of the preface");
        until_closed(stream).await;
    }
    // Who has finished it may stay.
    let channel = gateway.channel().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    gateway::list(channel, "P").await.expect("a list");
}

#[tokio::test]
async fn what_is_no_http2_is_closed_at_once() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    for greeting in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", &[0; 64]] {
        let mut stream = TcpStream::connect(gateway.address).await.expect("a connection");
        stream.write_all(greeting).await.expect("a greeting");
        until_closed(stream).await;
    }
    gateway.list("P").await.expect("the next call is served");
}

#[tokio::test]
async fn a_dead_peer_is_found_by_a_ping() {
    let upstream = Upstream::answering(list("")).await;
    let limits = ConnectionLimits { keepalive: Duration::from_millis(100), ..ConnectionLimits::default() };
    let gateway = Gateway::limiting(&upstream, limits).await;
    let mut deaf = TcpStream::connect(gateway.address).await.expect("a connection");
    deaf.write_all(PREFACE).await.expect("a preface");
    until_closed(deaf).await;

    // Who answers may stay, however quiet.
    let channel = gateway.channel().await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    gateway::list(channel, "P").await.expect("a list");
}

#[tokio::test]
async fn an_old_connection_gets_a_goaway_and_its_calls_finish() {
    let body = r#"{"success": true, "resultList": [{"name": "a"}]}"#;
    let slow = Reply::head(200, &[], body.len()).drip(body, Duration::from_millis(10));
    let upstream = Upstream::answering(slow).await;
    let limits = ConnectionLimits {
        max_age: Duration::from_millis(100),
        // So that it is not this that ends the idle one.
        keepalive: Duration::from_secs(3600),
        ..ConnectionLimits::default()
    };
    let gateway = Gateway::limiting(&upstream, limits).await;
    // Each call outlives the connection that it came by; the channel opens another for the next.
    let channel = gateway.channel().await;
    for _ in 0..3 {
        assert_eq!(gateway::list(channel.clone(), "P").await.expect("a list").len(), 1);
    }

    let mut idle = TcpStream::connect(gateway.address).await.expect("a connection");
    idle.write_all(PREFACE).await.expect("a preface");
    assert!(has_goaway(&until_closed(idle).await));
}

#[tokio::test]
async fn an_old_connection_ends_after_a_grace_period_even_if_its_call_does_not() {
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let limits = ConnectionLimits {
        max_age: Duration::from_millis(100),
        drain_timeout: Duration::from_millis(100),
        ..ConnectionLimits::default()
    };
    let gateway = Gateway::limiting(&upstream, limits).await;
    let cut = gateway.refusal("P").await;
    assert!(cut.details().is_empty(), "the connection ended, the gateway did not answer: {cut:?}");
    upstream.given_up(1).await;
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let upstream = Upstream::answering(list("")).await;
    let limits = ConnectionLimits { max_connections: 2, ..ConnectionLimits::default() };
    let gateway = Gateway::limiting(&upstream, limits).await;
    let first = TcpStream::connect(gateway.address).await.expect("a connection");
    let _second = TcpStream::connect(gateway.address).await.expect("a connection");
    let mut third = TcpStream::connect(gateway.address).await.expect("a place in the backlog");
    third.write_all(PREFACE).await.expect("a preface");
    assert!(timeout(Duration::from_millis(200), third.read_u8()).await.is_err(), "nobody serves it yet");
    drop(first);
    third.read_u8().await.expect("the gateway's settings");
}

#[tokio::test]
async fn no_more_streams_run_at_once_than_a_connection_may_have() {
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let limits = ConnectionLimits { max_streams: 3, ..ConnectionLimits::default() };
    let gateway = Gateway::limiting(&upstream, limits).await;
    let channel = gateway.channel().await;
    let calls: Vec<_> = (0..10).map(|_| tokio::spawn(gateway::list(channel.clone(), "P"))).collect();
    upstream.arrived(3).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(upstream.requests().len(), 3);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    upstream.given_up(3).await;
    let _next = tokio::spawn(gateway::list(channel, "P"));
    upstream.arrived(4).await;
}

#[tokio::test]
async fn metadata_over_the_limit_are_refused_and_the_next_call_is_served() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let mut connection = caller::connect(gateway.address).await;
    let long = "x".repeat(20_000);
    let request = caller::request(gateway.address, &[("x-long", &long)], caller::message("P"));
    match connection.send_request(request).await {
        Ok(response) => assert_eq!(response.status(), 431),
        Err(error) => panic!("an answer, not {error}"),
    }
    gateway.list("P").await.expect("a list");
    assert_eq!(upstream.requests().len(), 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_file_descriptors_it_waits_and_then_serves_again() {
    let upstream = Upstream::answering(list(r#"{"name": "a"}"#)).await;
    let program = command(&[]).as_std().get_program().to_string_lossy().into_owned();
    let script = format!(
        "ulimit -n 40; exec {program} serve --listen 127.0.0.1:0 --log-format json --upstream {}",
        upstream.url()
    );
    let mut shell = tokio::process::Command::new("/bin/sh");
    let mut process = Process::start(shell.args(["-c", &script]).kill_on_drop(true)).await;
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(TcpStream::connect(process.address).await.expect("a place in the backlog"));
    }
    process.logged("cannot accept a connection").await;
    drop(idle);
    assert_eq!(gateway::list(gateway::channel(process.address).await, "P").await.expect("a list").len(), 1);
    // It paused between failures: a spinning loop would have written far more in this time.
    process.signal(rustix::process::Signal::TERM);
    let (_, log) = process.ended().await;
    assert!(log.matches("cannot accept").count() < 100, "{log}");
}

async fn unix_channel(path: &str) -> Channel {
    let path = path.to_owned();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await.expect("a connection")
}

#[tokio::test]
async fn a_unix_socket_serves_replaces_what_a_dead_process_left_and_is_removed_at_the_end() {
    let upstream = Upstream::answering(list(r#"{"name": "a"}"#)).await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("gateway.sock");
    // Dropped without being removed, as after a SIGKILL.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));

    let path = path.to_str().expect("UTF-8");
    let args = ["serve", "--listen", &format!("unix:{path}"), "--upstream", &upstream.url()];
    let process = Process::start(&mut command(&args)).await;
    assert_eq!(gateway::list(unix_channel(path).await, "P").await.expect("a list").len(), 1);

    let taken = command(&args).output().await.expect("the command runs");
    assert_eq!(taken.status.code(), Some(1), "another process may not take a socket that is in use");

    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.ended().await.0, Some(0));
    assert!(!std::path::Path::new(path).exists());
}

#[tokio::test]
async fn callers_who_come_all_at_once_find_room_before_they_are_accepted() {
    let listener = Listener::bind(&"127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let address = listener.address().expect("an address").to_string();
    let coming = (0..500).map(|_| timeout(Duration::from_secs(60), TcpStream::connect(&address)));
    for came in join_all(coming).await {
        came.expect("in time").expect("a connection");
    }
}
