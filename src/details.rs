//! A status with its typed details, cut so that every client takes it.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The longest message, in bytes of UTF-8.
const MAX_MESSAGE: usize = 1024;
/// All status metadata together, as HTTP/2 counts it. Clients cap their header lists at 8 KiB and more, and drop what
/// is larger, the code with it.
const MAX_METADATA: usize = 4096;
/// What the names and values beside message and details take of that, with 32 bytes a header (RFC 9113, section
/// 6.5.2): `:status`, `content-type`, `date`, `grpc-status`, `grpc-message`, `grpc-status-details-bin`.
const OVERHEAD: usize = 400;
/// The longest reason, `ErrorInfo.reason` of AIP-193.
const MAX_REASON: usize = 63;
/// The longest value of `ErrorInfo.metadata`, and the longest field name and text of a violation, in bytes.
const MAX_VALUE: usize = 300;

/// The details of one error: `ErrorInfo` always, `RetryInfo` and `BadRequest` where they apply.
pub(crate) struct Details {
    reason: String,
    domain: &'static str,
    metadata: HashMap<String, String>,
    retry_after: Option<Duration>,
    violations: Vec<FieldViolation>,
}

impl Details {
    pub(crate) fn new(reason: String, domain: &'static str) -> Self {
        Self { reason, domain, metadata: HashMap::new(), retry_after: None, violations: Vec::new() }
    }

    pub(crate) fn domain(&mut self, domain: &'static str) {
        self.domain = domain;
    }

    pub(crate) fn metadata(&mut self, key: &str, value: &str) {
        self.metadata.insert(key.to_owned(), cut(value, MAX_VALUE, usize::MAX).into_owned());
    }

    pub(crate) fn retry_after(&mut self, retry_after: Option<Duration>) {
        self.retry_after = retry_after;
    }

    pub(crate) fn violation(&mut self, field: &str, description: &str) {
        let [field, description] = [field, description].map(|text| cut(text, MAX_VALUE, usize::MAX));
        self.violations.push(FieldViolation::new(field, description));
    }

    /// The status: the message as long as it may be, then as many violations as there is room for.
    pub(crate) fn into_status(self, code: Code, message: &str) -> Status {
        let Self { reason, domain, metadata, retry_after, mut violations } = self;
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, domain, metadata);
        if retry_after.is_some() {
            details.set_retry_info(retry_after);
        }
        let without_message = wire_len(&Status::with_error_details(code, "", details.clone()));
        let message = cut(message, MAX_MESSAGE, MAX_METADATA - without_message);
        loop {
            let mut details = details.clone();
            if !violations.is_empty() {
                details.set_bad_request(violations.clone());
            }
            let status = Status::with_error_details(code, message.clone(), details);
            if wire_len(&status) <= MAX_METADATA || violations.pop().is_none() {
                return status;
            }
        }
    }
}

/// The bytes that a status takes in a header list.
fn wire_len(status: &Status) -> usize {
    let message: usize = status.message().chars().map(percent_encoded_len).sum();
    OVERHEAD + message + (status.details().len() * 4).div_ceil(3)
}

/// The bytes of a character in `grpc-message`, with the set that tonic encodes.
fn percent_encoded_len(char: char) -> usize {
    if char.is_ascii_graphic() && !"\"#%<>`?{}".contains(char) { 1 } else { 3 * char.len_utf8() }
}

/// The longest beginning of `text` that fits, with "…" where something is missing.
///
/// `max_wire` bounds what it takes on the wire: once in `grpc-message` and once in the details, which are base64.
fn cut(text: &str, max_bytes: usize, max_wire: usize) -> Cow<'_, str> {
    // In thirds of a byte, since base64 makes four bytes of three.
    let cost = |char: char| 3 * percent_encoded_len(char) + 4 * char.len_utf8();
    let max_cost = max_wire.saturating_sub(LENGTH_PREFIX).saturating_mul(3);
    let (mut bytes, mut wire, mut end) = (0, 0, 0);
    for char in text.chars() {
        bytes += char.len_utf8();
        wire += cost(char);
        if bytes > max_bytes || wire > max_cost {
            return Cow::Owned(format!("{}…", &text[..end]));
        }
        if bytes <= max_bytes.saturating_sub('…'.len_utf8()) && wire <= max_cost.saturating_sub(cost('…')) {
            end = bytes;
        }
    }
    Cow::Borrowed(text)
}

/// A protobuf tag, a length of two bytes, and what base64 rounds up.
const LENGTH_PREFIX: usize = 8;

