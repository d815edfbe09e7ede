//! TLS on both sides: who is trusted, who is not, and what happens when that changes.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use jwks_gateway::settings::Settings;
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic::{
    Code,
    transport::{self, Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::support::{
    Gateway, Upstream,
    black_hole::BlackHole,
    certificates::{Authority, Identity},
    gateway,
    http2_upstream::Http2Upstream,
    list,
    process::{Process, command, run},
    told,
};

const LIST: &str = r#"{"success": true, "resultList": [{"name": "a"}]}"#;
const UNREACHABLE: (Code, &str, &str) = (Code::Unavailable, "jwks-gateway", "UPSTREAM_UNREACHABLE");

/// A gateway with the certificate files of this directory.
async fn serve_tls(upstream: &Upstream, directory: &Path, more: &[&str]) -> Process {
    let [cert, key] = ["tls.crt", "tls.key"].map(|name| directory.join(name).to_str().expect("UTF-8").to_owned());
    let args = [&["--tls-cert", &cert, "--tls-key", &key], more].concat();
    Process::serve(&upstream.url(), &args).await
}

/// A caller that trusts this authority and calls the gateway `localhost`.
async fn connect(
    address: SocketAddr,
    authority: &Authority,
    own: Option<&Identity>,
) -> Result<Channel, transport::Error> {
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem())).domain_name("localhost");
    if let Some(own) = own {
        tls = tls.identity(transport::Identity::from_pem(&own.certificate, &own.key));
    }
    Endpoint::try_from(format!("https://{address}"))?.tls_config(tls)?.connect().await
}

