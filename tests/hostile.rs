//! Callers that mean harm: HTTP/2 and gRPC that no library would send. Each is refused, and the others are served on.

use std::{convert::Infallible, time::Duration};

use futures_util::{StreamExt as _, stream};
use http_body_util::{Full, StreamBody};
use hyper::body;
use jwks_gateway::{config::ConnectionLimits, settings::Settings};
use prost::bytes::Bytes;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::support::{
    Gateway, Reply, TOKEN, Upstream, caller,
    frames::{
        ACK, CALL_BODY, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
        FIRST_DYNAMIC, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, Frame, GOAWAY, HEADERS, NONE, PADDED, PING, PRIORITY,
        PROTOCOL_ERROR, PUSH_PROMISE, Peer, REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE,
        WITH_PRIORITY, block, call, call_fields, frame, headers, indexed_field, reset, window_update,
    },
    list, told,
};
#[cfg(target_os = "linux")]
use crate::support::{gateway, process::Process};

/// The streams that a client opens.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

/// What a client sends on each of 10,000 streams.
fn on_many_streams(frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    streams().take(10_000).flat_map(frames).collect()
}

/// The head of a call, and these fields after its own.
fn call_with(fields: &[(&'static str, &'static str)]) -> Vec<u8> {
    headers(1, &[&call_fields(), fields].concat())
}

/// The head of a call without this field.
fn call_without(name: &str) -> Vec<u8> {
    headers(1, &call_fields().into_iter().filter(|field| field.0 != name).collect::<Vec<_>>())
}

/// The head of a call whose stream depends on itself.
fn call_after_itself() -> Vec<u8> {
    frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, [&[0, 0, 0, 1, 0], &block(&call_fields())[..]].concat())
}

/// A field of 4 kB that stays in the dynamic table, and its name and value again, so many times at a byte each.
fn bomb(repetitions: usize) -> Vec<u8> {
    let fields = [block(&call_fields()), indexed_field("x", &"y".repeat(4000)), vec![FIRST_DYNAMIC; repetitions]];
    frame(HEADERS, END_HEADERS, 1, fields.concat())
}

/// What the gateway sends to a new peer that sends this, until it closes the connection.
async fn until_closed(gateway: &Gateway, bytes: &[u8]) -> Vec<Frame> {
    Peer::connect(gateway.address).await.send_until_closed(bytes).await
}

/// The error code of the GOAWAY with which these end.
fn last_words(frames: &[Frame]) -> Option<u32> {
    frames.last().filter(|last| last.kind == GOAWAY).and_then(Frame::code)
}

/// A new peer that sends this gets its stream 1 reset, and its connection goes on. The error code of the reset.
async fn reset_after(gateway: &Gateway, bytes: &[u8]) -> Option<u32> {
    let mut peer = Peer::connect(gateway.address).await;
    peer.send(bytes).await;
    let reset = peer.until(|frame| frame.kind == RST_STREAM && frame.stream == 1).await;
    peer.ping().await;
    reset.code()
}

#[tokio::test]
async fn rapid_reset_ends_the_connection_and_hardly_reaches_the_upstream() {
    let stalling = Upstream::answering(Reply::nothing().stall()).await;
    let gateway = Gateway::before(&stalling).await;
    let flood = on_many_streams(|stream| [call(stream), reset(stream, CANCEL)].concat());
    assert_eq!(last_words(&until_closed(&gateway, &flood).await), Some(ENHANCE_YOUR_CALM));
    assert!(stalling.requests().len() < 1000, "{} requests", stalling.requests().len());

    // The next call gets as far as any.
    let before = stalling.requests().len();
    let mut next = Peer::connect(gateway.address).await;
    next.send(&call(1)).await;
    stalling.arrived(before + 1).await;
}

