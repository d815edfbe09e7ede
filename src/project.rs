//! The project's name: checked once, then known to fit into exactly one path segment.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest name, in bytes of UTF-8.
const MAX_BYTES: usize = 255;

/// Everything but the unreserved characters of RFC 3986, section 2.3. That covers `/ ? # %`, which would end the
/// segment, and `;`, which servlet containers read as the start of a path parameter.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A project's name that can be carried as one path segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProjectName(String);

impl ProjectName {
    /// Accepts 1 to 255 bytes without control characters that are neither `.` nor `..`.
    ///
    /// Dots alone are refused because URL parsers remove such segments, even in the form `%2e%2e` (WHATWG URL,
    /// "double-dot path segment"); control characters because some are dropped from URLs, others from logs.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn new(name: String) -> Result<Self, ProjectFault> {
        match name.as_str() {
            "" => Err(ProjectFault::Empty),
            "." | ".." => Err(ProjectFault::Dots),
            _ if name.len() > MAX_BYTES => Err(ProjectFault::TooLong),
            // The category Cc of Unicode: C0, DEL and C1.
            _ if name.contains(char::is_control) => Err(ProjectFault::ControlCharacter),
            _ => Ok(Self(name)),
        }
    }

    /// The name as callers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as one percent-encoded path segment.
    pub fn path_segment(&self) -> impl fmt::Display + '_ {
        utf8_percent_encode(&self.0, NOT_UNRESERVED)
    }
}

/// Why a string is no project name. The text is for the caller and quotes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectFault {
    /// The empty string, which is also what a field that was not set looks like.
    #[error("must not be empty")]
    Empty,
    /// `.` or `..`.
    #[error("must not be \".\" or \"..\"")]
    Dots,
    /// A character of the Unicode category Cc.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// More than 255 bytes of UTF-8.
    #[error("must not be longer than 255 bytes")]
    TooLong,
    /// A name that URL parsers would change, in spite of the checks above.
    #[error("cannot be carried as one path segment")]
    NoSegment,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(name: &str) -> String {
        ProjectName::new(name.to_owned()).expect("a good name").path_segment().to_string()
    }

    #[test]
    fn only_unreserved_characters_stay_as_they_are() {
        assert_eq!(segment("AZaz09-._~"), "AZaz09-._~");
        assert_eq!(segment("My Project"), "My%20Project");
        assert_eq!(segment("a/b?c#d;e&f=g+h:i@j"), "a%2Fb%3Fc%23d%3Be%26f%3Dg%2Bh%3Ai%40j");
        assert_eq!(segment("%2e%2e"), "%252e%252e");
        assert_eq!(segment("ödeme"), "%C3%B6deme");
    }

    #[test]
    fn names_that_no_segment_can_carry_are_refused() {
        let fault = |name: &str| ProjectName::new(name.to_owned()).expect_err("a bad name");
        assert_eq!(fault(""), ProjectFault::Empty);
        assert_eq!(fault("."), ProjectFault::Dots);
        assert_eq!(fault(".."), ProjectFault::Dots);
        for name in ["\t..", "a\tb", "a\0", "a\r\nb", "\u{7f}", "\u{80}x", "x\u{9f}"] {
            assert_eq!(fault(name), ProjectFault::ControlCharacter, "{name:?}");
        }
        assert_eq!(fault(&"x".repeat(256)), ProjectFault::TooLong);
        assert_eq!(fault(&"ö".repeat(128)), ProjectFault::TooLong);
        assert_eq!(segment(&"x".repeat(255)).len(), 255);
    }

    proptest! {
        #[test]
        fn every_string_is_refused_or_is_one_segment_that_decodes_to_itself(name in any::<String>()) {
            if let Ok(project) = ProjectName::new(name.clone()) {
                let segment = project.path_segment().to_string();
                prop_assert!(segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
                let decoded = percent_encoding::percent_decode_str(&segment).decode_utf8().expect("UTF-8");
                prop_assert_eq!(decoded, name.as_str());
            } else {
                prop_assert!(
                    ["", ".", ".."].contains(&name.as_str()) || name.len() > 255 || name.contains(char::is_control)
                );
            }
        }
    }
}
