//! Values that change under a running process with what they are made of: tokens and certificates that are rotated,
//! names that move.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{fs, sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

/// How often a source is read.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a value is made of.
pub(crate) trait Source: Send + 'static {
    /// What is found there.
    type Found: PartialEq + Send + Sync;

    /// What is there now.
    ///
    /// # Errors
    /// Where it cannot be read. The text quotes nothing.
    fn read(&mut self) -> impl Future<Output = Result<Self::Found, String>> + Send;
}

/// A value made from a source, and made anew when what is found there changes. A change that cannot be used is logged,
/// and the last good value stays.
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
    /// Reads the source for the first time, and from then on in the background.
    ///
    /// # Errors
    /// Where the source cannot be read, or `make` cannot use what is found there. The texts quote nothing.
    pub(crate) async fn new<S: Source>(
        what: &'static str,
        mut source: S,
        make: impl Fn(&S::Found) -> Result<T, String> + Send + 'static,
    ) -> Result<Self, String> {
        let mut seen = source.read().await?;
        let (sender, current) = watch::channel(Arc::new(make(&seen)?));
        let reading = tokio::spawn(async move {
            let mut failed = None;
            loop {
                sleep(INTERVAL).await;
                let found = source.read().await;
                if found.as_ref().is_ok_and(|found| *found == seen) {
                    continue;
                }
                match found.and_then(|found| Ok((make(&found)?, found))) {
                    Ok((value, found)) => {
                        (seen, failed) = (found, None);
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

/// Files, read whole. Kubernetes swaps a mounted secret by a symbolic link, which a watch on the file itself would miss;
/// to read a few kilobytes a second costs next to nothing.
pub(crate) struct Files(pub(crate) Vec<PathBuf>);

impl Source for Files {
    type Found = Vec<Vec<u8>>;

    async fn read(&mut self) -> Result<Self::Found, String> {
        let mut contents = Vec::with_capacity(self.0.len());
        for file in &self.0 {
            contents.push(fs::read(file).await.map_err(|error| unreadable(file, &error))?);
        }
        Ok(contents)
    }
}

fn unreadable(file: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", file.display())
}
