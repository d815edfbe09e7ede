//! A gRPC gateway to the JWK list of an Apinizer Manager.
//!
//! Callers speak gRPC (`apinizer.apiops.v1.JwkService`), the Manager speaks REST. The way of a call, file by file:
//!
//! 1. `connections.rs` accepts a connection from a [`listener`], gives it to one of the threads (`workers.rs`), and serves HTTP/2
//!    on it, over [`tls`] if so configured; [`server`] tells which services there are.
//! 2. `call.rs` takes each request in: it keeps the caller's deadline, waits for
//!    the whole request (`arrival.rs`) only so long, and turns a panic into an answer.
//! 3. [`service`] is the generated trait: token and project are checked ([`credentials`], [`project`]), then the
//!    upstream is asked.
//! 4. [`upstream`] lets calls that ask the same share an answer (`upstream/coalesce.rs`). `upstream/fetch.rs` gets it: it
//!    waits for its turn (`upstream/limits.rs`), sends a GET, again if it fails in passing (`upstream/retry.rs`), and reads
//!    the body within the limits of time and size (`upstream/body.rs`).
//! 5. `answer.rs` judges what came back. A list is read entry by entry (`wire/list.rs`) and becomes protobuf bytes
//!    (`convert.rs`), which [`codec`] sends; anything else is a [`Failure`](error::Failure), in the Manager's own words where it has any
//!    (`wire/error.rs`).
//! 6. [`error`] names everything that can go wrong; its code comes from the tables in `status.rs`, and `details.rs`
//!    makes a status of it that every client takes.
//!
//! Around that: [`settings`] is the command line and the environment, [`config`] checks it, `reload.rs` keeps up with files that are rotated
//! and names that move, [`telemetry`] is the log, [`sandbox`] a stand-in for
//! the Manager, and [`demo`] all of it at work.

mod answer;
mod arrival;
mod call;
pub mod codec;
pub mod config;
mod connections;
mod convert;
pub mod credentials;
pub mod demo;
mod details;
pub mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod listener;
pub mod project;
mod reload;
pub mod sandbox;
pub mod server;
pub mod service;
pub mod settings;
mod status;
mod table;
pub mod telemetry;
pub mod tls;
pub mod upstream;
mod wire;
mod workers;

/// The messages, client and server of `proto/apinizer/apiops/v1/jwk_service.proto`. The server answers with encoded
/// messages, see [`codec`].
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "generated; the comments of the proto are its documentation"
)]
pub mod pb {
    tonic::include_proto!("apinizer.apiops.v1");
    tonic::include_proto!("apinizer.apiops.v1.JwkService");

    /// The compiled proto with comments and options, as `google.protobuf.FileDescriptorSet`.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
}
