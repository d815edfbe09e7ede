//! Bearer tokens, the caller's or our own: one, well-formed, and visible to nobody.

use std::{ffi::OsString, fmt, path::PathBuf};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use crate::reload::{Files, Reloaded};

/// Whose token the upstream gets: ours for every call, or else each caller's own.
#[derive(Debug)]
pub struct Credentials {
    own: Option<Reloaded<BearerToken>>,
}

impl Credentials {
    /// Reads what the configuration names. Without a source, callers bring their own tokens and the upstream decides;
    /// with one, callers' tokens are not looked at.
    ///
    /// # Errors
    /// Where the file cannot be read or holds no token. The text quotes nothing of it.
    pub async fn load(source: Option<TokenSource>) -> Result<Self, String> {
        let own = match source {
            None => None,
            Some(TokenSource::Given(token)) => Some(Reloaded::fixed(token)),
            Some(TokenSource::File(path)) => {
                let name = path.display().to_string();
                let read = move |files: &Vec<Vec<u8>>| {
                    BearerToken::own(&files[0]).ok_or_else(|| format!("{name} does not hold one token"))
                };
                Some(Reloaded::new("token file", Files(vec![path]), read).await?)
            }
        };
        Ok(Self { own })
    }

    /// The token for a call whose caller brought this.
    ///
    /// # Errors
    /// Where callers have to bring their own, and this one did not.
    pub fn for_call(&self, callers: Result<BearerToken, CredentialsFault>) -> Result<BearerToken, CredentialsFault> {
        match &self.own {
            Some(own) => Ok((*own.get()).clone()),
            None => callers,
        }
    }
}

/// Where the gateway's own token comes from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// The environment.
    Given(BearerToken),
    /// A file that may be rotated.
    File(PathBuf),
}

/// A setting that nobody may see.
#[derive(Clone, Default)]
pub struct Secret(pub OsString);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// A bearer token with its scheme, just as the caller sent it.
///
/// `Debug` shows no part of it: the value is marked sensitive, which HTTP libraries respect as well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BearerToken(HeaderValue);

impl BearerToken {
    /// Takes the token from the head of a request.
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
        Ok(Self::sensitive(value.clone()))
    }

    /// Our own token, without the scheme; blanks and line ends around it are passed over.
    pub(crate) fn own(token: &[u8]) -> Option<Self> {
        let token = token.trim_ascii();
        let value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok().filter(|_| is_b64token(token));
        value.map(Self::sensitive)
    }

    fn sensitive(mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        Self(value)
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
    fn our_own_token_is_one_token_with_blanks_around_it() {
        assert_eq!(BearerToken::own(b" abc.DEF==\r\n").expect("a token").header_value(), "Bearer abc.DEF==");
        for text in [&b""[..], b" \n", b"a b", b"a\nb", b"Bearer abc", b"\xff"] {
            assert!(BearerToken::own(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn debug_shows_no_part_of_the_token() {
        let token = parse(&[b"Bearer canary"]).expect("a token");
        assert!(!format!("{token:?}").contains("canary"));
        assert!(!format!("{:?}", Secret("canary".into())).contains("canary"));
    }
}
