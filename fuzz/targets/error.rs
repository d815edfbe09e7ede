//! Whole answers with their headers: what is no list becomes a status that every client takes.
//!
//! An input is readable: HTTP status, `Retry-After` and `Content-Encoding` on a line each, then the body.

#![no_main]

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use jwks_gateway::{fuzzing, pb::ListJwksResponse};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What a body may have here, before and after it is unpacked.
const LIMIT: usize = 64 << 10;

fn response(input: &[u8]) -> Option<Response<Vec<u8>>> {
    let mut lines = input.splitn(4, |&byte| byte == b'\n');
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::from_bytes(lines.next()?).ok()?;
    for name in ["retry-after", "content-encoding"] {
        let value = HeaderValue::from_bytes(lines.next()?).ok()?;
        if !value.is_empty() {
            response.headers_mut().insert(name, value);
        }
    }
    *response.body_mut() = lines.next()?.to_vec();
    Some(response)
}

/// The form of AIP-193: upper snake case of 63 characters at most.
fn is_reason(reason: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (2..=63).contains(&reason.len())
        && reason.starts_with(|char: char| char.is_ascii_uppercase())
        && reason.bytes().all(inner)
        && !reason.ends_with('_')
}

fn check(status: &Status, http_status: StatusCode) {
    assert_ne!(status.code(), Code::Ok);
    assert!(!status.message().is_empty() && status.message().len() <= 1024, "{:?}", status.message());
    let info = status.get_details_error_info().expect("ErrorInfo");
    assert!(is_reason(&info.reason), "{:?}", info.reason);
    assert!(["apinizer.com", "jwks-gateway"].contains(&&*info.domain), "{:?}", info.domain);
    assert_eq!(info.metadata.get("http_status").map(String::as_str), Some(http_status.as_str()));

    let mut headers = HeaderMap::new();
    status.add_header(&mut headers).expect("headers");
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    assert!(size <= 4096, "{size} bytes");
    let read = Status::from_header_map(&headers).expect("a status");
    assert_eq!((read.code(), read.message(), read.details()), (status.code(), status.message(), status.details()));
}

fuzz_target!(|input: &[u8]| {
    let Some(response) = response(input) else { return };
    let http_status = response.status();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    match runtime.block_on(fuzzing::answer(response, LIMIT)) {
        Ok(encoded) => {
            assert_eq!(http_status, 200);
            assert!(encoded.len() <= LIMIT);
            ListJwksResponse::decode(&*encoded).expect("protobuf");
        }
        Err(status) => check(&status, http_status),
    }
});