#[tokio::test]
async fn calls_that_are_reset_once_they_are_under_way_leave_nothing_under_way() {
    let upstream = Upstream::scripted(|head| match head {
        slow if slow.contains("/P/") => Reply::nothing().stall(),
        _ => list(""),
    })
    .await;
    // What goes on after its reset goes on for as long as the test, and takes a place of those that run at once.
    let gateway = Gateway::with(Settings {
        upstream: Some(upstream.url().into()),
        upstream_timeout: Some("1h".into()),
        max_in_flight: Some("10".into()),
        ..Settings::default()
    })
    .await;
    let mut peer = Peer::connect(gateway.address).await;
    // The limit on resets is none on these: a caller may change its mind.
    for (so_far, stream) in (1..=300).zip(streams()) {
        peer.send(&call(stream)).await;
        upstream.arrived(so_far).await;
        peer.send(&reset(stream, CANCEL)).await;
    }
    upstream.given_up(300).await;
    gateway.list("Q").await.expect("the next call is served");
    assert_eq!(upstream.requests().len(), 301);
}

#[tokio::test]
async fn a_peer_that_makes_the_gateway_reset_its_streams_is_soon_closed() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let floods = [
        ("no path", on_many_streams(|stream| headers(stream, &[(":method", "POST"), (":scheme", "http")]))),
        (
            "dependencies",
            on_many_streams(|stream| frame(PRIORITY, NONE, stream, [&stream.to_be_bytes()[..], &[0]].concat())),
        ),
        // MadeYouReset (CVE-2025-8671): well-formed calls, reset for what follows them.
        ("windows", on_many_streams(|stream| [call(stream), window_update(stream, 0x7fff_ffff)].concat())),
        ("refusals", on_many_streams(|stream| headers(stream, &call_fields()))),
    ];
    for (what, flood) in floods {
        let frames = until_closed(&gateway, &flood).await;
        assert_eq!(last_words(&frames), Some(ENHANCE_YOUR_CALM), "{what}");
        let resets = frames.iter().filter(|frame| frame.kind == RST_STREAM).count();
        assert!(resets <= ConnectionLimits::default().max_resets, "{what}: {resets} resets");
        assert!(upstream.requests().len() < 1000, "{what}: {} requests", upstream.requests().len());
        gateway.list("P").await.expect("the next call is served");
    }
}

#[tokio::test]
async fn a_stream_over_the_limit_is_refused() {
    let upstream = Upstream::answering(Reply::nothing().stall()).await;
    let limits = ConnectionLimits { max_streams: 3, ..ConnectionLimits::default() };
    let gateway = Gateway::limiting(&upstream, limits).await;
    let mut peer = Peer::connect(gateway.address).await;
    for stream in [1, 3, 5, 7] {
        peer.send(&call(stream)).await;
    }
    let refusal = peer.until(|frame| frame.kind == RST_STREAM).await;
    assert_eq!((refusal.stream, refusal.code()), (7, Some(REFUSED_STREAM)));
    upstream.arrived(3).await;
    peer.ping().await;
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn floods_of_small_frames_end_the_connection() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let unfinished = frame(HEADERS, NONE, 1, block(&call_fields()));
    let open = headers(1, &call_fields());
    let floods = [
        ("empty CONTINUATION", [unfinished.clone(), frame(CONTINUATION, NONE, 1, []).repeat(10_000)].concat()),
        (
            "full CONTINUATION",
            [unfinished, frame(CONTINUATION, NONE, 1, block(&[("x", &"y".repeat(16_000))])).repeat(1000)].concat(),
        ),
        (
            // A literal whose length is 8 MiB.
            "endless string",
            [
                frame(HEADERS, NONE, 1, [0, 127, 0x81, 0xff, 0xff, 0x03]),
                frame(CONTINUATION, NONE, 1, [b'x'; 16_000]).repeat(1000),
            ]
            .concat(),
        ),
        ("empty DATA", [open.clone(), frame(DATA, NONE, 1, []).repeat(10_000)].concat()),
        ("DATA of padding", [open, frame(DATA, PADDED, 1, [1, 0]).repeat(10_000)].concat()),
    ];
    for (what, flood) in floods {
        assert_eq!(last_words(&until_closed(&gateway, &flood).await), Some(ENHANCE_YOUR_CALM), "{what}");
        gateway.list("P").await.expect("the next call is served");
    }
}

