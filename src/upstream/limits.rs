//! How much the gateway takes on at once: calls, and memory for bodies.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::error::Failure;

/// Lets so many calls run at once and so many more wait for their turn, first come, first served.
#[derive(Debug)]
pub(super) struct Admission {
    running: Semaphore,
    waiting: Semaphore,
}

impl Admission {
    pub(super) fn new(max_in_flight: usize, max_queued: usize) -> Self {
        Self { running: Semaphore::new(max_in_flight), waiting: Semaphore::new(max_queued) }
    }

    /// The right to run, until it is dropped.
    ///
    /// # Errors
    /// [`Failure::Overloaded`], at once, where too many wait already.
    pub(super) async fn admit(&self) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(permit) = self.running.try_acquire() {
            return Ok(permit);
        }
        let _place_in_the_queue = self.waiting.try_acquire().map_err(|_| Failure::Overloaded)?;
        self.running.acquire().await.map_err(|_| Failure::Overloaded)
    }
}

/// The bytes of all bodies together. In flight × largest body would be far more than any machine has.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudget(Arc<Semaphore>);

impl MemoryBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// A reservation to begin with; it grows as the body does.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] where other bodies hold too much.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reservation, Failure> {
        let mut reservation = Reservation { budget: self.0.clone(), held: None };
        reservation.grow(bytes)?;
        Ok(reservation)
    }
}

/// Bytes of the budget, returned on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Moves what is held into a reservation of its own.
    pub(super) fn take(&mut self) -> Self {
        Self { budget: self.budget.clone(), held: self.held.take() }
    }

    /// Takes more of the budget. Never waits for it: many half-read bodies could wait for each other.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Failure> {
        let bytes = u32::try_from(bytes).map_err(|_| Failure::Overloaded)?;
        let more = self.budget.clone().try_acquire_many_owned(bytes).map_err(|_| Failure::Overloaded)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}
