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
        // Without a runtime there is nobody left who could wait.
        if let (Some(next), Ok(runtime)) = (calls.next.take(), Handle::try_current()) {
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
            // First, since all may have left before it began.
            biased;
            () = self.answer.closed() => {}
            answer = (self.begin)(self.until) => {
                self.answer.send_replace(Some(answer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, time::Duration};

    use proptest::{collection::vec, prelude::*};
    use tokio::{
        sync::oneshot,
        task::{JoinHandle, yield_now},
    };

    use super::*;

    /// What happens next; numbers choose among those whom it can happen to.
    #[derive(Clone, Debug)]
    enum Event {
        Ask,
        Leave(usize),
        Answer(usize),
        Panic(usize),
    }

    /// All calls so far, as the upstream sees them.
    #[derive(Default)]
    struct Manager {
        clock: u64,
        running: VecDeque<(u64, oneshot::Sender<bool>)>,
        until: HashMap<u64, Until>,
    }

    /// When a call began; that is its answer.
    type Begun = u64;

    struct Caller {
        asked: u64,
        until: Until,
        task: JoinHandle<Asked<Begun>>,
    }

    struct World {
        coalescer: Arc<Coalescer<&'static str, Begun>>,
        manager: Arc<Mutex<Manager>>,
        callers: Vec<Caller>,
        start: Instant,
    }

    impl World {
        fn tick(&self) -> u64 {
            let mut manager = lock(&self.manager);
            manager.clock += 1;
            manager.clock
        }

        fn ask(&mut self) {
            let asked = self.tick();
            let (coalescer, manager) = (self.coalescer.clone(), self.manager.clone());
            let far = self.start + Duration::from_secs(3600);
            let until = Until { timeout: far, end: far + Duration::from_secs(asked) };
            let begin = move |until: Until| async move {
                let (answer, answered) = oneshot::channel();
                let begun = {
                    let mut manager = lock(&manager);
                    manager.clock += 1;
                    let begun = manager.clock;
                    manager.until.insert(begun, until);
                    manager.running.push_back((begun, answer));
                    begun
                };
                assert!(answered.await.unwrap_or(false), "a defect");
                begun
            };
            let task = tokio::spawn(async move { coalescer.ask(&"P", until, begin).await });
            self.callers.push(Caller { asked, until, task });
        }

        /// Lets every task run as far as it can, and forgets the calls that nobody waits for.
        async fn settle(&self) {
            let before = self.tick();
            for _ in 0..20 {
                yield_now().await;
            }
            lock(&self.manager).running.retain(|(begun, answer)| {
                assert!(!answer.is_closed() || *begun < before, "a call begins for nobody");
                !answer.is_closed()
            });
        }

        fn end_call(&self, which: usize, well: bool) {
            let mut manager = lock(&self.manager);
            let which = which.checked_rem(manager.running.len());
            if let Some((_, answer)) = which.and_then(|which| manager.running.remove(which)) {
                let _ = answer.send(well);
            }
        }

        /// Checks what every caller has by now, and lets those go who have something.
        async fn check(&mut self) {
            let running = lock(&self.manager).running.len();
            assert!(running <= AT_ONCE, "{running} calls run at once");
            let (done, waiting): (Vec<_>, Vec<_>) =
                self.callers.drain(..).partition(|caller| caller.task.is_finished());
            assert!(waiting.is_empty() || running > 0, "{} callers wait for nothing", waiting.len());
            self.callers = waiting;
            for Caller { asked, until, task } in done {
                match task.await {
                    Ok(Asked::Own(begun) | Asked::Shared(begun)) => {
                        assert!(begun > asked, "the answer is older than the question");
                        assert!(
                            lock(&self.manager).until[&begun].end >= until.end,
                            "the call ends before its caller does"
                        );
                    }
                    Ok(Asked::Lost) => {}
                    Ok(Asked::TimedOut) => panic!("nobody waited for an hour"),
                    Err(error) => assert!(error.is_panic()),
                }
            }
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => Just(Event::Ask),
            1 => any::<usize>().prop_map(Event::Leave),
            2 => any::<usize>().prop_map(Event::Answer),
            1 => any::<usize>().prop_map(Event::Panic),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_two_calls_run_at_most_and_everybody_gets_an_answer_younger_than_the_question(
            events in vec(event(), 0..60),
        ) {
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(async {
                let mut world = World {
                    coalescer: Arc::new(Coalescer::new()),
                    manager: Arc::default(),
                    callers: Vec::new(),
                    start: Instant::now(),
                };
                for event in events {
                    match event {
                        Event::Ask => world.ask(),
                        Event::Answer(which) => world.end_call(which, true),
                        Event::Panic(which) => world.end_call(which, false),
                        Event::Leave(which) => {
                            if let Some(which) = which.checked_rem(world.callers.len()) {
                                let leaver = world.callers.remove(which);
                                leaver.task.abort();
                            }
                        }
                    }
                    world.settle().await;
                    world.check().await;
                }
                while !world.callers.is_empty() {
                    world.end_call(0, true);
                    world.settle().await;
                    world.check().await;
                }
                assert!(lock(&world.coalescer.0).is_empty(), "a question outlives its calls");
            });
        }
    }

    #[tokio::test]
    async fn of_those_who_wait_all_get_the_answer_of_one_call() {
        let coalescer = Coalescer::new();
        let far = Instant::now() + Duration::from_secs(3600);
        let until = Until { timeout: far, end: far };
        let (release, released) = watch::channel(false);
        let ask = |name: &'static str| {
            let mut released = released.clone();
            coalescer.ask(&"P", until, move |_| async move {
                let _ = released.wait_for(|released| *released).await;
                name
            })
        };
        let release = async {
            yield_now().await;
            release.send_replace(true);
        };
        let (first, second, third, fourth, ()) =
            tokio::join!(ask("first"), ask("second"), ask("third"), ask("fourth"), release);
        assert_eq!((first, second), (Asked::Own("first"), Asked::Own("second")));
        assert_eq!((third, fourth), (Asked::Shared("third"), Asked::Shared("third")));
    }
}
