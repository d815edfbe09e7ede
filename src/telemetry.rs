//! The log.

use std::{
    io::{self, IsTerminal as _},
    panic::{self, PanicHookInfo},
    sync::atomic::{AtomicU64, Ordering},
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
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs a panic and how many there have been, without its message: that may quote what was being handled.
fn log_panic(panic: &PanicHookInfo<'_>) {
    static SO_FAR: AtomicU64 = AtomicU64::new(0);
    let so_far = SO_FAR.fetch_add(1, Ordering::Relaxed) + 1;
    tracing::error!(location = panic.location().map(tracing::field::display), so_far, "panicked");
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;

    #[test]
    fn panics_are_counted_and_logged_without_their_messages() {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let writer = Arc::new(log.reopen().expect("a file"));
        let subscriber = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || {
            panic::set_hook(Box::new(log_panic));
            for _ in 0..2 {
                panic::catch_unwind(|| panic!("canary")).expect_err("a panic");
            }
            drop(panic::take_hook());
        });
        let log = fs::read_to_string(log.path()).expect("text");
        let count = |line: &str| line.split("so_far=").nth(1).expect("a count").parse::<u64>().expect("a number");
        let counts: Vec<_> = log.lines().map(count).collect();
        // Other tests may panic in between.
        assert!(counts.len() == 2 && counts[0] < counts[1], "{log}");
        assert!(log.contains("location=src/telemetry.rs") && !log.contains("canary"), "{log}");
    }
}
