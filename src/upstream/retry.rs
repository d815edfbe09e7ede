//! When an upstream call is worth another attempt, and how long to wait before it.

use std::{slice, time::Duration};

use tokio::time::Instant;
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::error::Error;

/// The longest wait before the second attempt and before the third, which is the last. The wait is a random part of
/// it ("full jitter"), so that callers who failed together do not come back together.
const LONGEST_WAITS: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(250)];
/// Retries may add a fifth to the calls of the last ten seconds, and five a second in any case.
const BUDGET_SHARE: f32 = 0.2;
const BUDGET_RESERVE: u32 = 5;
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// The budget that all calls share, so that an upstream that fails is not hit harder for it.
#[derive(Debug)]
pub(super) struct RetryBudget(TpsBudget);

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self(TpsBudget::new(BUDGET_WINDOW, BUDGET_RESERVE, BUDGET_SHARE))
    }

    /// The retries that one call has.
    pub(super) fn for_call(&self) -> Retries<'_> {
        self.0.deposit();
        Retries { budget: &self.0, longest_waits: LONGEST_WAITS.iter() }
    }
}

/// The retries that a call has left.
pub(super) struct Retries<'b> {
    budget: &'b TpsBudget,
    longest_waits: slice::Iter<'static, Duration>,
}

impl Retries<'_> {
    /// How long to wait before the next attempt, or `None` where this error is the call's answer: it was given on
    /// purpose, attempts or budget are used up, or the next attempt would begin when the call has to `end`.
    ///
    /// A `Retry-After` of the upstream is obeyed.
    pub(super) fn wait_after(&mut self, error: &Error, end: Instant) -> Option<Duration> {
        if !error.is_transient() {
            return None;
        }
        let jittered = self.longest_waits.next()?.mul_f64(fastrand::f64());
        let wait = error.retry_after().map_or(jittered, |asked_for| asked_for.max(jittered));
        let in_time = Instant::now().checked_add(wait).is_some_and(|next| next < end);
        (in_time && self.budget.withdraw()).then_some(wait)
    }
}
