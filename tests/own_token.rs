//! The gateway's own token: used for every call, rotated by its file, and nobody's to see.

use std::{fs, os::unix::fs::symlink, path::Path};

use rustix::process::Signal;
use tonic::Code;

use crate::support::{
    Reply, Upstream, caller, gateway, list,
    process::{Process, command, run},
    told,
};

/// An upstream that takes this token only, as the Manager would.
async fn upstream_taking(token: &'static str) -> Upstream {
    Upstream::scripted(move |head| {
        if head.contains(&format!("\r\nauthorization: Bearer {token}\r\n")) {
            list(r#"{"name": "a"}"#)
        } else {
            Reply::json(401, r#"{"error": "unauthorized_client", "error_description": "Invalid token"}"#)
        }
    })
    .await
}

fn file(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, content).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn every_call_has_the_gateways_own_token_and_callers_need_none() {
    let upstream = upstream_taking("own-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(directory.path(), "token", "own-token\n");
    let from_file = Process::serve(&upstream.url(), &["--token-file", &path]).await;
    let args = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream.url()];
    let from_variable = Process::start(command(&args).env("JWKS_GATEWAY_TOKEN", "own-token")).await;

    for process in [from_file, from_variable] {
        assert_eq!(gateway::list(gateway::channel(process.address).await, "P").await.expect("a list").len(), 1);
        for metadata in [&[][..], &[("authorization", "Basic callers-own")], &[("authorization", "Bearer callers-own")]]
        {
            let request = caller::request(process.address, metadata, caller::message("P"));
            let response = caller::connect(process.address).await.send_request(request).await.expect("a response");
            assert_eq!(caller::status(response).await.code(), Code::Ok);
        }
    }
    for head in upstream.requests() {
        assert!(!head.contains("callers-own") && head.matches("authorization").count() == 1, "{head}");
    }
}

#[tokio::test]
async fn a_rotated_token_is_taken_up_and_a_bad_one_is_not() {
    let upstream = upstream_taking("second-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    // As Kubernetes mounts a secret: the file is a link through a link to a directory, and that one is swapped.
    for (version, token) in [("1", "first-token"), ("2", "second-token"), ("3", ""), ("4", "not one token")] {
        fs::create_dir(directory.join(version)).expect("a directory");
        file(&directory.join(version), "token", token);
    }
    let swap = |version: &str| {
        symlink(version, directory.join("next")).expect("a link");
        fs::rename(directory.join("next"), directory.join("data")).expect("a swap");
    };
    swap("1");
    symlink("data/token", directory.join("token")).expect("a link");

    let path = directory.join("token");
    let mut process = Process::serve(&upstream.url(), &["--token-file", path.to_str().expect("UTF-8")]).await;
    let channel = gateway::channel(process.address).await;
    let refusal = gateway::list(channel.clone(), "P").await.expect_err("the upstream takes another token");
    assert_eq!(told(&refusal).reason, "GATEWAY_TOKEN_REJECTED");

    swap("2");
    process.logged("reloaded").await;
    gateway::list(channel.clone(), "P").await.expect("the new token");

    swap("3");
    process.logged("does not hold one token").await;
    gateway::list(channel.clone(), "P").await.expect("the last good token");

    fs::remove_file(directory.join("data")).expect("the link is gone");
    process.logged("cannot read").await;
    gateway::list(channel.clone(), "P").await.expect("the last good token");

    swap("4");
    process.logged("does not hold one token").await;
    gateway::list(channel, "P").await.expect("the last good token");

    process.signal(Signal::TERM);
    let (_, log) = process.ended().await;
    assert!(!log.contains("-token\"") && !log.contains("not one token"), "{log}");
}

#[tokio::test]
async fn a_refused_own_token_is_our_fault_and_in_the_log() {
    let upstream = upstream_taking("another-token").await;
    let args = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream.url()];
    let process = Process::start(command(&args).env("JWKS_GATEWAY_TOKEN", "own-token").env("RUST_LOG", "trace")).await;
    let refusal = gateway::list(gateway::channel(process.address).await, "P").await.expect_err("an error");
    let told = told(&refusal);
    assert_eq!(told.verdict(), (Code::Internal, "jwks-gateway", "GATEWAY_TOKEN_REJECTED"));
    assert_eq!((told.http_status(), told.metadata["project"].as_str()), (Some("401"), "P"));

    process.signal(Signal::TERM);
    let (_, log) = process.ended().await;
    let is_error = |line: &str| line.contains("\"ERROR\"") && line.contains("GATEWAY_TOKEN_REJECTED");
    assert!(log.lines().any(is_error), "{log}");
    assert!(!log.contains("own-token"), "{log}");
}

#[tokio::test]
async fn what_the_own_token_may_not_do_is_told_as_the_upstream_tells_it() {
    let denied = Reply::json(403, r#"{"error": "access_denied", "error_description": "text"}"#);
    let upstream = Upstream::answering(denied).await;
    let args = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream.url()];
    let process = Process::start(command(&args).env("JWKS_GATEWAY_TOKEN", "own-token")).await;
    let refusal = gateway::list(gateway::channel(process.address).await, "P").await.expect_err("an error");
    assert_eq!(told(&refusal).verdict(), (Code::PermissionDenied, "apinizer.com", "ACCESS_DENIED"));
}

#[tokio::test]
async fn a_token_file_that_cannot_be_used_is_a_sentence_and_exit_code_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("missing").to_str().expect("UTF-8").to_owned();
    let empty = file(directory.path(), "empty", "\n");
    let several = file(directory.path(), "several", "hunter2 hunter3");
    for path in [missing, empty, several] {
        let args = ["serve", "--upstream", "https://m", "--listen", "127.0.0.1:0", "--token-file", &path];
        let output = run(&mut command(&args)).await;
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(&path) && !text.contains("hunter"), "{text}");
    }
}

#[tokio::test]
async fn a_listener_that_others_can_reach_does_not_lend_them_the_own_token() {
    let fault = async |args: &[&str]| {
        let args = [&["serve", "--upstream", "https://m"], args].concat();
        let output = run(command(&args).env("JWKS_GATEWAY_TOKEN", "hunter2")).await;
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(!text.contains("hunter2"), "{text}");
        (output.status.code(), text)
    };
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "gateway.example.com:0"] {
        let (code, text) = fault(&["--listen", listen]).await;
        assert_eq!(code, Some(2), "{listen}: {text}");
        assert!(text.contains("--allow-unauthenticated-callers"), "{text}");
    }
    let (code, text) = fault(&["--listen", "127.0.0.1:0", "--token-file", "/dev/null"]).await;
    assert_eq!((code, text.contains("--token-file (or")), (Some(2), true), "{text}");

    let upstream = upstream_taking("own-token").await;
    let args = ["serve", "--listen", "0.0.0.0:0", "--allow-unauthenticated-callers", "--upstream", &upstream.url()];
    let process = Process::start(command(&args).env("JWKS_GATEWAY_TOKEN", "own-token")).await;
    let address = ([127, 0, 0, 1], process.address.port()).into();
    gateway::list(gateway::channel(address).await, "P").await.expect("a list");
}

#[tokio::test]
async fn a_variable_that_holds_no_token_is_a_fault_without_its_value() {
    for token in ["", "Bearer hunter2", "hunter2 hunter2"] {
        let output = run(command(&["serve", "--upstream", "https://m"]).env("JWKS_GATEWAY_TOKEN", token)).await;
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("JWKS_GATEWAY_TOKEN: expected one token") && !text.contains("hunter2"), "{text}");
    }
}