#[tokio::test]
async fn data_beyond_the_window_end_the_connection() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let flood = [headers(1, &call_fields()), frame(DATA, NONE, 1, [0; 16_384]).repeat(100)].concat();
    assert_eq!(last_words(&until_closed(&gateway, &flood).await), Some(FLOW_CONTROL_ERROR));
    gateway.list("P").await.expect("the next call is served");
}

#[tokio::test]
async fn metadata_over_the_limit_are_counted_unpacked() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    // 4 kB on the wire, 20 kB unpacked: it is answered with 431, and no call is made of it.
    let mut peer = Peer::connect(gateway.address).await;
    peer.send(&bomb(4)).await;
    peer.answered(1).await;
    peer.ping().await;
    assert_eq!(upstream.requests().len(), 0);
    // 14 kB on the wire, 40 MB unpacked.
    assert_eq!(last_words(&until_closed(&gateway, &bomb(10_000)).await), Some(ENHANCE_YOUR_CALM));
    gateway.list("P").await.expect("the next call is served");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn header_bombs_leave_the_process_under_100_megabytes() {
    let upstream = Upstream::answering(list("")).await;
    let process = Process::serve(&upstream.url(), &[]).await;
    // All at once, each for as long as it may last.
    let bombs = (0..200).map(|_| async {
        let frames = Peer::connect(process.address).await.send_until_closed(&bomb(10_000)).await;
        assert_eq!(last_words(&frames), Some(ENHANCE_YOUR_CALM));
    });
    futures_util::future::join_all(bombs).await;
    gateway::list(gateway::channel(process.address).await, "P").await.expect("the next call is served");
    assert!(process.peak_memory() < 100_000_000, "{} bytes", process.peak_memory());
}

