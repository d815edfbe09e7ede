//! Errors: what the upstream says or does, and the code, domain, reason and details that come of it.

use std::time::Duration;

use tonic::Code;

use crate::support::{Gateway, Reply, Upstream, caller, told, told::Told};

async fn refusal(reply: Reply) -> Told {
    let upstream = Upstream::answering(reply).await;
    told(&Gateway::before(&upstream).await.refusal("MyProject").await)
}

fn error(status: u16, word: &str, description: &str) -> Reply {
    Reply::json(status, serde_json::json!({"error": word, "error_description": description}).to_string())
}

#[tokio::test]
async fn each_documented_error_has_its_code_and_its_own_words() {
    let rows = [
        (400, "bad_request", "projectName value can not be empty!", Code::InvalidArgument),
        (400, "bad_request", "JWK (name: my-jwk) is not found!", Code::NotFound),
        (400, "bad_request", "Project(MyProject) was not found or user does not …", Code::NotFound),
        (400, "validation_failed", "Validation failed: name is required", Code::InvalidArgument),
        (400, "invalid_parameter", "text", Code::InvalidArgument),
        (400, "unsupported_grant_type", "text", Code::InvalidArgument),
        (401, "unauthorized_client", "Invalid token", Code::Unauthenticated),
        (401, "invalid_token", "Invalid token", Code::Unauthenticated),
        (401, "token_expired", "Token is invalid or expired", Code::Unauthenticated),
        (403, "forbidden", "You do not have permission to perform this action", Code::PermissionDenied),
        (403, "access_denied", "text", Code::PermissionDenied),
        (404, "not_found", "Project 'MyProject' not found", Code::NotFound),
        (404, "resource_not_found", "text", Code::NotFound),
        (409, "duplicate_name", "API Proxy with name 'MyAPI' already exists", Code::AlreadyExists),
        (409, "conflict", "text", Code::Aborted),
        (429, "rate_limit_exceeded", "text", Code::ResourceExhausted),
        (500, "internal_error", "An unexpected error occurred. Please try again later.", Code::Internal),
        (500, "server_error", "text", Code::Internal),
    ];
    for (status, word, description, code) in rows {
        let told = refusal(error(status, word, description)).await;
        assert_eq!(told.verdict(), (code, "apinizer.com", &*word.to_uppercase()), "{word}");
        assert_eq!((told.message.as_str(), told.http_status()), (description, Some(&*status.to_string())), "{word}");
        assert_eq!(told.metadata["project"], "MyProject");
    }
}

#[tokio::test]
async fn the_word_decides_before_the_number() {
    for status in [200, 302, 400, 500, 503] {
        let told = refusal(error(status, "token_expired", "text")).await;
        assert_eq!(told.verdict(), (Code::Unauthenticated, "apinizer.com", "TOKEN_EXPIRED"), "{status}");
    }
}

#[tokio::test]
async fn an_unlisted_word_gives_the_reason_and_the_number_the_code() {
    let rows = [
        (200, Code::Internal),
        (302, Code::Internal),
        (400, Code::InvalidArgument),
        (404, Code::NotFound),
        (418, Code::FailedPrecondition),
        (503, Code::Unavailable),
        (599, Code::Internal),
    ];
    for (status, code) in rows {
        let told = refusal(error(status, "some-new word", "text")).await;
        assert_eq!(told.verdict(), (code, "apinizer.com", "SOME_NEW_WORD"), "{status}");
    }
}

#[tokio::test]
async fn without_an_error_object_the_number_decides() {
    let rows = [
        (400, Code::InvalidArgument),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (405, Code::FailedPrecondition),
        (409, Code::Aborted),
        (418, Code::FailedPrecondition),
        (429, Code::ResourceExhausted),
        (500, Code::Internal),
        (501, Code::Unimplemented),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::DeadlineExceeded),
        (599, Code::Internal),
    ];
    for (status, code) in rows {
        for body in ["", "<html>secret.internal.example</html>", "[\"not_found\", \"text\"]", "{\"error\": 5}"] {
            let told = refusal(Reply::http(status, &[("content-type", "text/html")], body)).await;
            assert_eq!(told.verdict(), (code, "jwks-gateway", "UPSTREAM_HTTP_STATUS"), "{status} {body}");
            assert_eq!(told.http_status(), Some(&*status.to_string()));
            assert!(told.message.contains(&status.to_string()) && !told.message.contains("secret"), "{}", told.message);
        }
    }
}

