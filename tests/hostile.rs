//! Callers who break the rules of HTTP/2 or gRPC: theirs is the damage, and the next call is served.

use http::Request;
use http_body_util::Full;
use prost::bytes::Bytes;
use tonic::Code;

use crate::support::{
    Gateway, Reply, TOKEN, Upstream, caller,
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, HEADERS,
        PING, PROTOCOL_ERROR, Peer, RST_STREAM, SETTINGS, WINDOW_UPDATE, call, call_headers, field, frame,
    },
    gateway, list,
    process::Process,
};

/// An upstream that answers the project `Good` and lets all others wait.
async fn upstream() -> Upstream {
    Upstream::scripted(|head| if head.contains("/Good/") { list("") } else { Reply::nothing().stall() }).await
}

async fn assert_serves(gateway: &Gateway) {
    gateway.list("Good").await.expect("the next call is served");
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_reach_the_upstream_no_more_than_the_limits_allow() {
    let upstream = upstream().await;
    let gateway = Gateway::before(&upstream).await;
    let mut peer = Peer::connect(gateway.address).await;
    for stream in (1..20_000).step_by(2) {
        let attack = [call(stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat();
        if !peer.send(&attack).await {
            break;
        }
    }
    assert!(matches!(peer.goaway().await, None | Some(ENHANCE_YOUR_CALM)));
    assert!(upstream.requests().len() < 1_000, "{} requests", upstream.requests().len());
    assert_serves(&gateway).await;
}

#[tokio::test]
async fn errors_of_its_own_making_end_the_connection_of_a_peer_that_makes_too_many() {
    let upstream = upstream().await;
    let gateway = Gateway::before(&upstream).await;
    let mut peer = Peer::connect(gateway.address).await;
    for stream in (1..20_000).step_by(2) {
        // A window that grows by nothing is an error of the stream; the gateway has to reset it.
        let attack = [call(stream), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat();
        if !peer.send(&attack).await {
            break;
        }
    }
    assert!(matches!(peer.goaway().await, None | Some(ENHANCE_YOUR_CALM | PROTOCOL_ERROR)));
    assert_serves(&gateway).await;
}

#[tokio::test]
async fn broken_frames_end_the_connection_with_the_error_of_the_specification() {
    let upstream = upstream().await;
    let gateway = Gateway::before(&upstream).await;
    let with = |name: &str, value: &str| [call_headers(), field(name, value)].concat();
    let most = (u32::MAX >> 1).to_be_bytes();
    let rows = [
        ("a window that overflows", frame(WINDOW_UPDATE, 0, 0, &most), FLOW_CONTROL_ERROR),
        ("a window that grows by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), PROTOCOL_ERROR),
        ("a frame over the largest size", frame(DATA, 0, 1, &vec![0; 20_000]), FRAME_SIZE_ERROR),
        // h2 says PROTOCOL_ERROR to some that have a code of their own in the specification.
        ("a ping of another length", frame(PING, 0, 0, &[0; 7]), PROTOCOL_ERROR),
        ("settings of half a value", frame(SETTINGS, 0, 0, &[0; 5]), PROTOCOL_ERROR),
        ("a name in upper case", frame(HEADERS, END_HEADERS, 1, &with("X-Upper", "a")), PROTOCOL_ERROR),
        ("data on stream zero", frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
        ("data on a stream that was never opened", frame(DATA, 0, 1, b"x"), PROTOCOL_ERROR),
        ("headers on a stream of the server's", frame(HEADERS, END_HEADERS, 2, &call_headers()), PROTOCOL_ERROR),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &[]), PROTOCOL_ERROR),
        ("a reference into an empty table", frame(HEADERS, END_HEADERS, 1, &[0xff, 0x00]), PROTOCOL_ERROR),
        (
            "another frame within a header block",
            [frame(HEADERS, 0, 1, &call_headers()), frame(PING, 0, 0, &[0; 8])].concat(),
            PROTOCOL_ERROR,
        ),
    ];
    for (what, bytes, expected) in rows {
        let mut peer = Peer::connect(gateway.address).await;
        peer.send(&bytes).await;
        assert_eq!(peer.goaway().await, Some(expected), "{what}");
    }
    assert_serves(&gateway).await;
}

#[tokio::test]
async fn a_broken_stream_is_reset_and_the_connection_goes_on() {
    let upstream = upstream().await;
    let gateway = Gateway::before(&upstream).await;
    let with = |name: &str, value: &str| [call_headers(), field(name, value)].concat();
    let most = (u32::MAX >> 1).to_be_bytes();
    let rows = [
        ("a header of HTTP/1.1", frame(HEADERS, END_HEADERS, 1, &with("connection", "close")), PROTOCOL_ERROR),
        ("a pseudo-header after the others", frame(HEADERS, END_HEADERS, 1, &with(":path", "/")), PROTOCOL_ERROR),
        ("a window that overflows", [call(1), frame(WINDOW_UPDATE, 0, 1, &most)].concat(), FLOW_CONTROL_ERROR),
    ];
    let mut peer = Peer::connect(gateway.address).await;
    for (number, (what, mut bytes, expected)) in (0_u32..).zip(rows) {
        // Each on the next stream of the same connection.
        let stream = 1 + 2 * number;
        let mut at = 0;
        while at < bytes.len() {
            let length = u32::from_be_bytes([0, bytes[at], bytes[at + 1], bytes[at + 2]]) as usize;
            bytes[at + 5..at + 9].copy_from_slice(&stream.to_be_bytes());
            at += 9 + length;
        }
        peer.send(&bytes).await;
        assert_eq!(peer.reset(stream).await, Some(expected), "{what}");
    }
    assert_serves(&gateway).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn floods_and_bombs_do_not_take_the_memory() {
    let upstream = upstream().await;
    let process = Process::serve(&upstream.url(), &[]).await;

    // A header block without an end.
    let mut peer = Peer::connect(process.address).await;
    peer.send(&frame(HEADERS, 0, 1, &call_headers())).await;
    let more = frame(CONTINUATION, 0, 1, &field("x-filler", &"x".repeat(100)).repeat(140));
    for _ in 0..10_000 {
        if !peer.send(&more).await {
            break;
        }
    }
    peer.goaway().await;

    // One large entry of the table, then thousands of references to it: 16 kB that stand for 60 MB.
    for stream in (1..21).step_by(2) {
        let mut peer = Peer::connect(process.address).await;
        let value = "x".repeat(3_900);
        let entry = [&[0x40, 1, b'a', 0x7f, 0xbd, 0x1d], value.as_bytes()].concat();
        assert_eq!(value.len(), 127 + 0x3d + (0x1d << 7));
        let block = [call_headers(), entry, vec![0xbe; 15_000 - 3_900 - 200]].concat();
        peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).await;
        peer.send(&frame(PING, 0, 0, &[0; 8])).await;
        peer.receive().await;
    }

    // Pings and settings that have to be answered, by a peer that does not read.
    for flood in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut peer = Peer::connect(process.address).await;
        let many = flood.repeat(1_000);
        for _ in 0..500 {
            let sent = tokio::time::timeout(std::time::Duration::from_secs(2), peer.send(&many)).await;
            if sent != Ok(true) {
                break;
            }
        }
    }
    gateway::list(gateway::channel(process.address).await, "Good").await.expect("the next call is served");
    assert!(process.peak_memory() < 100_000_000, "{} bytes", process.peak_memory());
}

#[tokio::test]
async fn messages_that_break_the_rules_of_grpc_are_refused_each_by_itself() {
    let upstream = upstream().await;
    let gateway = Gateway::before(&upstream).await;
    let authorization = format!("Bearer {TOKEN}");
    let metadata = [("authorization", authorization.as_str())];
    let rows: [(&str, &[u8], Code); 8] = [
        ("compressed without saying how", b"\x01\0\0\0\x06\x0a\x04Good", Code::Internal),
        ("a flag that does not exist", b"\x07\0\0\0\x06\x0a\x04Good", Code::Internal),
        ("longer than it says", b"\0\0\0\0\x03\x0a\x04Good", Code::Internal),
        ("shorter than it says", b"\0\0\0\0\x0a\x0a\x04Good", Code::Internal),
        ("four gibibytes announced", b"\0\xff\xff\xff\xff\x0a\x04Good", Code::InvalidArgument),
        ("nothing at all", b"", Code::Internal),
        ("half a head", b"\0\0\0", Code::Internal),
        ("no protobuf", b"\0\0\0\0\x03\xff\xff\xff", Code::Internal),
    ];
    let mut connection = caller::connect(gateway.address).await;
    for (what, body, code) in rows {
        let request = caller::request(gateway.address, &metadata, Full::new(Bytes::from_static(body)));
        let status = caller::status(connection.send_request(request).await.expect("a response")).await;
        assert_eq!(status.code(), code, "{what}: {status:?}");
    }
    assert_eq!(upstream.requests(), [""; 0]);

    let request = caller::request(gateway.address, &metadata, caller::message("Good"));
    let status = caller::status(connection.send_request(request).await.expect("a response")).await;
    assert_eq!(status.code(), Code::Ok, "the same connection goes on");
}

#[tokio::test]
async fn requests_that_are_no_grpc_or_for_nobody_are_refused() {
    let upstream = upstream().await;
    let gateway = Gateway::before(&upstream).await;
    let mut connection = caller::connect(gateway.address).await;
    let url = |path: &str| format!("http://{}{path}", gateway.address);
    let body = || caller::message("Good");

    for path in ["/", "/apinizer.apiops.v1.JwkService/Other", "/other.Service/ListJwks", "/apiops/projects/P/jwks/"] {
        let request = Request::post(url(path)).header("content-type", "application/grpc").body(body());
        let response = connection.send_request(request.expect("a request")).await.expect("a response");
        assert_eq!(caller::status(response).await.code(), Code::Unimplemented, "{path}");
    }
    let path = url("/apinizer.apiops.v1.JwkService/ListJwks");
    let no_grpc = Request::post(&path).header("content-type", "application/json").body(body());
    let get = Request::get(&path).header("content-type", "application/grpc").body(body());
    for request in [no_grpc, get] {
        let response = connection.send_request(request.expect("a request")).await.expect("a response");
        let refused = !response.status().is_success() || caller::status(response).await.code() != Code::Ok;
        assert!(refused);
    }
    assert_eq!(upstream.requests(), [""; 0]);
    assert_serves(&gateway).await;
}
