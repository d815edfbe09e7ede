//! The log: the causes of failures for the operator, and no secret at any level.

use rustix::process::Signal;

use crate::support::{
    Reply, TOKEN, Upstream, caller,
    frames::{ACK, PING, Peer, frame},
    gateway, list,
    process::{Process, command},
};

#[tokio::test]
async fn a_failed_call_is_logged_with_its_causes() {
    let upstream = Upstream::answering(Reply::nothing().close()).await;
    let process = Process::serve(&upstream.url(), &[]).await;
    gateway::list(gateway::channel(process.address).await, "P").await.expect_err("an error");
    process.signal(Signal::TERM);
    let (_, log) = process.ended().await;
    let event: serde_json::Value = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find(|event: &serde_json::Value| event["reason"] == "UPSTREAM_UNREACHABLE")
        .expect("an event for the failure");
    assert_eq!((event["level"].as_str(), event["code"].as_str()), (Some("WARN"), Some("Unavailable")));
    assert!(
        event["causes"].as_str().expect("causes").contains("connection closed before message completed"),
        "{event}"
    );
}

#[tokio::test]
async fn the_token_is_in_no_log_at_any_level_whatever_happens() {
    let upstream = Upstream::scripted(|head| match head {
        close if close.contains("/Close/") => Reply::nothing().close(),
        stall if stall.contains("/Stall/") => Reply::nothing().stall(),
        denied if denied.contains("/Denied/") => {
            Reply::json(401, r#"{"error": "invalid_token", "error_description": "Invalid token"}"#)
        }
        echo if echo.contains("/Echo/") => {
            Reply::json(500, format!(r#"{{"error": "internal_error", "error_description": "no session for {TOKEN}"}}"#))
        }
        page if page.contains("/Page/") => Reply::http(200, &[("content-type", "text/html")], "<html></html>"),
        moved if moved.contains("/Moved/") => Reply::http(302, &[("location", "http://elsewhere.invalid/")], ""),
        _ => list(r#"{"name": "a"}"#),
    })
    .await;
    for format in ["text", "json"] {
        let args = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream.url(), "--log-format", format];
        let process = Process::start(command(&args).env("RUST_LOG", "trace")).await;
        for project in ["P", "Close", "Stall", "Denied", "Echo", "Page", "Moved", "..", ""] {
            caller::call(process.address, project, &[("grpc-timeout", "200m")]).await;
        }
        let malformed = format!("Basic {TOKEN}");
        for authorization in [&*malformed, &format!("Bearer {TOKEN} {TOKEN}")] {
            let metadata = [("authorization", authorization)];
            let request = caller::request(process.address, &metadata, caller::message("P"));
            caller::connect(process.address).await.send_request(request).await.expect("a response");
        }
        process.signal(Signal::TERM);
        let (_, log) = process.ended().await;
        assert!(log.contains("TRACE"), "{format}: trace is on");
        assert!(!log.contains('\u{1b}'), "{format}: no colours where there is no terminal");
        if let Some(line) = log.lines().find(|line| line.contains(TOKEN)) {
            panic!("{format}: the token is in the log: {line}");
        }
    }
}

#[tokio::test]
async fn odd_frames_do_not_fill_the_log() {
    let upstream = Upstream::answering(list("")).await;
    let process = Process::serve(&upstream.url(), &[]).await;
    let mut peer = Peer::connect(process.address).await;
    // Answers to pings that were never sent.
    peer.send(&frame(PING, ACK, 0, [0; 8]).repeat(1_000)).await;
    gateway::list(gateway::channel(process.address).await, "P").await.expect("a list");
    drop(peer);
    process.signal(Signal::TERM);
    let (_, log) = process.ended().await;
    assert!(log.lines().count() < 100, "{} lines", log.lines().count());
}
