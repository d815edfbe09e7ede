//! Calls that ask the same share upstream calls, and nobody gets an answer older than his question.
//!
//! For each question two upstream calls run at once, at most. Who asks while fewer run has a call of his own. Who asks while
//! two run waits for the next one, which begins when one of these ends, and shares it with all who wait by then.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout_at},
};

/// The most calls for a question at once: with one, a question would wait for nearly two of them; with two, for no more
/// than one and a half.
const AT_ONCE: usize = 2;

/// How long an upstream call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Until {
    /// When the gateway's own timeout ends it.
    pub(super) timeout: Instant,
    /// When whoever waits for it the longest stops waiting.
    pub(super) end: Instant,
}

impl Until {
    fn latest(self, other: Self) -> Self {
        Self { timeout: self.timeout.max(other.timeout), end: self.end.max(other.end) }
    }
}

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<A> {
    /// The answer of a call of its own.
    Own(A),
    /// The answer of a call that others had a part in.
    Shared(A),
    /// The timeout passed before there was one.
    TimedOut,
    /// The shared call panicked.
    Lost,
}

/// The calls that run, by question. A question is kept no longer than its calls.
pub(super) struct Coalescer<Q, A>(Questions<Q, A>);

type Questions<Q, A> = Arc<Mutex<HashMap<Q, Calls<A>>>>;

impl<Q, A> fmt::Debug for Coalescer<Q, A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Coalescer")
    }
}

/// The calls for one question.
struct Calls<A> {
    running: usize,
    next: Option<NextCall<A>>,
}

/// A call that has not begun.
struct NextCall<A> {
    begin: Box<dyn FnOnce(Until) -> BoxFuture<'static, A> + Send>,
    until: Until,
    answer: watch::Sender<Option<A>>,
}

/// How a question is to be answered.
enum Turn<Q: Clone + Eq + Hash + Send + 'static, A: Send + Sync + 'static, B> {
    Now(Place<Q, A>, B),
    Next(watch::Receiver<Option<A>>),
}

impl<Q, A> Coalescer<Q, A>
where
    Q: Clone + Eq + Hash + Send + 'static,
    A: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Asks, by a call that begins after this moment. `begin` makes it, if it is this one's turn.
    ///
    /// Dropping the future ends the call, if nobody else waits for it.
    pub(super) async fn ask<F>(
        &self,
        question: &Q,
        until: Until,
        begin: impl FnOnce(Until) -> F + Send + 'static,
    ) -> Asked<A>
    where
        F: Future<Output = A> + Send + 'static,
    {
        match self.turn(question, until, begin) {
            Turn::Now(_place, begin) => Asked::Own(begin(until).await),
            Turn::Next(mut answer) => match timeout_at(until.timeout, answer.wait_for(Option::is_some)).await {
                Ok(Ok(answer)) => answer.clone().map_or(Asked::Lost, Asked::Shared),
                Ok(Err(_panicked)) => Asked::Lost,
                Err(_) => Asked::TimedOut,
            },
        }
    }

    fn turn<B, F>(&self, question: &Q, until: Until, begin: B) -> Turn<Q, A, B>
    where
        B: FnOnce(Until) -> F + Send + 'static,
        F: Future<Output = A> + Send + 'static,
    {
        let mut questions = lock(&self.0);
        let calls = questions.entry(question.clone()).or_insert(Calls { running: 0, next: None });
        if calls.running < AT_ONCE {
            calls.running += 1;
            return Turn::Now(Place { questions: self.0.clone(), question: question.clone() }, begin);
        }
        let next = calls.next.get_or_insert_with(|| NextCall {
            begin: Box::new(|until| begin(until).boxed()),
            until,
            answer: watch::Sender::new(None),
        });
        next.until = next.until.latest(until);
        Turn::Next(next.answer.subscribe())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place of a running call. However the call ends, the next one takes the place, or it is free.
struct Place<Q: Clone + Eq + Hash + Send + 'static, A: Send + Sync + 'static> {
    questions: Questions<Q, A>,
    question: Q,
}

impl<Q: Clone + Eq + Hash + Send + 'static, A: Send + Sync + 'static> Drop for Place<Q, A> {
    fn drop(&mut self) {
        let mut questions = lock(&self.questions);
        let Some(calls) = questions.get_mut(&self.question) else { return };
        let next = calls.next.take().filter(|next| next.answer.receiver_count() > 0);
        // Without a runtime there is nobody left who could wait.
        if let (Some(next), Ok(runtime)) = (next, Handle::try_current()) {
            let place = Self { questions: self.questions.clone(), question: self.question.clone() };
            runtime.spawn(next.run(place));
            return;
        }
        calls.running -= 1;
        if calls.running == 0 {
            questions.remove(&self.question);
        }
    }
}

impl<A> NextCall<A> {
    /// Calls until there is an answer, or nobody who waits for it.
    async fn run(self, _place: impl Send) {
        tokio::select! {
            () = self.answer.closed() => {}
            answer = (self.begin)(self.until) => {
                self.answer.send_replace(Some(answer));
            }
        }
    }
}
