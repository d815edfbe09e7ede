//! Reads a body, compressed or not, up to a limit that holds before and after decompression.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header::CONTENT_ENCODING};

use super::{
    fetch::unreachable,
    limits::{MemoryBudget, Reservation},
};
use crate::{error::Failure, wire::Malformed};

/// A whole body, and the memory that was reserved for it.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) memory: Reservation,
}

/// Reads the whole body, `limit` bytes at most, and within the memory that all bodies share.
///
/// A body that declares more is not read at all; one that turns out to be more is read no further.
///
/// # Errors
/// [`Failure::TooLarge`]; [`Failure::Overloaded`]; [`Failure::Unreachable`] where the connection ends early;
/// [`Failure::Malformed`] for an encoding that the gateway did not ask for, or one that is broken.
pub(super) async fn read(
    mut response: reqwest::Response,
    limit: usize,
    budget: &MemoryBudget,
) -> Result<Body, Failure> {
    let declared = response.content_length().map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if declared > limit {
        return Err(Failure::TooLarge { limit });
    }
    let buffer =
        Buffer { bytes: Vec::new(), limit, reserved: declared, memory: budget.reserve(declared)?, refused: None };
    let mut decoder = Decoder::new(response.headers(), buffer)?;
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
    Identity(Buffer),
    Gzip(Box<MultiGzDecoder<Buffer>>),
}

impl Decoder {
    fn new(headers: &HeaderMap, mut buffer: Buffer) -> Result<Self, Failure> {
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        let encoding = encodings.next().map_or(&b"identity"[..], |value| value.as_bytes().trim_ascii());
        match encoding.to_ascii_lowercase().as_slice() {
            _ if encodings.next().is_some() => Err(unknown_encoding()),
            b"identity" | b"" => {
                buffer.bytes.reserve_exact(buffer.reserved);
                Ok(Self::Identity(buffer))
            }
            // RFC 9110, section 8.4.1.3: x-gzip is the same.
            b"gzip" | b"x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(buffer)))),
            _ => Err(unknown_encoding()),
        }
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let written = match self {
            Self::Identity(buffer) => buffer.write_all(chunk),
            Self::Gzip(decoder) => decoder.write_all(chunk),
        };
        written.map_err(|_| self.failure())
    }

    fn finish(mut self) -> Result<Body, Failure> {
        let buffer = match &mut self {
            Self::Identity(buffer) => Ok(buffer),
            Self::Gzip(decoder) => decoder.try_finish().map(|()| decoder.get_mut()),
        };
        match buffer {
            Ok(buffer) => Ok(Body { bytes: std::mem::take(&mut buffer.bytes), memory: buffer.memory.take() }),
            Err(_) => Err(self.failure()),
        }
    }

    /// Why the last write failed: the buffer refused it, or else it was no gzip.
    fn failure(&mut self) -> Failure {
        let buffer = match self {
            Self::Identity(buffer) => buffer,
            Self::Gzip(decoder) => decoder.get_mut(),
        };
        buffer
            .refused
            .take()
            .unwrap_or_else(|| Malformed("the gzip encoding is broken or breaks off".to_owned()).into())
    }
}

fn unknown_encoding() -> Failure {
    Malformed("a Content-Encoding other than gzip".to_owned()).into()
}

/// A buffer that grows up to its limit, and no faster than memory can be reserved for it.
struct Buffer {
    bytes: Vec<u8>,
    limit: usize,
    reserved: usize,
    memory: Reservation,
    /// Why the last write was refused; an `io::Error` would have to be taken apart again.
    refused: Option<Failure>,
}

impl Buffer {
    fn make_room(&mut self, more: usize) -> Result<(), Failure> {
        let needed = self.bytes.len() + more;
        if needed > self.limit {
            return Err(Failure::TooLarge { limit: self.limit });
        }
        if needed > self.reserved {
            self.memory.grow(needed - self.reserved)?;
            self.reserved = needed;
        }
        Ok(())
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(refused) = self.make_room(bytes.len()) {
            self.refused = Some(refused);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
