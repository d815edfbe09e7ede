//! Calls that ask the same share upstream calls: fewer requests, and nobody gets an answer older than his question.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use jwks_gateway::{pb::jwk_service_client::JwkServiceClient, settings::Settings};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, transport::Channel};

use crate::support::{Gateway, Reply, Upstream, caller, gateway, told};

/// A list of one name that takes its time.
fn slow(name: &str, time: Duration) -> Reply {
    let body = format!(r#"{{"success": true, "resultList": [{{"name": "{name}"}}]}}"#);
    Reply::head(200, &[], body.len()).drip(&body[..1], time).send(&body[1..])
}

/// The name in the only entry of the answer to this call.
async fn ask_as(channel: Channel, project: &str, token: &str) -> Result<String, Status> {
    let mut request = gateway::request(project);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("metadata"));
    let answer = JwkServiceClient::new(channel).list_jwks(request).await?;
    Ok(answer.into_inner().jwks.remove(0).name)
}

#[tokio::test]
async fn three_hundred_callers_of_one_question_need_few_requests() {
    let upstream = Upstream::answering(slow("a", Duration::from_millis(300))).await;
    let gateway = Gateway::before(&upstream).await;
    let channels = join_all((0..2).map(|_| gateway.channel())).await;
    let calls = (0..300).map(|n| gateway::list(channels[n % 2].clone(), "P"));
    for answer in join_all(calls).await {
        assert_eq!(answer.expect("a list").len(), 1);
    }
    let requests = upstream.requests().len();
    assert!((1..=8).contains(&requests), "{requests} requests");
}

#[tokio::test]
async fn no_answer_is_older_than_its_question() {
    let seen = Arc::new(AtomicUsize::new(0));
    let upstream = {
        let seen = seen.clone();
        let numbered = move |_: &str| {
            let number = seen.fetch_add(1, Ordering::SeqCst) + 1;
            slow(&number.to_string(), Duration::from_millis(fastrand::u64(1..20)))
        };
        Upstream::scripted(numbered).await
    };
    let gateway = Gateway::before(&upstream).await;
    let channel = gateway.channel().await;
    let callers = (0..40).map(|_| {
        let (channel, seen) = (channel.clone(), seen.clone());
        async move {
            for _ in 0..50 {
                sleep(Duration::from_micros(fastrand::u64(..5_000))).await;
                let before = seen.load(Ordering::SeqCst);
                let number: usize =
                    gateway::list(channel.clone(), "P").await.expect("a list")[0].name.parse().expect("a number");
                assert!(number > before, "answer {number} to a question that came after request {before}");
            }
        }
    });
    join_all(callers).await;
    assert!(upstream.requests().len() < 1000, "{} requests for 2000 calls", upstream.requests().len());
}

#[tokio::test]
async fn only_the_same_project_with_the_same_token_is_the_same_question() {
    let echo = |head: &str| {
        let project = head.split('/').nth(3).expect("a project");
        let token = head.split("authorization: Bearer ").nth(1).and_then(|rest| rest.lines().next());
        slow(&format!("{project} {}", token.expect("a token")), Duration::from_millis(20))
    };
    let upstream = Upstream::scripted(echo).await;
    let gateway = Gateway::before(&upstream).await;
    let channel = gateway.channel().await;
    let calls = (0..200).map(|n| {
        let (channel, project, token) = (channel.clone(), format!("P{}", n % 3), format!("token-{}", n % 5));
        async move {
            assert_eq!(ask_as(channel, &project, &token).await.expect("a list"), format!("{project} {token}"));
        }
    });
    join_all(calls).await;
    assert!((15..=100).contains(&upstream.requests().len()), "{} requests", upstream.requests().len());
}

/// Two calls that run, in their tasks.
async fn two_that_run(upstream: &Upstream, channel: &Channel) -> Vec<tokio::task::JoinHandle<()>> {
    let run = || {
        let channel = channel.clone();
        tokio::spawn(async move { drop(gateway::list(channel, "P").await) })
    };
    let running = vec![run(), run()];
    upstream.arrived(2).await;
    running
}

/// Stalls twice, then answers.
async fn stalling_twice(answer: Reply) -> Upstream {
    let requests = AtomicUsize::new(0);
    Upstream::scripted(move |_| match requests.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Reply::nothing().stall(),
        _ => answer.clone(),
    })
    .await
}