/// Sends these, and reads nothing, until the gateway takes no more: it has closed the connection, or has answered 50
/// calls of others since it took anything.
#[cfg(target_os = "linux")]
async fn flood_without_reading(process: &Process, mut chunks: impl Iterator<Item = Vec<u8>>) {
    let peer = Peer::connect(process.address).await;
    let channel = gateway::channel(process.address).await;
    let mut calls = 0;
    let mut rest = Vec::new();
    loop {
        if rest.is_empty() {
            let Some(chunk) = chunks.next() else { return };
            rest = chunk;
        }
        match peer.try_send(&rest) {
            Ok(sent) => {
                rest.drain(..sent);
                calls = 0;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && calls < 50 => {
                gateway::list(channel.clone(), "P").await.expect("others are served meanwhile");
                calls += 1;
            }
            Err(_) => return,
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_peer_that_reads_no_answers_is_not_read_either_and_the_process_stays_under_100_megabytes() {
    let upstream = Upstream::answering(list("")).await;
    let process = Process::serve(&upstream.url(), &[]).await;
    // More than may be kept.
    let endless = |frame: &[u8]| std::iter::repeat_n(frame.repeat(4096), 200_000_000 / 4096 / frame.len());
    flood_without_reading(&process, endless(&frame(PING, NONE, 0, [0; 8]))).await;
    flood_without_reading(&process, endless(&frame(SETTINGS, NONE, 0, []))).await;
    // Requests that are refused for their metadata, and for their method.
    let too_long = streams().skip(1).map(|stream| frame(HEADERS, END_HEADERS, stream, [FIRST_DYNAMIC; 5]));
    flood_without_reading(&process, std::iter::once(bomb(4)).chain(too_long.take(1_000_000))).await;
    let unknown = |stream| {
        let fields = [(":method", "POST"), (":scheme", "http"), (":path", "/Nothing/Nowhere")];
        frame(HEADERS, END_HEADERS | END_STREAM, stream, block(&fields))
    };
    flood_without_reading(&process, streams().map(unknown).take(1_000_000)).await;
    assert!(process.peak_memory() < 100_000_000, "{} bytes", process.peak_memory());
}

#[tokio::test]
async fn a_request_that_http2_forbids_is_reset_and_the_connection_goes_on() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let too_short = [call_with(&[("content-length", "20")]), frame(DATA, END_STREAM, 1, CALL_BODY)].concat();
    let too_long = [call_with(&[("content-length", "2")]), frame(DATA, END_STREAM, 1, CALL_BODY)].concat();
    let requests = [
        ("connection", call_with(&[("connection", "close")])),
        ("transfer-encoding", call_with(&[("transfer-encoding", "chunked")])),
        ("upgrade", call_with(&[("upgrade", "h2c")])),
        ("keep-alive", call_with(&[("keep-alive", "1")])),
        ("proxy-connection", call_with(&[("proxy-connection", "keep-alive")])),
        ("te", call_with(&[("te", "gzip")])),
        ("no method", call_without(":method")),
        ("no scheme", call_without(":scheme")),
        ("no path", call_without(":path")),
        ("a pseudo-header after others, and again", call_with(&[(":path", "/")])),
        (":status", headers(1, &[&[(":status", "200")], &call_fields()[..]].concat())),
        (":protocol", headers(1, &[&[(":protocol", "websocket")], &call_fields()[..]].concat())),
        ("content-length", call_with(&[("content-length", "-1")])),
        ("two lengths", call_with(&[("content-length", "8"), ("content-length", "9")])),
        ("less than content-length", too_short),
        ("more than content-length", too_long),
        ("trailers that are not the end", [headers(1, &call_fields()), headers(1, &[("x", "y")])].concat()),
        ("HEADERS that depend on themselves", call_after_itself()),
        ("PRIORITY that depends on itself", frame(PRIORITY, NONE, 1, [0, 0, 0, 1, 0])),
    ];
    for (what, request) in requests {
        assert_eq!(reset_after(&gateway, &request).await, Some(PROTOCOL_ERROR), "{what}");
    }
    assert_eq!(upstream.requests().len(), 0);
    gateway.list("P").await.expect("the next call is served");
}

#[tokio::test]
async fn a_window_that_overflows_ends_what_it_belongs_to() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let of_the_stream = [headers(1, &call_fields()), window_update(1, 0x7fff_ffff)].concat();
    assert_eq!(reset_after(&gateway, &of_the_stream).await, Some(FLOW_CONTROL_ERROR));
    let of_the_connection = window_update(0, 0x7fff_ffff);
    assert_eq!(last_words(&until_closed(&gateway, &of_the_connection).await), Some(FLOW_CONTROL_ERROR));
    gateway.list("P").await.expect("the next call is served");
}

#[tokio::test]
async fn data_after_the_end_of_a_stream_are_refused() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let mut peer = Peer::connect(gateway.address).await;
    peer.send(&call(1)).await;
    peer.answered(1).await;
    peer.send(&frame(DATA, NONE, 1, CALL_BODY)).await;
    let refusal = peer.until(|frame| frame.kind == RST_STREAM).await;
    assert_eq!((refusal.stream, refusal.code()), (1, Some(STREAM_CLOSED)));
    // The connection goes on.
    peer.send(&call(3)).await;
    peer.answered(3).await;
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn frames_that_cannot_be_end_the_connection() {
    // Where there are two codes, the first is the RFC's, and the second the one that h2 has for everything.
    const PROTOCOL: &[u32] = &[PROTOCOL_ERROR];
    const SIZE: &[u32] = &[FRAME_SIZE_ERROR, PROTOCOL_ERROR];
    const COMPRESSION: &[u32] = &[COMPRESSION_ERROR, PROTOCOL_ERROR];
    const WINDOW: &[u32] = &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR];
    const CLOSED: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let open = headers(1, &call_fields());
    let ended = frame(HEADERS, END_HEADERS | END_STREAM, 1, block(&call_fields()));
    let unfinished = frame(HEADERS, NONE, 1, block(&call_fields()));
    let after = |first: &[u8], second: &[u8]| [first, second].concat();
    let promise = frame(PUSH_PROMISE, END_HEADERS, 1, after(&[0, 0, 0, 2], &block(&call_fields())));
    let field_block = |fields: &[u8]| frame(HEADERS, END_HEADERS, 1, fields);
    let frames = [
        ("DATA over the maximal size", frame(DATA, NONE, 1, vec![0; 16_385]), &[FRAME_SIZE_ERROR][..]),
        ("HEADERS over the maximal size", frame(HEADERS, END_HEADERS, 1, vec![0; 16_385]), &[FRAME_SIZE_ERROR]),
        ("an unknown frame over the maximal size", frame(0xfa, NONE, 1, vec![0; 16_385]), &[FRAME_SIZE_ERROR]),
        ("WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, NONE, 0, [0; 3]), SIZE),
        ("PING of 7 bytes", frame(PING, NONE, 0, [0; 7]), SIZE),
        ("PRIORITY of 4 bytes", frame(PRIORITY, NONE, 1, [0; 4]), SIZE),
        ("SETTINGS of 5 bytes", frame(SETTINGS, NONE, 0, [0; 5]), SIZE),
        ("an answer to SETTINGS with some", frame(SETTINGS, ACK, 0, [0; 6]), SIZE),
        ("an answer to no SETTINGS", frame(SETTINGS, ACK, 0, []), PROTOCOL),
        ("a window of 2 GiB", frame(SETTINGS, NONE, 0, [0, 4, 0x80, 0, 0, 0]), WINDOW),
        ("frames of a byte at most", frame(SETTINGS, NONE, 0, [0, 5, 0, 0, 0, 1]), PROTOCOL),
        ("WINDOW_UPDATE of 0", window_update(0, 0), PROTOCOL),
        ("WINDOW_UPDATE of 0 on a stream", after(&open, &window_update(1, 0)), PROTOCOL),
        ("WINDOW_UPDATE on an idle stream", window_update(9, 1), PROTOCOL),
        ("RST_STREAM on an idle stream", reset(9, CANCEL), PROTOCOL),
        ("RST_STREAM on the connection", reset(0, CANCEL), PROTOCOL),
        ("DATA on an idle stream", frame(DATA, NONE, 1, CALL_BODY), PROTOCOL),
        ("DATA on the connection", frame(DATA, NONE, 0, CALL_BODY), PROTOCOL),
        ("DATA after END_STREAM", after(&ended, &frame(DATA, NONE, 1, CALL_BODY)), CLOSED),
        ("HEADERS on the connection", headers(0, &call_fields()), PROTOCOL),
        ("HEADERS on a stream of the server's", headers(2, &call_fields()), PROTOCOL),
        ("HEADERS on a stream passed over", after(&headers(3, &call_fields()), &open), PROTOCOL),
        ("SETTINGS on a stream", frame(SETTINGS, NONE, 1, []), PROTOCOL),
        ("PING on a stream", frame(PING, NONE, 1, [0; 8]), PROTOCOL),
        ("PRIORITY on the connection", frame(PRIORITY, NONE, 0, [0, 0, 0, 1, 0]), PROTOCOL),
        ("GOAWAY on a stream", frame(GOAWAY, NONE, 1, [0; 8]), PROTOCOL),
        ("PUSH_PROMISE", after(&open, &promise), PROTOCOL),
        ("more padding than DATA", after(&open, &frame(DATA, PADDED, 1, [9, 0])), PROTOCOL),
        ("padding without a length", after(&open, &frame(DATA, PADDED, 1, [])), SIZE),
        ("more padding than HEADERS", frame(HEADERS, END_HEADERS | PADDED, 1, [9, 0]), PROTOCOL),
        ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, []), PROTOCOL),
        ("CONTINUATION elsewhere", after(&unfinished, &frame(CONTINUATION, END_HEADERS, 3, [])), PROTOCOL),
        ("something between", after(&unfinished, &frame(PING, NONE, 0, [0; 8])), PROTOCOL),
        ("the entry 0", field_block(&[0x80]), COMPRESSION),
        ("an entry that is not there", field_block(&[FIRST_DYNAMIC]), COMPRESSION),
        ("an endless number", field_block(&[0xff; 20]), COMPRESSION),
        ("a string cut short", field_block(&[0, 5, b'x']), COMPRESSION),
        ("a code of Huffman's that ends the string", field_block(&[0, 0x84, 0xff, 0xff, 0xff, 0xff, 0]), COMPRESSION),
        ("a table over the limit", field_block(&[0x3f, 0xff, 0xff, 0xff, 0x07]), COMPRESSION),
        // By the RFC errors of the stream alone; whoever likes may take those for errors of the connection.
        ("an uppercase name", call_with(&[("X-Name", "value")]), PROTOCOL),
        ("a name with a blank", call_with(&[("x name", "value")]), PROTOCOL),
        ("an empty name", call_with(&[("", "value")]), PROTOCOL),
        ("an unknown pseudo-header", call_with(&[(":name", "value")]), PROTOCOL),
        ("a line end in a value", call_with(&[("x-name", "value\r\nx-other: value")]), PROTOCOL),
        ("a NUL in a value", call_with(&[("x-name", "value\0")]), PROTOCOL),
    ];
    for (what, bytes, codes) in frames {
        let code = last_words(&until_closed(&gateway, &bytes).await);
        assert!(code.is_some_and(|code| codes.contains(&code)), "{what}: {code:?}");
    }
    assert_eq!(upstream.requests().len(), 0);
    gateway.list("P").await.expect("the next call is served");
}

