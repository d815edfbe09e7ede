//! The gateway through its front door: real gRPC clients, real sockets, and an upstream that misbehaves on purpose.
//!
//! One file a topic; `support/` has the upstream, the gateway on a free port, and the gateway as a process.

mod support;

mod calls;
mod coalescing;
mod command_line;
mod connections;
mod credentials;
mod deadlines;
mod demo;
mod errors;
mod faults;
mod health;
mod hostile;
mod limits;
mod logs;
mod malformed;
mod moves;
mod own_token;
mod projects;
mod reflection;
mod requests;
mod retries;
mod shutdown;
mod tls;