#[tokio::test]
async fn callers_are_served_over_tls_and_no_longer_without() {
    let upstream = Upstream::answering(list(r#"{"name": "a"}"#)).await;
    let (authority, directory) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    authority.issue("localhost").write_to(directory.path());
    let process = serve_tls(&upstream, directory.path(), &[]).await;

    let channel = connect(process.address, &authority, None).await.expect("a connection");
    assert_eq!(gateway::list(channel, "P").await.expect("a list").len(), 1);

    connect(process.address, &Authority::new(), None).await.expect_err("another authority");
    let mut plain = TcpStream::connect(process.address).await.expect("a connection");
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("a preface");
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(60), plain.read_to_end(&mut answer)).await.expect("an end");
    assert!(!answer.windows(4).any(|frame| frame == b"\0\0\x12\x04"), "no HTTP/2 settings in the clear");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_closed() {
    let upstream = Upstream::answering(list("")).await;
    let directory = tempfile::tempdir().expect("a directory");
    Authority::new().issue("localhost").write_to(directory.path());
    let process = serve_tls(&upstream, directory.path(), &[]).await;
    let mut silent = TcpStream::connect(process.address).await.expect("a connection");
    silent.write_all(b"\x16\x03\x01").await.expect("a part of a hello");
    let mut nothing = Vec::new();
    let _ = timeout(Duration::from_secs(60), silent.read_to_end(&mut nothing)).await.expect("an end");
}

#[tokio::test]
async fn renewed_certificates_are_used_for_new_connections_and_old_ones_go_on() {
    let upstream = Upstream::answering(list(r#"{"name": "a"}"#)).await;
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let [old, new] = [Authority::new(), Authority::new()];
    old.issue("localhost").write_to(directory);
    let mut process = serve_tls(&upstream, directory, &[]).await;
    let open = connect(process.address, &old, None).await.expect("a connection");

    new.issue("localhost").write_to(directory);
    process.logged("reloaded").await;
    gateway::list(open.clone(), "P").await.expect("the open connection goes on");
    connect(process.address, &old, None).await.expect_err("the old certificate is gone");
    let renewed = connect(process.address, &new, None).await.expect("the new certificate");
    gateway::list(renewed, "P").await.expect("a list");

    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x"] {
        fs::write(directory.join("tls.crt"), broken).expect("a file");
        process.logged("the last good one stays in use").await;
        connect(process.address, &new, None).await.expect("the last good certificate");
    }
    // A certificate that does not belong to the key.
    fs::write(directory.join("tls.crt"), new.issue("localhost").certificate).expect("a file");
    process.logged("cannot be used together").await;
    gateway::list(open, "P").await.expect("the open connection goes on");
}

#[tokio::test]
async fn callers_have_to_show_a_certificate_where_that_is_asked_for() {
    let upstream = Upstream::answering(list(r#"{"name": "a"}"#)).await;
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let [server, clients, strangers] = [Authority::new(), Authority::new(), Authority::new()];
    server.issue("localhost").write_to(directory);
    fs::write(directory.join("client-ca.crt"), clients.pem()).expect("a file");
    let client_ca = directory.join("client-ca.crt").to_str().expect("UTF-8").to_owned();
    let mut process = serve_tls(&upstream, directory, &["--tls-client-ca", &client_ca]).await;

    // With TLS 1.3 a client learns that it was refused only when it reads.
    let call = async |own: Option<&Identity>| match connect(process.address, &server, own).await {
        Ok(channel) => gateway::list(channel, "P").await.is_ok(),
        Err(_) => false,
    };
    assert!(call(Some(&clients.issue("caller"))).await, "the right certificate");
    assert!(!call(None).await, "no certificate");
    assert!(!call(Some(&strangers.issue("caller"))).await, "a stranger's certificate");
    assert!(!call(Some(&clients.issue_expired("caller"))).await, "an expired certificate");
    let requests = upstream.requests().len();
    assert_eq!(requests, 1);

    // The client CA is renewed as well.
    fs::write(&client_ca, strangers.pem()).expect("a file");
    process.logged("reloaded").await;
    let call = async |own: &Identity| match connect(process.address, &server, Some(own)).await {
        Ok(channel) => gateway::list(channel, "P").await.is_ok(),
        Err(_) => false,
    };
    assert!(call(&strangers.issue("caller")).await, "no stranger any more");
    assert!(!call(&clients.issue("caller")).await, "a stranger now");
}

#[tokio::test]
async fn callers_with_certificates_may_use_the_own_token_from_anywhere() {
    let upstream = Upstream::answering(list("")).await;
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    authority.issue("localhost").write_to(directory.path());
    fs::write(directory.path().join("ca.crt"), authority.pem()).expect("a file");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let (cert, key, ca) = (path("tls.crt"), path("tls.key"), path("ca.crt"));
    let args =
        ["serve", "--listen", "0.0.0.0:0", "--upstream", &upstream.url(), "--tls-cert", &cert, "--tls-key", &key];

    let without = run(command(&args).env("JWKS_GATEWAY_TOKEN", "own-token")).await;
    assert_eq!(without.status.code(), Some(2));
    let args = [&args[..], &["--tls-client-ca", &ca]].concat();
    let process = Process::start(command(&args).env("JWKS_GATEWAY_TOKEN", "own-token")).await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn certificate_files_that_cannot_be_used_are_a_sentence() {
    let directory = tempfile::tempdir().expect("a directory");
    let [one, other] = [Authority::new().issue("localhost"), Authority::new().issue("localhost")];
    one.write_to(directory.path());
    fs::write(directory.path().join("other.key"), &other.key).expect("a file");
    fs::write(directory.path().join("empty"), "").expect("a file");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let rows = [
        (vec!["--tls-cert", "tls.crt"], 2, "--tls-key"),
        (vec!["--tls-key", "tls.key"], 2, "--tls-cert"),
        (vec!["--tls-client-ca", "tls.crt"], 2, "--tls-cert"),
        (vec!["--tls-cert", "missing", "--tls-key", "tls.key"], 1, "cannot read"),
        (vec!["--tls-cert", "empty", "--tls-key", "tls.key"], 1, "no certificate in PEM"),
        (vec!["--tls-cert", "tls.crt", "--tls-key", "empty"], 1, "no private key in PEM"),
        (vec!["--tls-cert", "tls.crt", "--tls-key", "other.key"], 1, "cannot be used together"),
        (vec!["--tls-cert", "tls.crt", "--tls-key", "tls.key", "--tls-client-ca", "empty"], 1, "no certificate in PEM"),
        (vec!["--upstream-ca", "empty"], 1, "no certificates in PEM"),
        (vec!["--upstream-ca", "missing"], 1, "cannot read"),
    ];
    for (files, code, expected) in rows {
        let files = files.iter().map(|arg| if arg.starts_with("--") { (*arg).to_owned() } else { path(arg) });
        let args: Vec<_> = ["serve", "--listen", "127.0.0.1:0", "--upstream", "https://localhost"]
            .map(str::to_owned)
            .into_iter()
            .chain(files)
            .collect();
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let output = run(&mut command(&args)).await;
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(expected) && !text.contains("PRIVATE KEY-----"), "{args:?}: {text}");
    }
}

/// A gateway that trusts this authority, in front of an upstream on this port of localhost.
async fn trusting(authority: &Authority, port: u16, directory: &Path) -> Gateway {
    let ca = directory.join("upstream-ca.crt");
    fs::write(&ca, authority.pem()).expect("a file");
    Gateway::with(Settings {
        upstream: Some(format!("https://localhost:{port}").into()),
        upstream_ca: Some(ca.into()),
        upstream_timeout: Some("1m".into()),
        ..Settings::default()
    })
    .await
}

#[tokio::test]
async fn an_upstream_is_trusted_by_the_configured_authority_under_its_name_and_in_its_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let trusted = Upstream::over_tls(&authority.issue("localhost"), list(r#"{"name": "a"}"#)).await;
    let gateway = trusting(&authority, trusted.address.port(), directory.path()).await;
    assert_eq!(gateway.list("P").await.expect("a list").len(), 1);

    let untrusted = [
        ("another authority", Authority::new().issue("localhost")),
        ("another name", authority.issue("other.example")),
        ("expired", authority.issue_expired("localhost")),
    ];
    for (why, identity) in untrusted {
        let upstream = Upstream::over_tls(&identity, list("")).await;
        let gateway = trusting(&authority, upstream.address.port(), directory.path()).await;
        let told = told(&gateway.refusal("P").await);
        assert_eq!(told.verdict(), UNREACHABLE, "{why}");
        assert!(!told.message.contains("localhost"), "{}", told.message);
        assert_eq!(upstream.requests(), [""; 0], "the token goes to nobody who is not trusted");
    }
}

#[tokio::test]
async fn a_renewed_authority_is_taken_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let [old, new] = [Authority::new(), Authority::new()];
    let upstream = Upstream::over_tls(&new.issue("localhost"), list(r#"{"name": "a"}"#)).await;
    let ca = directory.path().join("ca.crt");
    fs::write(&ca, old.pem()).expect("a file");
    let url = format!("https://localhost:{}", upstream.address.port());
    let mut process = Process::serve(&url, &["--upstream-ca", ca.to_str().expect("UTF-8")]).await;
    let channel = gateway::channel(process.address).await;
    let refusal = gateway::list(channel.clone(), "P").await.expect_err("not trusted yet");
    assert_eq!(told(&refusal).verdict(), UNREACHABLE);

    fs::write(&ca, new.pem()).expect("a file");
    process.logged("reloaded").await;
    assert_eq!(gateway::list(channel, "P").await.expect("a list").len(), 1);
}

#[tokio::test]
async fn without_root_certificates_plain_http_works_and_https_says_what_is_missing() {
    let upstream = Upstream::answering(list("")).await;
    let nowhere = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/dev/null")];
    let args = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream.url()];
    let process = Process::start(command(&args).envs(nowhere)).await;
    gateway::list(gateway::channel(process.address).await, "P").await.expect("a list");

    let args = ["serve", "--listen", "127.0.0.1:0", "--upstream", "https://localhost"];
    let output = run(command(&args).envs(nowhere)).await;
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("CA certificates"), "{text}");
}

#[tokio::test]
async fn http2_is_spoken_where_the_upstream_offers_it_and_calls_share_a_connection() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let upstream = Http2Upstream::answering(&authority.issue("localhost"), LIST).await;
    let gateway = trusting(&authority, upstream.address.port(), directory.path()).await;
    let channel = gateway.channel().await;
    gateway::list(channel.clone(), "P").await.expect("a list");
    let calls: Vec<_> = (0..50).map(|_| tokio::spawn(gateway::list(channel.clone(), "P"))).collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic").expect("a list").len(), 1);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_half_dead_http2_connection_is_found_and_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let upstream = Http2Upstream::answering(&authority.issue("localhost"), LIST).await;
    let proxy = BlackHole::before(upstream.address).await;
    let gateway = trusting(&authority, proxy.address.port(), directory.path()).await;
    gateway.list("P").await.expect("a list");
    proxy.swallow();
    // This call is lost in the hole until a ping stays unanswered; then it is tried again on a new connection.
    assert_eq!(gateway.list("P").await.expect("a list").len(), 1);
    assert_eq!(upstream.connections(), 2);
}
