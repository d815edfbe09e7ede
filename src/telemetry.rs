//! The log.

use std::{
    io::{self, IsTerminal as _},
    panic,
};

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::LogFormat;

/// h2 warns of every odd frame that a peer sends, as often as it sends one: a way to fill the disk.
const DEFAULT: &str = "info,h2=error";

/// Writes the log to standard error from now on, for the whole process, panics included.
///
/// Without a `format` it is text on a terminal, else JSON. `directives` are those of `RUST_LOG`; without any, the
/// level is `info`.
///
/// # Errors
/// Where `directives` cannot be read.
pub fn init(format: Option<LogFormat>, directives: Option<&str>) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(directives.filter(|text| !text.trim().is_empty()).unwrap_or(DEFAULT))?;
    let on_terminal = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(on_terminal);
    match format.unwrap_or(if on_terminal { LogFormat::Text } else { LogFormat::Json }) {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    // Without the message: it may quote what was being handled.
    panic::set_hook(Box::new(|panic| {
        tracing::error!(location = panic.location().map(tracing::field::display), "panicked");
    }));
    Ok(())
}
