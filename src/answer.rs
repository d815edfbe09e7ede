//! What a whole HTTP answer means: a list, or why not. No input or output.

use std::time::Duration;

use http::StatusCode;

use crate::{
    convert,
    error::Failure,
    wire::{Malformed, error::ApinizerError, list},
};

/// Judges an answer by its status, its `Retry-After` and its body. A list becomes an encoded `ListJwksResponse`, which
/// is never longer than the body.
///
/// # Errors
/// Everything that is not a 200 with a list. Where the body is an error of the Manager it counts, whatever the status;
/// else the status does.
pub(crate) fn read(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let malformed = match status {
        StatusCode::OK => match read_list(body) {
            Ok(answer) => return Ok(answer),
            Err(malformed) => malformed,
        },
        other => Malformed(format!("HTTP {} answers no such request", other.as_u16())),
    };
    Err(match ApinizerError::read(body) {
        Some(error) => Failure::Said { retry_after: retry_after.or(error.retry_after), error },
        None if status.is_redirection() => Failure::Redirect,
        None if status.as_u16() < 300 => Failure::Malformed(malformed),
        None => Failure::HttpStatus { retry_after },
    })
}

/// Reads the body of a 200 into an encoded `ListJwksResponse`.
///
/// # Errors
/// Where it is no list, see [`list::read`].
pub(crate) fn read_list(body: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut encoded = Vec::with_capacity(body.len() / 2);
    list::read(body, |entry| convert::append_jwk(&mut encoded, &entry))?;
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn malformed(body: &str) -> String {
        read_list(body.as_bytes()).expect_err("no list").to_string()
    }

    #[test]
    fn a_null_list_is_an_empty_list_and_undocumented_fields_may_hold_anything() {
        for body in [
            r#"{"success": true, "resultList": []}"#,
            r#"{"resultList": null, "success": true}"#,
            r#"{"success": true, "resultList": [], "resultCount": 0, "error": null, "x": [[{"y": {}}]]}"#,
        ] {
            assert_eq!(read_list(body.as_bytes()).expect("a list"), [0; 0], "{body}");
        }
    }

    #[test]
    fn a_malformed_answer_is_told_by_place_and_never_by_value() {
        let rows = [
            (r#"[true, []]"#, "the body: expected an object"),
            (r#"null"#, "the body: expected an object"),
            (r#"{}"#, "success: missing"),
            (r#"{"success": true}"#, "resultList: missing"),
            (r#"{"success": false, "resultList": []}"#, "success: expected true"),
            (r#"{"success": "true", "resultList": []}"#, "success: expected true"),
            (r#"{"success": 1, "resultList": []}"#, "success: expected true"),
            (r#"{"success": null, "resultList": []}"#, "success: expected true"),
            (r#"{"resultList": []}"#, "success: missing"),
            (r#"{"success": true, "resultList": {}}"#, "resultList: expected an array or null"),
            (r#"{"success": true, "resultList": "secret"}"#, "resultList: expected an array or null"),
            (r#"{"success": true, "resultList": false}"#, "resultList: expected an array or null"),
            (r#"{"success": true, "resultList": [null]}"#, "resultList[0]: expected an object"),
            (r#"{"success": true, "resultList": [["a", "b"]]}"#, "resultList[0]: expected an object"),
            (r#"{"success": true, "resultList": [{"name": "a"}, 7]}"#, "resultList[1]: expected an object"),
            (r#"{"success": true, "resultList": [{}]}"#, "resultList[0].name: missing"),
            (r#"{"success": true, "resultList": [{"name": null}]}"#, "resultList[0].name: expected a string"),
            (
                r#"{"success": true, "resultList": [{"name": "a"}, {"name": 4711}]}"#,
                "resultList[1].name: expected a string",
            ),
            (
                r#"{"success": true, "resultList": [{"name": "a", "kid": ["secret"]}]}"#,
                "resultList[0].kid: expected a string or null",
            ),
            (r#"{"success": true, "resultList": [{"name": "a", "name": "b"}]}"#, "resultList[0].name: given twice"),
            (
                r#"{"success": true, "resultList": [{"name": "a", "type": null, "type": "RSA"}]}"#,
                "resultList[0].type: given twice",
            ),
            (r#"{"success": true, "resultList": [], "resultList": []}"#, "resultList: given twice"),
            (r#"{"success": true, "success": true, "resultList": []}"#, "success: given twice"),
            (r#"{"success": true, "resultList": [], "error": "x"}"#, "error: expected no error in an answer"),
            (r#"{"success": true, "resultList": [{"name": "secret"#, "the JSON breaks off at line 1, column 49"),
            (r#"{"success": true, "resultList": []} x"#, "not JSON at line 1, column 37"),
            ("", "the JSON breaks off at line 1, column 0"),
            ("<html>secret</html>", "not JSON at line 1, column 1"),
            ("\u{feff}{}", "not JSON at line 1, column 1"),
            (r#"{"success": NaN}"#, "not JSON at line 1, column 13"),
        ];
        for (body, message) in rows {
            assert_eq!(malformed(body), message, "{body}");
        }
    }

    #[test]
    fn every_documented_field_must_be_text_or_null() {
        for field in ["description", "projectId", "sourceType", "sourceId", "sourceUrl", "type", "kid"] {
            for value in ["1", "true", "{}", "[]", "[\"a\"]"] {
                let body = format!(r#"{{"success": true, "resultList": [{{"name": "a", "{field}": {value}}}]}}"#);
                assert_eq!(malformed(&body), format!("resultList[0].{field}: expected a string or null"));
            }
        }
    }

    #[test]
    fn the_status_counts_where_the_body_is_no_error_of_the_manager() {
        let failure = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).expect("a status");
            read(status, None, body.as_bytes()).expect_err("a failure")
        };
        let list = r#"{"success": true, "resultList": []}"#;
        for status in [100, 101, 199, 201, 204, 206, 299] {
            assert!(matches!(failure(status, list), Failure::Malformed(_)), "{status}");
        }
        for status in [300, 301, 302, 304, 307, 308, 399] {
            assert!(matches!(failure(status, list), Failure::Redirect), "{status}");
        }
        for status in [400, 404, 418, 500, 503, 599, 600, 999] {
            assert!(matches!(failure(status, list), Failure::HttpStatus { .. }), "{status}");
        }
        for status in [100, 200, 204, 302, 404, 500, 999] {
            let said = failure(status, r#"{"error": "not_found", "error_description": "text"}"#);
            assert!(matches!(said, Failure::Said { .. }), "{status}");
        }
    }
}
