//! From what the upstream said to a gRPC code: two tables, no input or output.

use tonic::Code;

/// The code for an error word of the Manager, or `None` for a word that its API reference does not list.
///
/// The Manager reports a missing thing sometimes as `not_found` and sometimes as `bad_request` with a text that
/// says so; both are NOT_FOUND here. Source: error codes of the Apinizer Management API reference.
pub(crate) fn code_of_word(word: &str, description: &str) -> Option<Code> {
    let says_missing = description.contains("is not found") || description.contains("was not found");
    Some(match word {
        "bad_request" | "validation_failed" | "invalid_parameter" if says_missing => Code::NotFound,
        "bad_request" | "validation_failed" | "invalid_parameter" => Code::InvalidArgument,
        "unauthorized_client" | "invalid_token" | "token_expired" => Code::Unauthenticated,
        "forbidden" | "access_denied" => Code::PermissionDenied,
        "not_found" | "resource_not_found" => Code::NotFound,
        "duplicate_name" => Code::AlreadyExists,
        "conflict" => Code::Aborted,
        "rate_limit_exceeded" => Code::ResourceExhausted,
        "internal_error" | "server_error" => Code::Internal,
        _ => return None,
    })
}

/// Whether the Manager itself spoke, or something on the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// The body is an error object of the Manager.
    Manager,
    /// The body is anything else: a proxy's page, a sign-on form, nothing.
    Unknown,
}

/// The code for an HTTP status number that came with no word we know.
///
/// Differs from the gRPC mapping for proxies (`doc/http-grpc-status-mapping.md` of the grpc repository) where REST
/// tells more: 400 and 409 have codes of their own, and a 5xx is not UNKNOWN but INTERNAL.
pub(crate) fn code_of_http_status(status: u16, speaker: Speaker) -> Code {
    match status {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 if speaker == Speaker::Manager => Code::NotFound,
        // A proxy's 404 or a wrong base URL is no missing project.
        404 => Code::Unimplemented,
        409 => Code::Aborted,
        429 => Code::ResourceExhausted,
        501 => Code::Unimplemented,
        502 | 503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        402..=499 => Code::FailedPrecondition,
        // Other 5xx, and an error that came with a 1xx, 2xx or 3xx or an invented number.
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_its_code() {
        let rows = [
            ("bad_request", Code::InvalidArgument),
            ("validation_failed", Code::InvalidArgument),
            ("invalid_parameter", Code::InvalidArgument),
            ("unauthorized_client", Code::Unauthenticated),
            ("invalid_token", Code::Unauthenticated),
            ("token_expired", Code::Unauthenticated),
            ("forbidden", Code::PermissionDenied),
            ("access_denied", Code::PermissionDenied),
            ("not_found", Code::NotFound),
            ("resource_not_found", Code::NotFound),
            ("duplicate_name", Code::AlreadyExists),
            ("conflict", Code::Aborted),
            ("rate_limit_exceeded", Code::ResourceExhausted),
            ("internal_error", Code::Internal),
            ("server_error", Code::Internal),
        ];
        for (word, code) in rows {
            assert_eq!(code_of_word(word, "some text"), Some(code), "{word}");
        }
    }

    #[test]
    fn a_bad_request_that_says_not_found_is_not_found() {
        for word in ["bad_request", "validation_failed", "invalid_parameter"] {
            assert_eq!(code_of_word(word, "JWK (name: my-jwk) is not found!"), Some(Code::NotFound));
            assert_eq!(code_of_word(word, "Project(X) was not found or …"), Some(Code::NotFound));
        }
        assert_eq!(code_of_word("forbidden", "it is not found"), Some(Code::PermissionDenied));
    }

    #[test]
    fn an_unlisted_word_has_no_code_of_its_own() {
        for word in ["", "unsupported_grant_type", "NOT_FOUND", "not_found ", "Not Found"] {
            assert_eq!(code_of_word(word, ""), None, "{word}");
        }
    }

    #[test]
    fn each_http_status_has_its_code() {
        let rows = [
            (400, Code::InvalidArgument),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (409, Code::Aborted),
            (429, Code::ResourceExhausted),
            (501, Code::Unimplemented),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::DeadlineExceeded),
            (402, Code::FailedPrecondition),
            (405, Code::FailedPrecondition),
            (418, Code::FailedPrecondition),
            (499, Code::FailedPrecondition),
            (500, Code::Internal),
            (505, Code::Internal),
            (599, Code::Internal),
            (101, Code::Internal),
            (200, Code::Internal),
            (204, Code::Internal),
            (302, Code::Internal),
            (999, Code::Internal),
        ];
        for (status, code) in rows {
            for speaker in [Speaker::Manager, Speaker::Unknown] {
                assert_eq!(code_of_http_status(status, speaker), code, "{status} {speaker:?}");
            }
        }
    }

    #[test]
    fn only_the_manager_can_say_that_a_project_is_missing() {
        assert_eq!(code_of_http_status(404, Speaker::Manager), Code::NotFound);
        assert_eq!(code_of_http_status(404, Speaker::Unknown), Code::Unimplemented);
    }
}
