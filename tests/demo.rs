//! The demo and its sandbox.

use std::process::Stdio;

use jwks_gateway::{
    pb::{ListJwksRequest, jwk_service_client::JwkServiceClient},
    sandbox,
    settings::Settings,
};
use tokio::net::TcpListener;
use tonic::{Code, Request};

use crate::support::{
    Gateway, gateway,
    process::{command, run},
    told,
};

#[tokio::test]
async fn the_demo_shows_the_sample_and_a_command_to_repeat() {
    let output = run(&mut command(&["demo", "--once", "--listen", "127.0.0.1:0"])).await;
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in ["my-jwk", "generated-jwk", "key-id-1", "GENERATE", "grpcurl -plaintext", "JwkService/ListJwks"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn the_demo_takes_another_port_if_its_own_is_taken() {
    let _taken = TcpListener::bind("127.0.0.1:50051").await;
    let output = run(&mut command(&["demo", "--once"])).await;
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn a_demo_that_nobody_reads_ends_without_a_panic() {
    let mut command = command(&["demo", "--once", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().await.expect("the command ends");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("jwks-gateway: ") && !text.contains("panicked"), "{text}");
}

/// A gateway in front of the sandbox.
async fn sandboxed() -> Gateway {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(sandbox::serve(listener));
    Gateway::with(Settings { upstream: Some(url.into()), ..Settings::default() }).await
}

async fn list(gateway: &Gateway, project: &str, token: &str) -> Result<usize, tonic::Status> {
    let mut request = Request::new(ListJwksRequest { project: project.into() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("metadata"));
    let answer = JwkServiceClient::new(gateway.channel().await).list_jwks(request).await?;
    Ok(answer.into_inner().jwks.len())
}

#[tokio::test]
async fn the_sandbox_has_the_sample_an_empty_project_and_the_documented_errors() {
    let gateway = sandboxed().await;
    assert_eq!(list(&gateway, sandbox::SAMPLE_PROJECT, sandbox::TOKEN).await.expect("the sample"), 2);
    assert_eq!(list(&gateway, sandbox::EMPTY_PROJECT, sandbox::TOKEN).await.expect("an empty list"), 0);

    let rows = [
        ("Missing", sandbox::TOKEN, Code::NotFound, "NOT_FOUND"),
        ("myproject", sandbox::TOKEN, Code::NotFound, "NOT_FOUND"),
        (" ", sandbox::TOKEN, Code::InvalidArgument, "BAD_REQUEST"),
        (sandbox::SAMPLE_PROJECT, "wrong", Code::Unauthenticated, "UNAUTHORIZED_CLIENT"),
    ];
    for (project, token, code, reason) in rows {
        let told = told(&list(&gateway, project, token).await.expect_err("an error"));
        assert_eq!(told.verdict(), (code, "apinizer.com", reason), "{project:?}");
    }
    let wrong_token = gateway::list(gateway.channel().await, sandbox::SAMPLE_PROJECT).await.expect_err("an error");
    assert_eq!(wrong_token.message(), "Invalid token");
}