#[tokio::test]
async fn what_http2_has_for_extensions_is_passed_over() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let mut peer = Peer::connect(gateway.address).await;
    peer.send(&frame(0xfa, 0xff, 7, b"an unknown frame")).await;
    peer.send(&frame(SETTINGS, NONE, 0, [0xfa, 0xfa, 0, 0, 0, 1])).await;
    peer.send(&frame(PING, 0xfe, 0, [0; 8])).await;
    peer.send(&frame(PRIORITY, NONE, 9, [0, 0, 0, 7, 0])).await;
    peer.send(&call(1)).await;
    peer.answered(1).await;
    assert_eq!(upstream.requests().len(), 1);
}

/// The status of a call to this path with these metadata, the test's token, and a body of these bytes.
async fn status(gateway: &Gateway, path: &str, metadata: &[(&str, &str)], body: &[u8]) -> Status {
    let authorization = format!("Bearer {TOKEN}");
    let metadata = [&[("authorization", authorization.as_str())], metadata].concat();
    let body = Full::new(Bytes::copy_from_slice(body));
    let mut request = caller::request(gateway.address, &metadata, body);
    *request.uri_mut() = format!("http://{}{path}", gateway.address).parse().expect("a URI");
    let response = caller::connect(gateway.address).await.send_request(request).await;
    caller::status(response.expect("a response")).await
}

