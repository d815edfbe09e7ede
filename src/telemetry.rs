//! The log.

use std::io;

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::LogFormat;

/// Writes the log to standard error from now on, for the whole process.
///
/// `directives` are those of `RUST_LOG`; without any, it is `info`.
///
/// # Errors
/// Where `directives` cannot be read.
pub fn init(format: LogFormat, directives: Option<&str>) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(directives.filter(|text| !text.trim().is_empty()).unwrap_or("info"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