/// A word as `ErrorInfo.reason`: `[A-Z][A-Z0-9_]*[A-Z0-9]`, at most 63 characters (AIP-193).
///
/// A word that has no such form, for want of Latin letters, becomes `UNRECOGNIZED`.
pub(crate) fn upper_snake(word: &str) -> String {
    let snake = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' };
    let reason: String =
        word.chars().map(snake).skip_while(|char| !char.is_ascii_uppercase()).take(MAX_REASON).collect();
    match reason.trim_end_matches('_') {
        "" => "UNRECOGNIZED".to_owned(),
        reason if reason.len() == 1 => "UNRECOGNIZED".to_owned(),
        reason => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_word_becomes_a_well_formed_reason() {
        let rows = [
            ("not_found", "NOT_FOUND"),
            ("rate-limit exceeded!", "RATE_LIMIT_EXCEEDED"),
            ("__x1_", "X1"),
            ("404_gone", "GONE"),
            ("a", "UNRECOGNIZED"),
            ("", "UNRECOGNIZED"),
            ("数据", "UNRECOGNIZED"),
            ("\r\ninjected: header", "INJECTED__HEADER"),
        ];
        for (word, reason) in rows {
            assert_eq!(upper_snake(word), reason, "{word:?}");
        }
        assert_eq!(upper_snake(&"x".repeat(100)).len(), 63);
        assert_eq!(upper_snake(&format!("{}_y", "x".repeat(62))), "X".repeat(62));
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_says_so() {
        assert_eq!(cut("abcdef", 6, usize::MAX), "abcdef");
        assert_eq!(cut("abcdefg", 6, usize::MAX), "abc…");
        assert_eq!(cut("aööö", 6, usize::MAX), "aö…");
        assert_eq!(cut("", 6, usize::MAX), "");
    }

    #[test]
    fn a_message_of_one_kibibyte_is_left_alone() {
        let message = "x".repeat(1024);
        let status = Details::new("NOT_FOUND".into(), "apinizer.com").into_status(Code::NotFound, &message);
        assert_eq!(status.message(), message);
        let status = Details::new("NOT_FOUND".into(), "apinizer.com").into_status(Code::NotFound, &(message + "x"));
        assert_eq!((status.message().len(), status.message().ends_with("x…")), (1024, true));
    }

    #[test]
    fn violations_give_way_to_the_message() {
        let mut details = Details::new("VALIDATION_FAILED".into(), "apinizer.com");
        for n in 0..64 {
            details.violation(&format!("field{n}"), &"x".repeat(100));
        }
        let status = details.into_status(Code::InvalidArgument, "Validation failed");
        let violations = status.get_error_details().bad_request().expect("violations").field_violations.clone();
        assert!((10..64).contains(&violations.len()), "{}", violations.len());
        assert_eq!((violations[0].field.as_str(), status.message()), ("field0", "Validation failed"));
    }

    /// Texts of every kind, also long ones.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), (any::<String>(), 1..2000_usize).prop_map(|(text, times)| text.repeat(times))]
    }

    proptest! {
        #[test]
        fn any_text_yields_a_status_that_real_clients_take_whole(
            message in text(), word in text(), project in text(),
            violations in prop::collection::vec((text(), text()), 0..4),
            retry_after in prop::option::of(any::<u64>()),
        ) {
            let mut details = Details::new(upper_snake(&word), "apinizer.com");
            details.metadata("project", &project);
            details.metadata("http_status", "400");
            details.retry_after(retry_after.map(Duration::from_secs));
            for (field, description) in &violations {
                details.violation(field, description);
            }
            let status = details.into_status(Code::InvalidArgument, &message);

            let mut headers = HeaderMap::new();
            status.add_header(&mut headers).expect("header values");
            let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
            prop_assert!(size <= MAX_METADATA, "{}", size);

            let received = Status::from_header_map(&headers).expect("a status");
            prop_assert_eq!(received.code(), Code::InvalidArgument);
            prop_assert!(received.message().len() <= MAX_MESSAGE);
            match received.message().strip_suffix('…') {
                Some(beginning) if received.message() != message => prop_assert!(message.starts_with(beginning)),
                _ => prop_assert_eq!(received.message(), &message),
            }
            let info = received.get_error_details().error_info().cloned().expect("ErrorInfo");
            let well_formed = |reason: &str| {
                (2..=63).contains(&reason.len())
                    && reason.starts_with(|c: char| c.is_ascii_uppercase())
                    && !reason.ends_with('_')
                    && reason.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            };
            prop_assert!(well_formed(&info.reason), "{}", info.reason);
        }
    }
}