const LIST_JWKS: &str = "/apinizer.apiops.v1.JwkService/ListJwks";

#[tokio::test]
async fn a_body_that_is_no_message_is_not_asked_for() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    // INTERNAL is what gRPC has for a message that cannot be read (statuscodes.md, compression.md).
    let bodies = [
        ("nothing", &b""[..]),
        ("a part of a head", b"\0\0\0"),
        ("a head alone", b"\0\0\0\0\x03"),
        ("less than the head says", b"\0\0\0\0\x09\x0a\x01P"),
        ("more than the head says", b"\0\0\0\0\x02\x0a\x01P"),
        ("a message and a part of a head", b"\0\0\0\0\x03\x0a\x01P\0\0"),
        ("compressed without an encoding", b"\x01\0\0\0\x03\x0a\x01P"),
        ("an unknown flag", b"\x02\0\0\0\x03\x0a\x01P"),
        ("a tag without end", b"\0\0\0\0\x02\xff\xff"),
        ("a field of another type", b"\0\0\0\0\x02\x08\x01"),
        ("a name that is no UTF-8", b"\0\0\0\0\x03\x0a\x01\xff"),
        ("a name of 2 GiB", b"\0\0\0\0\x06\x0a\xff\xff\xff\xff\x07"),
        ("groups without end", &[&[0, 0, 0, 0, 200][..], &[0x1b; 200]].concat()),
    ];
    for (what, body) in bodies {
        let status = status(&gateway, LIST_JWKS, &[], body).await;
        assert_eq!(status.code(), Code::Internal, "{what}: {status:?}");
    }
    assert_eq!(upstream.requests().len(), 0);
    gateway.list("P").await.expect("the next call is served");
}

