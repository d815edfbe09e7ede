//! Flags, variables, faults and exit codes.

use tokio::net::TcpListener;

use crate::support::{
    Upstream, gateway, list,
    process::{Process, command, run},
};

/// The exit code and what was said, of a command that ends by itself.
async fn said(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = run(command(args).envs(environment.iter().copied())).await;
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[tokio::test]
async fn every_fault_is_reported_at_once_by_flag_and_without_its_value() {
    let faulty = "hunter2";
    let args = [
        "serve",
        "--listen",
        faulty,
        "--upstream-timeout",
        faulty,
        "--connect-timeout",
        "0s",
        "--max-response-bytes",
        faulty,
        "--drain-timeout",
        "400d",
        "--log-format",
        faulty,
        "--allow-plaintext-upstream=hunter2",
    ];
    let (code, text) = said(&args, &[("JWKS_GATEWAY_UPSTREAM", "https://user:hunter2@manager")]).await;
    assert_eq!(code, Some(2), "{text}");
    let flags = [
        "listen",
        "upstream",
        "upstream-timeout",
        "connect-timeout",
        "max-response-bytes",
        "drain-timeout",
        "log-format",
        "allow-plaintext-upstream",
    ];
    for flag in flags {
        assert!(text.contains(&format!("--{flag} (or JWKS_GATEWAY_")), "{flag} in {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn each_faulty_value_is_told_what_was_expected() {
    let rows = [
        (vec![], "--upstream", "required"),
        (vec!["--upstream", ""], "--upstream", "required"),
        (vec!["--upstream", "manager.example.com"], "--upstream", "expected a URL"),
        (vec!["--upstream", "ftp://m"], "--upstream", "http:// or https://"),
        (vec!["--upstream", "http://m?x=1"], "--upstream", "query"),
        (vec!["--upstream", "http://manager.example.com"], "--upstream", "--allow-plaintext-upstream"),
        (vec!["--upstream", "https://m", "--listen", "50051"], "--listen", "host:port"),
        (vec!["--upstream", "https://m", "--listen", ":50051"], "--listen", "host:port"),
        (vec!["--upstream", "https://m", "--listen", "::1:50051"], "--listen", "host:port"),
        (vec!["--upstream", "https://m", "--listen", "127.0.0.1:65536"], "--listen", "host:port"),
        (vec!["--upstream", "https://m", "--upstream-timeout", "10"], "--upstream-timeout", "500ms"),
        (vec!["--upstream", "https://m", "--upstream-timeout", "0ms"], "--upstream-timeout", "more than zero"),
        (vec!["--upstream", "https://m", "--connect-timeout", "2d"], "--connect-timeout", "a day at most"),
        (vec!["--upstream", "https://m", "--max-response-bytes", "0"], "--max-response-bytes", "1 byte to 2GiB"),
        (vec!["--upstream", "https://m", "--max-response-bytes", "3GiB"], "--max-response-bytes", "1 byte to 2GiB"),
        (vec!["--upstream", "https://m", "--max-response-bytes=-1"], "--max-response-bytes", "16MiB"),
        (vec!["--upstream", "https://m", "--log-format", "xml"], "--log-format", "text or json"),
    ];
    for (args, flag, expected) in rows {
        let (code, text) = said(&[&["serve"], &args[..]].concat(), &[]).await;
        assert_eq!(code, Some(2), "{args:?}: {text}");
        let fault = text.lines().find(|line| line.trim().starts_with(&format!("{flag} ("))).unwrap_or_default();
        assert!(fault.contains(expected), "{args:?}: {text}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_value_that_is_no_text_is_a_fault_like_any_other() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let output = run(command(&["serve"]).env("JWKS_GATEWAY_UPSTREAM", OsStr::from_bytes(b"http://\xff"))).await;
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--upstream (or JWKS_GATEWAY_UPSTREAM): expected a text in UTF-8"), "{text}");
}

#[tokio::test]
async fn a_faulty_log_filter_is_a_configuration_fault() {
    let (code, text) = said(&["serve", "--upstream", "https://m"], &[("RUST_LOG", "a=b=c")]).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("RUST_LOG"), "{text}");
}

#[tokio::test]
async fn a_taken_port_is_a_sentence_and_exit_code_one() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, text) = said(&["serve", "--upstream", "https://m", "--listen", &address], &[]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with(&format!("jwks-gateway: cannot listen on {address}: ")), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[tokio::test]
async fn every_flag_has_a_variable_and_flags_win() {
    let upstream = Upstream::answering(list(r#"{"name": "a"}"#)).await;
    let mut from_variables = command(&["serve"]);
    from_variables
        .env("JWKS_GATEWAY_LISTEN", "127.0.0.1:0")
        .env("JWKS_GATEWAY_UPSTREAM", upstream.url())
        .env("JWKS_GATEWAY_ALLOW_PLAINTEXT_UPSTREAM", "false")
        .env("JWKS_GATEWAY_UPSTREAM_TIMEOUT", "5s")
        .env("JWKS_GATEWAY_CONNECT_TIMEOUT", "1s")
        .env("JWKS_GATEWAY_MAX_RESPONSE_BYTES", "1KiB")
        .env("JWKS_GATEWAY_DRAIN_TIMEOUT", "0s")
        .env("JWKS_GATEWAY_LOG_FORMAT", "json");
    let process = Process::start(&mut from_variables).await;
    assert_eq!(gateway::list(gateway::channel(process.address).await, "P").await.expect("a list").len(), 1);

    let mut over_a_faulty_variable = command(&["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream.url()]);
    let process = Process::start(over_a_faulty_variable.env("JWKS_GATEWAY_UPSTREAM", "nonsense")).await;
    assert_eq!(gateway::list(gateway::channel(process.address).await, "P").await.expect("a list").len(), 1);
}

#[tokio::test]
async fn help_shows_flags_and_variables_and_no_values() {
    let output = run(command(&["serve", "--help"]).env("JWKS_GATEWAY_UPSTREAM", "https://user:hunter2@m")).await;
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0));
    for flag in ["--listen", "--upstream-timeout", "JWKS_GATEWAY_UPSTREAM", "[default: 16MiB]"] {
        assert!(text.contains(flag), "{flag} in {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}
