//! Values that come from files and change with them: tokens and certificates that are rotated under a running process.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{fs, sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

/// How often the files are read. Kubernetes swaps a mounted secret by a symbolic link, which a watch on the file itself
/// would miss; to read a few kilobytes a second costs next to nothing.
const INTERVAL: Duration = Duration::from_secs(1);

/// A value made from files, and made anew when what is in them changes. A change that cannot be used is logged, and the
/// last good value stays.
#[derive(Debug)]
pub(crate) struct Reloaded<T> {
    current: watch::Receiver<Arc<T>>,
    _reading: Option<AbortOnDropHandle<()>>,
}

impl<T> Reloaded<T> {
    /// A value that never changes.
    pub(crate) fn fixed(value: T) -> Self {
        Self { current: watch::channel(Arc::new(value)).1, _reading: None }
    }

    /// The value now.
    pub(crate) fn get(&self) -> Arc<T> {
        self.current.borrow().clone()
    }
}

impl<T: Send + Sync + 'static> Reloaded<T> {
    /// Reads the files for the first time, and from then on in the background.
    ///
    /// # Errors
    /// Where a file cannot be read, or `make` cannot use what is in them. The texts name files and quote nothing.
    pub(crate) async fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        make: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + 'static,
    ) -> Result<Self, String> {
        let mut seen = read(&files).await?;
        let (sender, current) = watch::channel(Arc::new(make(&seen)?));
        let reading = tokio::spawn(async move {
            let mut failed = None;
            loop {
                sleep(INTERVAL).await;
                let found = read(&files).await;
                if found.as_ref().is_ok_and(|contents| *contents == seen) {
                    continue;
                }
                match found.and_then(|contents| Ok((make(&contents)?, contents))) {
                    Ok((value, contents)) => {
                        (seen, failed) = (contents, None);
                        sender.send_replace(Arc::new(value));
                        tracing::info!(what, "reloaded");
                    }
                    // Once for each failure, not once a second.
                    Err(error) if failed.as_ref() != Some(&error) => {
                        tracing::error!(what, error, "cannot be reloaded, the last good one stays in use");
                        failed = Some(error);
                    }
                    Err(_) => {}
                }
            }
        });
        Ok(Self { current, _reading: Some(AbortOnDropHandle::new(reading)) })
    }
}

async fn read(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let mut contents = Vec::with_capacity(files.len());
    for file in files {
        contents.push(fs::read(file).await.map_err(|error| unreadable(file, &error))?);
    }
    Ok(contents)
}

fn unreadable(file: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", file.display())
}
