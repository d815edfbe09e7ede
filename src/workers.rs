//! Threads that serve connections, each with a runtime of its own.
//!
//! All that a call needs stays on one thread: its connection, its request to the upstream, its answer. On a runtime that
//! moves tasks between threads, most of a small call's time goes into waking them.

use std::{cell::Cell, io, sync::Arc, thread};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// How many workers there are: one for each core that this process may use.
pub(crate) fn count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Which worker this thread is. A thread that is none counts as the first.
pub(crate) fn index() -> usize {
    INDEX.get()
}

/// The workers; they end when this is dropped, and with them whatever they still do.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    _stop: DropGuard,
}

/// One of them, to be held by what it works on.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    runtime: Handle,
    load: Arc<()>,
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where the system has no more threads or file descriptors.
    pub(crate) fn start() -> io::Result<Self> {
        let stop = CancellationToken::new();
        let workers = (0..count()).map(|index| Worker::start(index, stop.clone())).collect::<io::Result<_>>();
        Ok(Self { _stop: stop.drop_guard(), workers: workers? })
    }

    /// The worker that has the least to hold. Connections last, so the kernel's way to spread them, by a hash of their
    /// addresses, could leave a core idle.
    pub(crate) fn least_loaded(&self) -> Worker {
        self.workers.iter().min_by_key(|worker| Arc::strong_count(&worker.load)).expect("a worker").clone()
    }
}

impl Worker {
    fn start(index: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            INDEX.set(index);
            runtime.block_on(stop.cancelled());
        })?;
        Ok(Self { runtime: handle, load: Arc::default() })
    }

    /// Where it works.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
