//! Reads a body, compressed or not, up to a limit that holds before and after decompression.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header::CONTENT_ENCODING};

use super::unreachable;
use crate::{error::Failure, wire::Malformed};

/// Reads the whole body, `limit` bytes at most.
///
/// A body that declares more is not read at all; one that turns out to be more is read no further.
///
/// # Errors
/// [`Failure::TooLarge`]; [`Failure::Unreachable`] where the connection ends early; [`Failure::Malformed`] for an
/// encoding that the gateway did not ask for, or one that is broken.
pub(super) async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let declared = response.content_length().map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if declared > limit {
        return Err(Failure::TooLarge { limit });
    }
    let mut decoder = Decoder::new(response.headers(), declared, limit)?;
    let mut received = 0;
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        received += chunk.len();
        if received > limit {
            return Err(Failure::TooLarge { limit });
        }
        decoder.write(&chunk)?;
    }
    decoder.finish()
}

/// Undoes the `Content-Encoding`. The HTTP client could do it too, but would hide the compressed size.
enum Decoder {
    Identity(Limited),
    Gzip(Box<MultiGzDecoder<Limited>>),
}

impl Decoder {
    fn new(headers: &HeaderMap, declared: usize, limit: usize) -> Result<Self, Failure> {
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        let encoding = encodings.next().map_or(&b"identity"[..], |value| value.as_bytes().trim_ascii());
        let limited = Limited { body: Vec::with_capacity(declared), limit, exceeded: false };
        match encoding.to_ascii_lowercase().as_slice() {
            _ if encodings.next().is_some() => Err(unknown_encoding()),
            b"identity" | b"" => Ok(Self::Identity(limited)),
            // RFC 9110, section 8.4.1.3: x-gzip is the same.
            b"gzip" | b"x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(limited)))),
            _ => Err(unknown_encoding()),
        }
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let written = match self {
            Self::Identity(limited) => limited.write_all(chunk),
            Self::Gzip(decoder) => decoder.write_all(chunk),
        };
        written.map_err(|_| self.failure())
    }

    fn finish(mut self) -> Result<Vec<u8>, Failure> {
        if let Self::Gzip(decoder) = &mut self {
            decoder.try_finish().map_err(|_| self.failure())?;
        }
        match self {
            Self::Identity(limited) => Ok(limited.body),
            Self::Gzip(mut decoder) => Ok(std::mem::take(&mut decoder.get_mut().body)),
        }
    }

    /// Why the last write failed: over the limit, or else no gzip.
    fn failure(&self) -> Failure {
        let limited = match self {
            Self::Identity(limited) => limited,
            Self::Gzip(decoder) => decoder.get_ref(),
        };
        if limited.exceeded {
            Failure::TooLarge { limit: limited.limit }
        } else {
            Malformed("the gzip encoding is broken or breaks off".to_owned()).into()
        }
    }
}

fn unknown_encoding() -> Failure {
    Malformed("a Content-Encoding other than gzip".to_owned()).into()
}

/// A buffer that refuses to grow beyond its limit.
struct Limited {
    body: Vec<u8>,
    limit: usize,
    exceeded: bool,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit - self.body.len() {
            self.exceeded = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