#[tokio::test]
async fn a_404_page_of_a_proxy_is_no_missing_project() {
    let page = r#"{"timestamp": "2026-01-01T00:00:00Z", "status": 404, "error": "Not Found", "path": "/apiops"}"#;
    let told = refusal(Reply::json(404, page)).await;
    assert_eq!(told.verdict(), (Code::Unimplemented, "jwks-gateway", "UPSTREAM_HTTP_STATUS"));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Upstream::answering(Reply::json(200, r#"{"success": true, "resultList": []}"#)).await;
    for status in [300, 301, 302, 303, 304, 307, 308] {
        let location = [("location", &*format!("{}/apiops/", elsewhere.url())), ("content-type", "text/html")];
        let body = if status == 304 { "" } else { "<html>moved</html>" };
        let told = refusal(Reply::http(status, &location, body)).await;
        assert_eq!(told.verdict(), (Code::Internal, "jwks-gateway", "UPSTREAM_REDIRECT"), "{status}");
        assert_eq!(told.http_status(), Some(&*status.to_string()));
        assert!(!told.message.contains("127.0.0.1"), "{}", told.message);
    }
    assert_eq!(elsewhere.requests(), [""; 0]);
}

#[tokio::test]
async fn validation_errors_become_field_violations() {
    let body = r#"{"error": "validation_failed", "error_description": "Validation failed",
        "validation_errors": [{"field": "name", "message": "Name is required"}, {"field": "kid", "message": "ü"}]}"#;
    let expected = [("name".to_owned(), "Name is required".to_owned()), ("kid".to_owned(), "ü".to_owned())];
    assert_eq!(refusal(Reply::json(400, body)).await.violations, expected);
}

#[tokio::test]
async fn a_delay_that_the_upstream_asks_for_becomes_retry_info() {
    let body = r#"{"error": "rate_limit_exceeded", "error_description": "text", "retry_after": 60}"#;
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(refusal(Reply::json(429, body)).await.retry_after, seconds(60));
    assert_eq!(refusal(Reply::http(429, &[("retry-after", "7")], body)).await.retry_after, seconds(7));
    assert_eq!(refusal(Reply::http(503, &[("retry-after", "8")], "")).await.retry_after, seconds(8));
    assert_eq!(refusal(Reply::http(503, &[("retry-after", "soon")], "")).await.retry_after, None);
    let past = ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(refusal(Reply::http(503, &[past], "")).await.retry_after, seconds(0));
    assert_eq!(refusal(Reply::json(500, r#"{"error": "internal_error", "retry_after": "x"}"#)).await.retry_after, None);
}

#[tokio::test]
async fn an_error_without_a_text_still_has_its_code() {
    for description in
        ["", r#", "error_description": null"#, r#", "error_description": 5"#, r#", "error_description": "" "#]
    {
        let told = refusal(Reply::json(401, format!(r#"{{"error": "invalid_token"{description}}}"#))).await;
        assert_eq!(told.verdict(), (Code::Unauthenticated, "apinizer.com", "INVALID_TOKEN"));
        assert!(told.message.contains("invalid_token"), "{}", told.message);
    }
}

#[tokio::test]
async fn texts_in_every_script_and_with_control_characters_arrive_intact() {
    for text in
        ["Proje bulunamadı – Ğüş", "日本語", "a\r\ngrpc-status: 0\r\n\r\nb\0\t\u{7f}\u{85}", "50% \"#<>`?{}", " a "]
    {
        assert_eq!(refusal(error(404, "not_found", text)).await.message, text);
    }
}

#[tokio::test]
async fn broken_unicode_in_a_text_is_replaced() {
    let told = refusal(Reply::json(404, b"{\"error\": \"not_found\", \"error_description\": \"a\xff\xc3(\"}")).await;
    assert_eq!((told.code, told.message.as_str()), (Code::NotFound, "a\u{fffd}\u{fffd}("));
    let told = refusal(Reply::json(404, r#"{"error": "not_found", "error_description": "a\udc00"}"#)).await;
    assert!(told.message.starts_with("a\u{fffd}"), "{}", told.message);
}

#[tokio::test]
async fn a_long_text_is_cut_so_that_the_code_arrives() {
    for text in
        ["x".repeat(100_000), "ü".repeat(100_000), "a ".repeat(1_000_000), "\u{1}".repeat(5_000), "%".repeat(2_000)]
    {
        let upstream = Upstream::answering(error(404, "not_found", &text)).await;
        let gateway = Gateway::before(&upstream).await;
        let status = caller::call(gateway.address, "MyProject", &[]).await;
        let told = told(&status);
        assert_eq!(told.verdict(), (Code::NotFound, "apinizer.com", "NOT_FOUND"));
        assert!(told.message.len() <= 1024, "{}", told.message.len());
        assert!(text.starts_with(told.message.strip_suffix('…').expect("a mark where it was cut")));

        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).expect("headers");
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(size <= 4096, "{size}");
    }
}

#[tokio::test]
async fn many_violations_are_cut_and_the_first_are_kept() {
    let violation = r#"{"field": "name", "message": "Name is required"}"#;
    let violations = vec![violation; 10_000].join(",");
    let body = format!(
        r#"{{"error": "validation_failed", "error_description": "Validation failed", "validation_errors": [{violations}]}}"#
    );
    let told = refusal(Reply::json(400, body)).await;
    assert_eq!((told.code, told.message.as_str()), (Code::InvalidArgument, "Validation failed"));
    assert!(told.violations.len() >= 10, "{}", told.violations.len());
}
