//! Retries: for what fails in passing, a few, within the deadline and a budget.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tonic::Code;

use crate::support::{Gateway, Reply, Upstream, caller, gateway, list, told};

/// An upstream that replies so for a number of times, then with a list of one.
async fn failing(times: usize, reply: Reply) -> Upstream {
    let requests = AtomicUsize::new(0);
    Upstream::scripted(move |_| {
        if requests.fetch_add(1, Ordering::Relaxed) < times { reply.clone() } else { list(r#"{"name": "a"}"#) }
    })
    .await
}

#[tokio::test]
async fn what_fails_in_passing_is_tried_again() {
    let half = || Reply::head(200, &[], 1000).send(r#"{"success": true, "resultList": []}"#);
    let faults = [
        ("502", Reply::http(502, &[], "<html></html>")),
        ("503", Reply::http(503, &[], "")),
        ("503 in words that nobody knows", Reply::json(503, r#"{"error": "busy", "error_description": "text"}"#)),
        ("closed without a word", Reply::nothing().close()),
        ("reset without a word", Reply::nothing().reset()),
        ("closed within the body", half().close()),
        ("reset within the body", half().reset()),
    ];
    for (fault, reply) in faults {
        for times in [1, 2] {
            let upstream = failing(times, reply.clone()).await;
            let jwks = Gateway::before(&upstream).await.list("P").await;
            assert_eq!(jwks.unwrap_or_else(|refusal| panic!("{fault}: {refusal}")).len(), 1);
            assert_eq!(upstream.requests().len(), times + 1, "{fault}");
        }
    }
}

#[tokio::test]
async fn three_attempts_are_all() {
    let upstream = failing(100, Reply::http(503, &[], "")).await;
    let told = told(&Gateway::before(&upstream).await.refusal("P").await);
    assert_eq!(told.verdict(), (Code::Unavailable, "jwks-gateway", "UPSTREAM_HTTP_STATUS"));
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn an_answer_that_was_given_on_purpose_is_not_asked_for_again() {
    let mut answers: Vec<_> =
        [302, 400, 401, 403, 404, 409, 418, 429, 500, 501, 504].map(|status| Reply::http(status, &[], "")).into();
    answers.push(Reply::json(503, r#"{"error": "invalid_token", "error_description": "text"}"#));
    answers.push(Reply::json(429, r#"{"error": "rate_limit_exceeded", "retry_after": 0}"#));
    answers.push(Reply::json(200, "{}"));
    answers.push(Reply::json(200, "<html>"));
    answers.push(Reply::head(200, &[], u64::MAX / 2).close());
    for answer in answers {
        let upstream = failing(1, answer).await;
        let told = told(&Gateway::before(&upstream).await.refusal("P").await);
        assert_eq!(upstream.requests().len(), 1, "{told:?}");
    }
}

#[tokio::test]
async fn a_retry_after_is_obeyed() {
    static ARRIVALS: Mutex<Vec<Instant>> = Mutex::new(Vec::new());
    let upstream = Upstream::scripted(|_| {
        let mut arrivals = ARRIVALS.lock().expect("no panic");
        arrivals.push(Instant::now());
        if arrivals.len() == 1 { Reply::http(503, &[("retry-after", "1")], "") } else { list("") }
    })
    .await;
    Gateway::before(&upstream).await.list("P").await.expect("a list");
    let arrivals = ARRIVALS.lock().expect("no panic");
    assert!(arrivals[1] - arrivals[0] >= Duration::from_secs(1), "{arrivals:?}");
}

#[tokio::test]
async fn no_attempt_begins_after_the_end_of_the_call() {
    let upstream = failing(1, Reply::http(503, &[("retry-after", "5")], "")).await;
    let gateway = Gateway::before(&upstream).await;
    // The caller has less time than the upstream wants: it is told so now, not when its time is over.
    let refusal = told(&caller::call(gateway.address, "P", &[("grpc-timeout", "4S")]).await);
    assert_eq!(refusal.verdict(), (Code::Unavailable, "jwks-gateway", "UPSTREAM_HTTP_STATUS"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(5)));

    let upstream = failing(1, Reply::http(503, &[("retry-after", "3600")], "")).await;
    let refusal = told(&Gateway::before(&upstream).await.refusal("P").await);
    assert_eq!((refusal.code, refusal.retry_after), (Code::Unavailable, Some(Duration::from_secs(3600))));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn two_hundred_calls_survive_an_upstream_that_closes_each_connection_after_answering() {
    let upstream = Upstream::answering(list(r#"{"name": "a"}"#).close()).await;
    let gateway = Gateway::before(&upstream).await;
    let channel = gateway.channel().await;
    for n in 0..200 {
        let jwks = gateway::list(channel.clone(), "P").await;
        assert_eq!(jwks.unwrap_or_else(|refusal| panic!("call {n}: {refusal}")).len(), 1);
    }
}

#[tokio::test]
async fn a_failing_upstream_is_not_hit_much_harder() {
    let upstream = Upstream::answering(Reply::http(503, &[], "")).await;
    let gateway = Gateway::before(&upstream).await;
    let channel = gateway.channel().await;
    let calls: Vec<_> = (0..500)
        .map(|n| {
            let channel = channel.clone();
            tokio::spawn(async move { gateway::list(channel, &format!("P{n}")).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic").expect_err("an error").code(), Code::Unavailable);
    }
    let requests = upstream.requests().len();
    assert!((500..800).contains(&requests), "{requests} requests for 500 calls");
}
