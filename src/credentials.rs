//! The caller's bearer token: one, well-formed, and visible to nobody.

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

/// A bearer token with its scheme, just as the caller sent it.
///
/// `Debug` shows no part of it: the value is marked sensitive, which HTTP libraries respect as well.
#[derive(Clone, Debug)]
pub struct BearerToken(HeaderValue);

impl BearerToken {
    /// Takes the token from a call's metadata.
    ///
    /// # Errors
    /// Where there is no `authorization`, more than one, or one that is not `Bearer` and a token (RFC 6750,
    /// section 2.1).
    pub fn from_metadata(metadata: &HeaderMap) -> Result<Self, CredentialsFault> {
        let mut values = metadata.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(CredentialsFault::Missing)?;
        if values.next().is_some() {
            return Err(CredentialsFault::Repeated);
        }
        if !is_bearer(value.as_bytes()) {
            return Err(CredentialsFault::Malformed);
        }
        let mut value = value.clone();
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The value for the `authorization` header of the REST call.
    pub(crate) fn header_value(&self) -> &HeaderValue {
        &self.0
    }
}

/// Why a call's `authorization` cannot be used. The text is for the caller and quotes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsFault {
    /// No `authorization` at all.
    #[error("the call carries no authorization; send the metadata \"authorization: Bearer <token>\"")]
    Missing,
    /// More than one `authorization`.
    #[error("the call carries more than one authorization")]
    Repeated,
    /// Another scheme, no token, or characters that no token has.
    #[error("the authorization is not \"Bearer\" followed by one token")]
    Malformed,
}

/// `"Bearer" 1*SP b64token`; the scheme's case does not matter (RFC 9110, section 11.1).
fn is_bearer(value: &[u8]) -> bool {
    let Some((scheme, rest)) = value.split_at_checked(b"Bearer".len()) else { return false };
    let token = rest.trim_ascii_start();
    scheme.eq_ignore_ascii_case(b"Bearer")
        && rest.strip_suffix(token).is_some_and(|gap| !gap.is_empty() && gap.iter().all(|&b| b == b' '))
        && is_b64token(token)
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(token: &[u8]) -> bool {
    let end = token.iter().rposition(|&b| b != b'=').map_or(0, |last| last + 1);
    end > 0 && token[..end].iter().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&[u8]]) -> Result<BearerToken, CredentialsFault> {
        let mut metadata = HeaderMap::new();
        for value in values {
            metadata.append(AUTHORIZATION, HeaderValue::from_bytes(value).expect("a header value"));
        }
        BearerToken::from_metadata(&metadata)
    }

    #[test]
    fn a_bearer_token_is_kept_verbatim() {
        for value in ["Bearer abc", "bearer a-._~+/9==", "BEARER  two.spaces"] {
            assert_eq!(parse(&[value.as_bytes()]).expect("a token").header_value(), value);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(parse(&[]).unwrap_err(), CredentialsFault::Missing);
        assert_eq!(parse(&[b"Bearer a", b"Bearer a"]).unwrap_err(), CredentialsFault::Repeated);
        let malformed: [&[u8]; 12] = [
            b"",
            b"Bearer",
            b"Bearer ",
            b"Bearerabc",
            b"Basic abc",
            b"abc",
            b"Bearer a b",
            b"Bearer a,Bearer b",
            b"Bearer\tabc",
            b"Bearer =",
            b"Bearer \xff",
            b"Bearer a=b",
        ];
        for value in malformed {
            assert_eq!(parse(&[value]).unwrap_err(), CredentialsFault::Malformed, "{value:?}");
        }
    }

    #[test]
    fn debug_shows_no_part_of_the_token() {
        let token = parse(&[b"Bearer canary"]).expect("a token");
        assert!(!format!("{token:?}").contains("canary"));
    }
}
