//! HTTP/2 by hand, for callers who break its rules (RFC 9113; header blocks by RFC 7541, without compression).

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::TOKEN;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Error codes of RFC 9113, section 7.
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header field that enters no table.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let [name_len, value_len] = [name, value].map(|text| u8::try_from(text.len()).ok().filter(|len| *len < 127));
    [&[0, name_len.expect("short")], name.as_bytes(), &[value_len.expect("short")], value.as_bytes()].concat()
}

/// The header block of a call to ListJwks.
pub(crate) fn call_headers() -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/apinizer.apiops.v1.JwkService/ListJwks"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("authorization", &format!("Bearer {TOKEN}")),
    ];
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// A whole call: its head and the message for the project `P`.
pub(crate) fn call(stream: u32) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &call_headers());
    [head, frame(DATA, END_STREAM, stream, b"\0\0\0\0\x03\x0a\x01P")].concat()
}

/// A connection whose preface is done.
pub(crate) struct Peer(TcpStream);

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut peer = Self(TcpStream::connect(address).await.expect("a connection"));
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        peer.send(&frame(SETTINGS, 0, 0, &[])).await;
        peer
    }

    /// Sends as much as the gateway takes; it may have hung up already.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(Duration::from_secs(60), self.0.write_all(bytes)).await.expect("it goes or it fails"), Ok(()))
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn receive(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        timeout(Duration::from_secs(60), async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
        })
        .await
        .expect("a frame or an end")
    }

    /// Reads to the end of the connection: the error code of its GOAWAY, if that was not lost in a reset.
    pub(crate) async fn goaway(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some((kind, _, payload)) = self.receive().await {
            if kind == GOAWAY {
                code = Some(u32::from_be_bytes(payload[4..8].try_into().expect("a code")));
            }
        }
        code
    }

    /// Reads to the RST_STREAM of this stream: its error code.
    pub(crate) async fn reset(&mut self, stream: u32) -> Option<u32> {
        while let Some((kind, on, payload)) = self.receive().await {
            if (kind, on) == (RST_STREAM, stream) {
                return Some(u32::from_be_bytes(payload.try_into().expect("a code")));
            }
        }
        None
    }
}
