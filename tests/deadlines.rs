//! Deadlines and cancellation, the caller's and our own.

use std::time::Duration;

use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use jwks_gateway::settings::Settings;
use prost::bytes::Bytes;
use tonic::Code;

use crate::support::{Gateway, Reply, TOKEN, Upstream, caller, gateway, list, told};

/// Upstreams that never finish, each in its own way.
fn endless() -> [(&'static str, Reply, Option<&'static str>); 4] {
    let second = Duration::from_millis(20);
    [
        ("no answer", Reply::nothing().stall(), None),
        ("half a head", Reply::raw("HTTP/1.1 200 OK\r\n").stall(), None),
        ("half a body", Reply::head(200, &[], 1000).send("{\"success\"").stall(), Some("200")),
        ("a body that drips", Reply::head(200, &[], 1_000_000).drip("[".repeat(1_000_000), second), Some("200")),
    ]
}

#[tokio::test]
async fn the_callers_deadline_is_answered_by_the_gateway_and_ends_the_upstream_call() {
    for (how, reply, _) in endless() {
        let upstream = Upstream::answering(reply).await;
        let gateway = Gateway::before(&upstream).await;
        let status = caller::call(gateway.address, "MyProject", &[("grpc-timeout", "100m")]).await;
        let told = told(&status);
        assert_eq!(told.verdict(), (Code::DeadlineExceeded, "jwks-gateway", "DEADLINE_EXCEEDED"), "{how}");
        assert_eq!(told.metadata["project"], "MyProject");
        upstream.given_up(1).await;
    }
}

#[tokio::test]
async fn our_own_timeout_covers_the_head_and_a_body_that_drips() {
    for (how, reply, http_status) in endless() {
        let upstream = Upstream::answering(reply).await;
        let gateway = Gateway::with(Settings {
            upstream: Some(upstream.url().into()),
            upstream_timeout: Some("100ms".into()),
            ..Settings::default()
        })
        .await;
        let told = told(&gateway.refusal("P").await);
        assert_eq!(told.verdict(), (Code::DeadlineExceeded, "jwks-gateway", "UPSTREAM_TIMEOUT"), "{how}");
        assert_eq!(told.http_status(), http_status, "{how}");
        upstream.given_up(1).await;
    }
}

#[tokio::test]
async fn a_deadline_that_has_passed_calls_no_upstream() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let status = caller::call(gateway.address, "P", &[("grpc-timeout", "0m")]).await;
    assert_eq!(told(&status).reason, "DEADLINE_EXCEEDED");
    assert_eq!(upstream.requests(), [""; 0]);
}

#[tokio::test]
async fn a_generous_or_malformed_deadline_changes_nothing() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    for timeout in ["99999999H", "10S", "soon", "", "1", "123456789n", "-1S"] {
        let status = caller::call(gateway.address, "P", &[("grpc-timeout", timeout)]).await;
        assert_eq!(status.code(), Code::Ok, "{timeout}: {status:?}");
    }
}

#[tokio::test]
async fn a_call_whose_message_never_comes_ends_at_its_deadline() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::convert::Infallible>>());
    let authorization = format!("Bearer {TOKEN}");
    let metadata = [("authorization", authorization.as_str()), ("grpc-timeout", "100m")];
    let request = caller::request(gateway.address, &metadata, never.boxed());
    let response = caller::connect(gateway.address).await.send_request(request).await.expect("a response");
    assert_eq!(told(&caller::status(response).await).reason, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_caller_who_cancels_ends_the_upstream_call() {
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let gateway = Gateway::with(Settings {
        upstream: Some(upstream.url().into()),
        upstream_timeout: Some("1h".into()),
        ..Settings::default()
    })
    .await;
    let call = tokio::spawn(gateway::list(gateway.channel().await, "P"));
    upstream.arrived(1).await;
    call.abort();
    upstream.given_up(1).await;
}

#[tokio::test]
async fn a_caller_who_disconnects_ends_the_upstream_call() {
    let upstream = Upstream::answering(Reply::head(200, &[], 1000).send("{").stall()).await;
    let gateway = Gateway::with(Settings {
        upstream: Some(upstream.url().into()),
        upstream_timeout: Some("1h".into()),
        ..Settings::default()
    })
    .await;
    let mut caller = caller::connect(gateway.address).await;
    let authorization = format!("Bearer {TOKEN}");
    let request = caller::request(gateway.address, &[("authorization", &authorization)], caller::message("P"));
    let call = tokio::spawn(caller.send_request(request));
    upstream.arrived(1).await;
    caller.hang_up();
    upstream.given_up(1).await;
    call.await.expect("no panic").expect_err("the connection is gone");
}
