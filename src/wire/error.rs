//! `{"error": "not_found", "error_description": "…"}`: the Manager's error object, read as forgivingly as is safe.
//!
//! An error must not get lost because a detail of it is odd, so texts with broken Unicode are mended and fields of
//! another type are passed over.

use std::{borrow::Cow, fmt, time::Duration};

use serde::{
    Deserialize, Deserializer as _,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::status;

/// More violations than fit into a status anyway.
const MAX_VIOLATIONS: usize = 64;

/// An error in the Manager's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApinizerError {
    /// The error word, such as `not_found`.
    pub(crate) word: String,
    /// The text for people; documented as always there.
    pub(crate) description: Option<String>,
    /// What is wrong with which field.
    pub(crate) violations: Vec<Violation>,
    /// How long to wait before the next try.
    pub(crate) retry_after: Option<Duration>,
}

/// One element of `validation_errors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) field: String,
    pub(crate) message: String,
}

impl ApinizerError {
    /// Reads an error object, or `None` where the body is anything else.
    ///
    /// Other Java servers on the way write `{"error": "Not Found", "path": …}`. To keep those apart, a word without
    /// an `error_description` counts only if it looks like a code: snake_case.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let json = String::from_utf8_lossy(body);
        let [word, description, violations, retry_after] =
            pick(&json, ["error", "error_description", "validation_errors", "retry_after"])?;
        let word = word.and_then(text).filter(|word| !word.trim().is_empty())?;
        if description.is_none() && !is_snake_case(&word) {
            return None;
        }
        Some(Self {
            description: description.and_then(text).filter(|text| !text.trim().is_empty()),
            violations: violations.map(read_violations).unwrap_or_default(),
            retry_after: retry_after.and_then(|seconds| seconds.get().parse().ok()).map(Duration::from_secs),
            word,
        })
    }

    /// The code for the word, if it is one that the Manager's API reference lists.
    pub(crate) fn code(&self) -> Option<tonic::Code> {
        status::code_of_word(&self.word, self.description.as_deref().unwrap_or_default())
    }
}

fn is_snake_case(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn read_violations(json: &RawValue) -> Vec<Violation> {
    let Violations(violations) = serde_json::from_str(json.get()).unwrap_or_default();
    violations
}

/// Those elements of an array that are violations, the first [`MAX_VIOLATIONS`] of them.
#[derive(Default)]
struct Violations(Vec<Violation>);

impl<'de> Deserialize<'de> for Violations {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_seq(Self::default())
    }
}

impl<'de> Visitor<'de> for Violations {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut array: S) -> Result<Self, S::Error> {
        while let Some(element) = array.next_element::<&RawValue>()? {
            if self.0.len() < MAX_VIOLATIONS
                && let Some([field, message]) = pick(element.get(), ["field", "message"])
                && let (field, Some(message)) = (field.and_then(text).unwrap_or_default(), message.and_then(text))
            {
                self.0.push(Violation { field, message });
            }
        }
        Ok(self)
    }
}

/// The values of an object under `keys`, or `None` where the JSON is no object. Of a repeated key the last counts.
fn pick<'a, const N: usize>(json: &'a str, keys: [&str; N]) -> Option<[Option<&'a RawValue>; N]> {
    struct Picked<'k, const N: usize>([&'k str; N]);

    impl<'de, const N: usize> Visitor<'de> for Picked<'_, N> {
        type Value = [Option<&'de RawValue>; N];

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut object: M) -> Result<Self::Value, M::Error> {
            let mut picked = [None; N];
            while let Some(key) = object.next_key::<Cow<'de, str>>()? {
                match self.0.iter().position(|&wanted| wanted == key) {
                    Some(index) => picked[index] = Some(object.next_value()?),
                    None => drop(object.next_value::<IgnoredAny>()?),
                }
            }
            Ok(picked)
        }
    }

    let mut json = serde_json::Deserializer::from_str(json);
    let picked = json.deserialize_map(Picked(keys)).ok()?;
    json.end().is_ok().then_some(picked)
}

/// A JSON string; lone surrogates, which no Rust string can hold, become U+FFFD.
fn text(json: &RawValue) -> Option<String> {
    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = String;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }

    // Asked for bytes, serde_json does not insist on valid Unicode.
    serde_json::Deserializer::from_str(json.get()).deserialize_bytes(Bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> ApinizerError {
        ApinizerError::read(body.as_bytes()).expect("an error object")
    }

    #[test]
    fn the_documented_object_is_read_whole() {
        let error = read(
            r#"{"error": "validation_failed", "error_description": "Validation failed: name is required",
                "validation_errors": [{"field": "name", "message": "Name is required"}], "retry_after": 60}"#,
        );
        assert_eq!(
            error,
            ApinizerError {
                word: "validation_failed".into(),
                description: Some("Validation failed: name is required".into()),
                violations: vec![Violation { field: "name".into(), message: "Name is required".into() }],
                retry_after: Some(Duration::from_secs(60)),
            }
        );
    }

    #[test]
    fn odd_details_do_not_lose_the_error() {
        let error =
            read(r#"{"error": "not_found", "error_description": 5, "validation_errors": "x", "retry_after": -1}"#);
        assert_eq!((error.word.as_str(), error.description), ("not_found", None));
        assert_eq!((error.violations, error.retry_after), (vec![], None));

        let error = read(
            r#"{"error": "x y", "error_description": null, "validation_errors": [1, [], {"field": "a"}, {"message": "m"}]}"#,
        );
        assert_eq!(error.violations, [Violation { field: String::new(), message: "m".into() }]);
    }

    #[test]
    fn broken_unicode_is_mended() {
        assert_eq!(
            read(r#"{"error": "not_found", "error_description": "a\ud800b"}"#).description.unwrap().chars().next_back(),
            Some('b')
        );
        let binary = b"{\"error\": \"not_found\", \"error_description\": \"a\xff\xfeb\"}";
        assert_eq!(ApinizerError::read(binary).unwrap().description.unwrap(), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn anything_else_is_no_error_object() {
        for body in [
            "",
            "null",
            "5",
            "\"not_found\"",
            "[\"not_found\", \"text\"]",
            "{}",
            "{\"error\": null}",
            "{\"error\": \"\"}",
            "{\"error\": 404, \"error_description\": \"text\"}",
            "{\"error\": \"not_found\"",
            "{\"error\": \"not_found\"} x",
            "<html>not_found</html>",
            "{\"error_description\": \"text\"}",
        ] {
            assert_eq!(ApinizerError::read(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn the_error_page_of_another_java_server_is_no_error_object() {
        let page = br#"{"timestamp": "2026-01-01", "status": 404, "error": "Not Found", "path": "/apiops/projects"}"#;
        assert_eq!(ApinizerError::read(page), None);
    }
}