#[tokio::test]
async fn who_waits_is_served_when_those_before_him_leave_and_none_of_his_own_is_harmed_by_who_leaves() {
    let upstream = stalling_twice(slow("a", Duration::from_millis(300))).await;
    let gateway = Gateway::before(&upstream).await;
    let channel = gateway.channel().await;
    let running = two_that_run(&upstream, &channel).await;
    let mut waiting: Vec<_> = (0..10).map(|_| tokio::spawn(gateway::list(channel.clone(), "P"))).collect();
    let hasty = caller::call(gateway.address, "P", &[("grpc-timeout", "50m")]).await;
    assert_eq!(told(&hasty).reason, "DEADLINE_EXCEEDED");
    assert_eq!(upstream.requests().len(), 2, "a third call runs beside two");
    running[0].abort();
    upstream.arrived(3).await;
    waiting.remove(0).abort();
    for call in waiting {
        assert_eq!(call.await.expect("no panic").expect("a list").len(), 1);
    }
    assert_eq!(upstream.requests().len(), 3);
    running[1].abort();
}

#[tokio::test]
async fn a_shared_call_ends_when_nobody_waits_for_it_any_more() {
    let upstream = stalling_twice(Reply::nothing().stall()).await;
    let gateway = Gateway::before(&upstream).await;
    let channel = gateway.channel().await;
    let running = two_that_run(&upstream, &channel).await;
    let waiting: Vec<_> = (0..5).map(|_| tokio::spawn(gateway::list(channel.clone(), "P"))).collect();
    // Its place in the line is certain once another connection's call, sent later, has timed out.
    caller::call(gateway.address, "P", &[("grpc-timeout", "300m")]).await;
    running[0].abort();
    upstream.arrived(3).await;
    upstream.given_up(1).await;
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    upstream.given_up(2).await;
    // Who asks now has a call of his own at once.
    let next = tokio::spawn(gateway::list(channel, "P"));
    upstream.arrived(4).await;
    next.abort();
    running[1].abort();
}

#[tokio::test]
async fn an_error_is_everybodys_who_shares_it() {
    let error = Reply::json(404, r#"{"error": "not_found", "error_description": "Project(P) was not found"}"#);
    let upstream = stalling_twice(error).await;
    let gateway = Gateway::before(&upstream).await;
    let channel = gateway.channel().await;
    let running = two_that_run(&upstream, &channel).await;
    let waiting: Vec<_> = (0..5).map(|_| tokio::spawn(gateway::list(channel.clone(), "P"))).collect();
    running[0].abort();
    for call in waiting {
        let told = told(&call.await.expect("no panic").expect_err("an error"));
        assert_eq!(told.verdict(), (Code::NotFound, "apinizer.com", "NOT_FOUND"));
        assert_eq!(told.message, "Project(P) was not found");
    }
    running[1].abort();
}

#[tokio::test]
async fn who_waits_for_a_shared_call_waits_no_longer_than_the_upstream_timeout() {
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let gateway = Gateway::with(Settings {
        upstream: Some(upstream.url().into()),
        upstream_timeout: Some("300ms".into()),
        ..Settings::default()
    })
    .await;
    let channel = gateway.channel().await;
    let calls = join_all((0..5).map(|_| gateway::list(channel.clone(), "P")));
    for refusal in timeout(Duration::from_secs(60), calls).await.expect("an end") {
        let told = told(&refusal.expect_err("an error"));
        assert_eq!(told.verdict(), (Code::DeadlineExceeded, "jwks-gateway", "UPSTREAM_TIMEOUT"));
    }
}

#[tokio::test]
async fn off_means_a_request_for_each_call() {
    let upstream = Upstream::answering(slow("a", Duration::from_millis(100))).await;
    let gateway = Gateway::with(Settings {
        upstream: Some(upstream.url().into()),
        coalesce: Some("off".into()),
        ..Settings::default()
    })
    .await;
    let channel = gateway.channel().await;
    for answer in join_all((0..20).map(|_| gateway::list(channel.clone(), "P"))).await {
        answer.expect("a list");
    }
    assert_eq!(upstream.requests().len(), 20);
}

#[tokio::test]
async fn a_shared_answer_takes_memory_for_each_who_gets_it() {
    let filler = "x".repeat(900_000);
    let upstream = Upstream::answering(slow(&filler, Duration::from_millis(300))).await;
    let gateway = Gateway::with(Settings {
        upstream: Some(upstream.url().into()),
        max_response_bytes: Some("1MiB".into()),
        ..Settings::default()
    })
    .await;
    let channel = gateway.channel().await;
    let answers = join_all((0..30).map(|_| gateway::list(channel.clone(), "P"))).await;
    let (lists, refusals): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    // Eight times the largest body is what there is for all.
    assert!(lists.len() >= 2 && !refusals.is_empty(), "{} lists", lists.len());
    for refusal in refusals {
        assert_eq!(told(&refusal.expect_err("an error")).reason, "OVERLOADED");
    }
    gateway.list("P").await.expect("room again");
}
