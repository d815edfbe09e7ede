//! The caller's token: passed on verbatim, or refused before anything is sent.

use std::convert::Infallible;

use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tonic::Code;

use crate::support::{Gateway, Upstream, caller, list, told};

/// The status of a call with exactly these `authorization` values.
async fn call(upstream: &Upstream, authorizations: &[&str]) -> tonic::Status {
    let gateway = Gateway::before(upstream).await;
    let metadata: Vec<_> = authorizations.iter().map(|&value| ("authorization", value)).collect();
    let request = caller::request(gateway.address, &metadata, caller::message("MyProject"));
    caller::status(caller::connect(gateway.address).await.send_request(request).await.expect("a response")).await
}

#[tokio::test]
async fn the_callers_authorization_is_passed_on_verbatim() {
    for authorization in ["Bearer abc", "bearer abc.DEF-_~+/9==", "BEARER  two-spaces"] {
        let upstream = Upstream::answering(list("")).await;
        assert_eq!(call(&upstream, &[authorization]).await.code(), Code::Ok);
        assert!(upstream.requests()[0].contains(&format!("\r\nauthorization: {authorization}\r\n")));
    }
}

#[tokio::test]
async fn a_call_without_authorization_is_refused() {
    let upstream = Upstream::answering(list("")).await;
    let told = told(&call(&upstream, &[]).await);
    assert_eq!(told.verdict(), (Code::Unauthenticated, "jwks-gateway", "CREDENTIALS_MISSING"));
    assert_eq!((told.metadata["project"].as_str(), told.http_status()), ("MyProject", None));
    assert_eq!(upstream.requests(), [""; 0]);
}

#[tokio::test]
async fn any_authorization_but_one_bearer_token_is_refused() {
    let upstream = Upstream::answering(list("")).await;
    let malformed: [&[&str]; 9] = [
        &[""],
        &["Bearer"],
        &["Bearer "],
        &["Basic dXNlcjpwYXNz"],
        &["secret-token"],
        &["Bearer secret token"],
        &["Bearer secret, Bearer secret"],
        &["Bearer secret", "Bearer secret"],
        &["Bearer secret", "Basic secret"],
    ];
    for authorizations in malformed {
        let told = told(&call(&upstream, authorizations).await);
        assert_eq!(
            told.verdict(),
            (Code::Unauthenticated, "jwks-gateway", "CREDENTIALS_INVALID"),
            "{authorizations:?}"
        );
        assert!(!told.message.contains("secret"), "{}", told.message);
    }
    assert_eq!(upstream.requests(), [""; 0]);
}

#[tokio::test]
async fn each_call_on_a_connection_has_its_own_token() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let mut connection = caller::connect(gateway.address).await;
    for token in ["Bearer first", "Bearer second"] {
        let request = caller::request(gateway.address, &[("authorization", token)], caller::message("MyProject"));
        connection.send_request(request).await.expect("a response");
    }
    let request = caller::request(gateway.address, &[], caller::message("MyProject"));
    let refusal = caller::status(connection.send_request(request).await.expect("a response")).await;
    assert_eq!(refusal.code(), Code::Unauthenticated);
    let [first, second] = &upstream.requests()[..] else { panic!("two requests") };
    assert!(first.contains("Bearer first\r\n") && second.contains("Bearer second\r\n"));
}

#[tokio::test]
async fn trailers_do_not_replace_the_token_of_the_head() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let message = caller::message("MyProject").collect().await.expect("a message").to_bytes();
    let mut trailers = HeaderMap::new();
    trailers.insert("authorization", HeaderValue::from_static("Bearer trailer"));
    let body = || {
        let frames = [Frame::data(message.clone()), Frame::trailers(trailers.clone())];
        StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)))
    };

    let mut caller = caller::connect(gateway.address).await;
    let request = caller::request(gateway.address, &[("authorization", "Bearer head")], body());
    let answered = caller::status(caller.send_request(request).await.expect("a response")).await;
    assert_eq!(answered.code(), Code::Ok);
    let request = caller::request(gateway.address, &[], body());
    let refused = caller::status(caller.send_request(request).await.expect("a response")).await;
    assert_eq!(told(&refused).reason, "CREDENTIALS_MISSING");
    let [head] = &upstream.requests()[..] else { panic!("one request") };
    assert!(head.contains("Bearer head\r\n") && !head.contains("trailer"), "{head}");
}
