//! HTTP/2 frames by hand (RFC 9113), for what no client would send.

use std::{io, net::SocketAddr, sync::LazyLock, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use super::TOKEN;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const NONE: u8 = 0;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// How long to wait for what never comes if the gateway is wrong.
const NEVER: Duration = Duration::from_secs(60);

/// A frame with the length that its payload has.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A whole HEADERS frame with these fields, which leaves its stream open for a body.
pub(crate) fn headers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, block(fields))
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, NONE, stream, code.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, NONE, stream, increment.to_be_bytes())
}

/// The fields of a call to ListJwks, with the test's token.
pub(crate) fn call_fields() -> Vec<(&'static str, &'static str)> {
    static AUTHORIZATION: LazyLock<String> = LazyLock::new(|| format!("Bearer {TOKEN}"));
    vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/apinizer.apiops.v1.JwkService/ListJwks"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("authorization", &AUTHORIZATION),
    ]
}

/// A whole call to ListJwks.
pub(crate) fn call(stream: u32) -> Vec<u8> {
    [headers(stream, &call_fields()), frame(DATA, END_STREAM, stream, CALL_BODY)].concat()
}

/// The body of a call to ListJwks: the project P, framed.
pub(crate) const CALL_BODY: &[u8] = b"\0\0\0\0\x03\x0a\x01P";

/// A header block in HPACK (RFC 7541): every field a literal, in plain text, that stays out of the dynamic table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [&[0], &string(name)[..], &string(value)].concat()).collect()
}

/// A literal field that enters the dynamic table, where it is the first: [`FIRST_DYNAMIC`].
pub(crate) fn indexed_field(name: &str, value: &str) -> Vec<u8> {
    [&[0x40], &string(name)[..], &string(value)].concat()
}

/// A field that repeats the newest entry of the dynamic table, in a byte.
pub(crate) const FIRST_DYNAMIC: u8 = 0x80 + 62;

fn string(text: &str) -> Vec<u8> {
    let length = match text.len() {
        length @ 0..127 => vec![u8::try_from(length).expect("a byte")],
        length => {
            let rest = u16::try_from(length - 127).expect("a short string");
            assert!(rest < 1 << 14, "two bytes of seven bits");
            vec![127, u8::try_from(rest & 0x7f).expect("a byte") | 0x80, u8::try_from(rest >> 7).expect("a byte")]
        }
    };
    [&length[..], text.as_bytes()].concat()
}

/// A frame as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    fn is_pong(&self) -> bool {
        (self.kind, self.flags, &self.payload[..]) == (PING, ACK, PAYLOAD)
    }

    /// The error code of a RST_STREAM or a GOAWAY.
    pub(crate) fn code(&self) -> Option<u32> {
        let code = match self.kind {
            RST_STREAM => self.payload.get(..4),
            GOAWAY => self.payload.get(4..8),
            _ => None,
        };
        code.map(|code| u32::from_be_bytes(code.try_into().expect("four bytes")))
    }
}

/// A connection to the gateway, past its preface.
pub(crate) struct Peer {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let (reader, writer) = stream.into_split();
        let mut peer = Self { reader, writer };
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        peer.send(&frame(SETTINGS, NONE, 0, [])).await;
        peer.until(|frame| frame.kind == SETTINGS && frame.flags == NONE).await;
        peer.send(&frame(SETTINGS, ACK, 0, [])).await;
        peer
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.expect("an open connection");
    }

    /// Sends as much of this as there is room for at once.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.try_write(bytes)
    }

    /// Waits for a frame like this.
    pub(crate) async fn until(&mut self, is_wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = next(&mut self.reader).await.expect("the connection goes on");
            if is_wanted(&frame) {
                return frame;
            }
        }
    }

    /// Waits for the end of the answer on this stream.
    pub(crate) async fn answered(&mut self, stream: u32) {
        self.until(|frame| (frame.kind, frame.flags, frame.stream) == (HEADERS, END_HEADERS | END_STREAM, stream))
            .await;
    }

    /// Pings: the connection goes on, and all that was sent has been read.
    pub(crate) async fn ping(&mut self) {
        self.send(&frame(PING, NONE, 0, PAYLOAD)).await;
        self.until(Frame::is_pong).await;
    }

    /// Sends all this, or as much as the gateway takes, and reads until it closes the connection.
    ///
    /// # Panics
    /// When it answers a ping that comes after, instead.
    pub(crate) async fn send_until_closed(mut self, bytes: &[u8]) -> Vec<Frame> {
        let frames = self.exchange(&[bytes, &frame(PING, NONE, 0, PAYLOAD)].concat()).await;
        assert!(!frames.last().is_some_and(Frame::is_pong), "the connection goes on, after {} frames", frames.len());
        frames
    }

    /// Sends all this, or as much as the gateway takes, and reads until it answers a ping or closes the connection.
    pub(crate) async fn exchange(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let reading = async {
            let mut frames = Vec::new();
            while !frames.last().is_some_and(Frame::is_pong)
                && let Some(frame) = next(&mut self.reader).await
            {
                frames.push(frame);
            }
            frames
        };
        // The end may come before all is sent.
        let (_sent, frames) = tokio::join!(self.writer.write_all(bytes), reading);
        frames
    }
}

/// What the pings here carry.
const PAYLOAD: &[u8; 8] = b"still up";

async fn next(reader: &mut OwnedReadHalf) -> Option<Frame> {
    timeout(NEVER, read(reader)).await.expect("a frame or an end").ok()
}

async fn read(reader: &mut OwnedReadHalf) -> io::Result<Frame> {
    let mut head = [0; 9];
    reader.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    reader.read_exact(&mut payload).await?;
    Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
}
