//! What a start takes, a call in flight, and questions that nobody has asked before.

#[allow(dead_code, unused_imports, reason = "the tests use the rest of it")]
#[path = "../../tests/support/mod.rs"]
mod support;

use std::{fs, time::Instant};

use futures_util::future::join_all;

use crate::support::{Reply, Upstream, caller, gateway, list, process::Process};

#[tokio::main]
async fn main() {
    start().await;
    calls_in_flight().await;
    questions().await;
}

/// From the start of the process to its first answer.
async fn start() {
    let upstream = Upstream::answering(list("")).await;
    let mut times = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        let process = Process::serve(&upstream.url(), &[]).await;
        gateway::list(gateway::channel(process.address).await, "P").await.expect("an answer");
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!("start to the first answer: {:.1?} ({:.1?} to {:.1?})", times[10], times[0], times[20]);
}

/// Memory of calls that wait for an upstream.
async fn calls_in_flight() {
    const CALLS: usize = 2000;
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let process = Process::serve(&upstream.url(), &["--max-in-flight", "10000", "--upstream-timeout", "1h"]).await;
    let before = memory(&process);
    let mut connections = Vec::new();
    let mut calls = Vec::new();
    for number in 0..CALLS {
        if number % 100 == 0 {
            connections.push(caller::connect(process.address).await);
        }
        let connection = connections.last_mut().expect("a connection");
        calls.push(tokio::spawn(connection.send_request(question(&process, number))));
    }
    upstream.arrived(CALLS).await;
    let each = (memory(&process) - before) / CALLS;
    println!("a call in flight, with its connection to the upstream: {} KiB", each / 1024);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Memory while every call has a project and a token of its own.
async fn questions() {
    const ROUND: usize = 20_000;
    const AT_ONCE: usize = 50;
    let upstream = Upstream::answering(list("")).await;
    let process = Process::serve(&upstream.url(), &[]).await;
    let mut connection = caller::connect(process.address).await;
    let mut after = Vec::new();
    for round in 0..5 {
        for number in (0..ROUND).step_by(AT_ONCE) {
            let calls = (number..number + AT_ONCE).map(|number| {
                let response = connection.send_request(question(&process, round * ROUND + number));
                async { caller::status(response.await.expect("a response")).await }
            });
            assert!(join_all(calls).await.iter().all(|status| status.code() == tonic::Code::Ok));
        }
        after.push(format!("{} KiB", memory(&process) / 1024));
    }
    println!("memory after each {ROUND} questions, no two alike: {}", after.join(", "));
}

fn question(process: &Process, number: usize) -> http::Request<http_body_util::Full<prost::bytes::Bytes>> {
    let authorization = format!("Bearer {}-{number}", "t".repeat(1000));
    let metadata = [("authorization", authorization.as_str())];
    caller::request(process.address, &metadata, caller::message(&format!("project-{number}")))
}

/// Resident memory in bytes.
fn memory(process: &Process) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).expect("the process's status");
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    size.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}