#[tokio::test]
async fn a_message_of_4_gigabytes_is_refused_by_its_head() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    for body in [&b"\0\xff\xff\xff\xff\x0a\x01P"[..], b"\0\0\0\x10\x01\x0a\x01P"] {
        assert_eq!(status(&gateway, LIST_JWKS, &[], body).await.code(), Code::InvalidArgument);
    }
    // The caller need not even send all of it.
    let mut peer = Peer::connect(gateway.address).await;
    peer.send(&[headers(1, &call_fields()), frame(DATA, NONE, 1, b"\0\xff\xff\xff\xff")].concat()).await;
    peer.answered(1).await;
    assert_eq!(upstream.requests().len(), 0);
    gateway.list("P").await.expect("the next call is served");
}

#[tokio::test]
async fn encodings_and_methods_that_are_not_there_are_unimplemented() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let encoded = status(&gateway, LIST_JWKS, &[("grpc-encoding", "gzip")], b"\x01\0\0\0\x03\x0a\x01P").await;
    assert_eq!(encoded.code(), Code::Unimplemented, "{encoded:?}");
    for path in ["/", "/apinizer.apiops.v1.JwkService/Nothing", "/Nothing/ListJwks", &format!("{LIST_JWKS}/"), "//"] {
        assert_eq!(status(&gateway, path, &[], CALL_BODY).await.code(), Code::Unimplemented, "{path}");
    }
    assert_eq!(upstream.requests().len(), 0);
    gateway.list("P").await.expect("the next call is served");
}

#[tokio::test]
async fn a_request_that_is_no_grpc_gets_https_own_answer_and_is_not_asked_for() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let mut caller = caller::connect(gateway.address).await;
    let authorization = format!("Bearer {TOKEN}");
    let mut answer = async |method: &str, content_type: Option<&str>| {
        let mut request = caller::request(gateway.address, &[("authorization", &authorization)], caller::message("P"));
        *request.method_mut() = method.parse().expect("a method");
        request.headers_mut().remove("content-type");
        if let Some(content_type) = content_type {
            request.headers_mut().insert("content-type", content_type.parse().expect("a value"));
        }
        caller.send_request(request).await.expect("an answer").status().as_u16()
    };
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "X"] {
        assert_eq!(answer(method, Some("application/grpc")).await, 405, "{method}");
    }
    let others =
        ["", "text/html", "application/json", "application/grpc-web", "application/grpc+json", "application/grpcx"];
    for content_type in others.map(Some).into_iter().chain([None]) {
        assert_eq!(answer("POST", content_type).await, 415, "{content_type:?}");
    }
    assert_eq!(upstream.requests(), [""; 0]);
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
        assert_eq!(answer("POST", Some(content_type)).await, 200, "{content_type}");
    }
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_request_that_does_not_end_is_answered_all_the_same() {
    let upstream = Upstream::answering(list("")).await;
    let limits = ConnectionLimits { handshake_timeout: Duration::from_millis(300), ..ConnectionLimits::default() };
    let gateway = Gateway::limiting(&upstream, limits).await;
    let data = |bytes: &'static [u8]| Ok::<_, Infallible>(body::Frame::data(Bytes::from_static(bytes)));
    let messages_for_ever = stream::unfold((), move |()| async move {
        sleep(Duration::from_millis(10)).await;
        Some((data(CALL_BODY), ()))
    });
    let bodies = [
        ("a head alone", stream::pending().boxed()),
        ("half a message", stream::iter([data(&CALL_BODY[..6])]).chain(stream::pending()).boxed()),
        ("a message without an end", stream::iter([data(CALL_BODY)]).chain(stream::pending()).boxed()),
        ("messages for ever", messages_for_ever.boxed()),
    ];
    for (what, body) in bodies {
        let authorization = format!("Bearer {TOKEN}");
        let request = caller::request(gateway.address, &[("authorization", &authorization)], StreamBody::new(body));
        let mut connection = caller::connect(gateway.address).await;
        let response = timeout(Duration::from_secs(60), connection.send_request(request)).await.expect("an answer");
        // The status is in the head; the body may be reset, since nobody reads the request any more.
        let status = Status::from_header_map(response.expect(what).headers()).expect(what);
        assert_eq!(told(&status).verdict(), (Code::DeadlineExceeded, "jwks-gateway", "DEADLINE_EXCEEDED"), "{what}");
    }
    assert_eq!(upstream.requests(), [""; 0]);
}
