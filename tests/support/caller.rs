//! A gRPC caller on bare HTTP/2, for what a gRPC library would not do, or would do itself.

use std::net::{self, SocketAddr};

use http::{HeaderMap, Request, Response, header::HeaderName};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Body, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jwks_gateway::pb::ListJwksRequest;
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::net::TcpStream;
use tonic::Status;

use super::TOKEN;

/// A connection to the gateway.
pub(crate) struct Caller<B> {
    requests: SendRequest<B>,
    socket: net::TcpStream,
}

pub(crate) async fn connect<B>(address: SocketAddr) -> Caller<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(address).await.expect("a connection").into_std().expect("a socket");
    let socket = stream.try_clone().expect("a socket");
    let stream = TokioIo::new(TcpStream::from_std(stream).expect("a socket"));
    let (requests, connection) = http2::Builder::new(TokioExecutor::new())
        // What it does not read is to stay with the gateway.
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535)
        .handshake(stream)
        .await
        .expect("an HTTP/2 connection");
    tokio::spawn(connection);
    Caller { requests, socket }
}

impl<B: Body + 'static> Caller<B> {
    /// Sends a request; the response is there with its head.
    pub(crate) fn send_request(
        &mut self,
        request: Request<B>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<B> {
        self.requests.send_request(request)
    }

    /// Closes the connection in the midst of whatever goes on.
    pub(crate) fn hang_up(&self) {
        self.socket.shutdown(net::Shutdown::Both).expect("a connection");
    }
}

/// The head of a call to ListJwks with this metadata and no other.
pub(crate) fn request<B>(address: SocketAddr, metadata: &[(&str, &str)], body: B) -> Request<B> {
    let mut request = Request::post(format!("http://{address}/apinizer.apiops.v1.JwkService/ListJwks"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for &(name, value) in metadata {
        request = request.header(name.parse::<HeaderName>().expect("a name"), value);
    }
    request.body(body).expect("a request")
}

/// The message of a call, framed.
pub(crate) fn message(project: &str) -> Full<Bytes> {
    let message = ListJwksRequest { project: project.to_owned() }.encode_to_vec();
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    Full::new([&[0], &length[..], &message].concat().into())
}

/// A whole call with these metadata and the test's token; the status that came of it.
pub(crate) async fn call(address: SocketAddr, project: &str, metadata: &[(&str, &str)]) -> Status {
    let authorization = format!("Bearer {TOKEN}");
    let metadata = [&[("authorization", authorization.as_str())], metadata].concat();
    let response = connect(address).await.send_request(request(address, &metadata, message(project))).await;
    status(response.expect("a response")).await
}

/// The status of a response, from its headers or its trailers.
pub(crate) async fn status(response: Response<Incoming>) -> Status {
    let (head, body) = response.into_parts();
    let trailers: HeaderMap = body.collect().await.expect("a whole body").trailers().cloned().unwrap_or_default();
    Status::from_header_map(&head.headers).or_else(|| Status::from_header_map(&trailers)).expect("a grpc-status")
}
