//! A stand-in for the Manager, for the demo and the tests: the list endpoint with the documented sample and errors.
//!
//! It is kinder than the documents in nothing: a path without the final slash, or any other, gets the page that a
//! servlet container has for it, and no error object.

use axum::{
    Router,
    extract::Path,
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

/// The only token that the sandbox takes.
pub const TOKEN: &str = "demo-token";
/// The project that has the vendor's documented sample.
pub const SAMPLE_PROJECT: &str = "MyProject";
/// A project without JWKs. All other projects are missing.
pub const EMPTY_PROJECT: &str = "EmptyProject";

/// The vendor's documented answer, nulls written out.
const SAMPLE: &str = include_str!("sandbox/sample.json");
const EMPTY: &str = r#"{"success": true, "resultList": []}"#;
const NO_SUCH_PAGE: &str = "<!doctype html><html><head><title>HTTP Status 404 – Not Found</title></head></html>";

/// Serves the sandbox until the future is dropped.
///
/// # Errors
/// Where the listener fails for good.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let pages = Router::new()
        .route("/apiops/projects/{project}/jwks/", get(list_jwks))
        .fallback(async || (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "text/html;charset=UTF-8")], NO_SUCH_PAGE));
    axum::serve(listener, pages).await
}

async fn list_jwks(Path(project): Path<String>, headers: HeaderMap) -> Response {
    if headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer_token) != Some(TOKEN) {
        return error(StatusCode::UNAUTHORIZED, "unauthorized_client", "Invalid token");
    }
    match project.as_str() {
        SAMPLE_PROJECT => json(StatusCode::OK, SAMPLE.to_owned()),
        EMPTY_PROJECT => json(StatusCode::OK, EMPTY.to_owned()),
        blank if blank.trim().is_empty() => {
            error(StatusCode::BAD_REQUEST, "bad_request", "projectName value can not be empty!")
        }
        missing => {
            let text = format!("Project ({missing}) is not found or user does not have privilege to access it!");
            error(StatusCode::NOT_FOUND, "not_found", &text)
        }
    }
}

fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_start())
}

fn error(status: StatusCode, word: &str, description: &str) -> Response {
    json(status, serde_json::json!({"error": word, "error_description": description}).to_string())
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json;charset=UTF-8")], body).into_response()
}
