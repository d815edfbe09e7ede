//! The callers: most of them call as everyone does, some give up, and some break every rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status, transport::Channel};

use crate::{
    support::{
        TOKEN, caller,
        frames::{self, Peer},
        gateway, told,
    },
    upstream::{Case, Expected, by_gateway},
};

/// What the callers share.
#[derive(Clone)]
pub(crate) struct Callers {
    pub(crate) gateway: SocketAddr,
    pub(crate) cases: Arc<BTreeMap<&'static str, Case>>,
    pub(crate) end: Instant,
}

/// What came of the calls.
pub(crate) struct Tally {
    start: Instant,
    answers: BTreeMap<&'static str, usize>,
    /// Calls that were unreachable because another case had closed their connection, and that could not be tried again.
    unlucky: usize,
    pub(crate) wrong: BTreeSet<String>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), answers: BTreeMap::new(), unlucky: 0, wrong: BTreeSet::new() }
    }

    fn count(&mut self, kind: &'static str) {
        *self.answers.entry(kind).or_default() += 1;
    }

    fn check(&mut self, kind: &'static str, got: &Expected, expected: &Expected) {
        self.count(kind);
        let is_unlucky = got != expected
            && expected.may_be_tried_no_more()
            && *got == by_gateway(Code::Unavailable, "UPSTREAM_UNREACHABLE");
        if is_unlucky {
            self.unlucky += 1;
        } else if got != expected {
            let second = self.start.elapsed().as_secs();
            self.wrong.insert(format!("{kind} at {second} s: {got:?} instead of {expected:?}"));
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (kind, count) in other.answers {
            *self.answers.entry(kind).or_default() += count;
        }
        self.unlucky += other.unlucky;
        self.wrong.extend(other.wrong);
    }

    /// Whether every answer was right, and next to nobody unlucky.
    pub(crate) fn is_right(&self) -> bool {
        self.wrong.is_empty() && self.unlucky * 1000 < self.calls()
    }

    fn calls(&self) -> usize {
        self.answers.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.answers.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        write!(formatter, "{} calls, {} unlucky: {}", self.calls(), self.unlucky, kinds.join(", "))?;
        self.wrong.iter().try_for_each(|wrong| write!(formatter, "\nwrong: {wrong}"))
    }
}

impl Callers {
    /// One caller's day.
    pub(crate) async fn work(self, seed: u64) -> Tally {
        let mut random = Rng::with_seed(seed);
        let mut tally = Tally::new();
        let mut channel = gateway::channel(self.gateway).await;
        while Instant::now() < self.end {
            match random.u32(..100) {
                0..80 => self.call(&channel, &mut random, &mut tally).await,
                80..84 => self.give_up(&channel, &mut random, &mut tally).await,
                84..88 => self.be_wrong(&mut random, &mut tally).await,
                88..92 => self.hang_up(&mut random, &mut tally).await,
                92..96 => self.harm(&mut random, &mut tally).await,
                _ => channel = gateway::channel(self.gateway).await,
            }
            sleep(Duration::from_millis(random.u64(..40))).await;
        }
        tally
    }

    fn any_project(&self, random: &mut Rng) -> (&'static str, &Expected) {
        let mut any = || self.cases.iter().nth(random.usize(..self.cases.len())).expect("a case");
        let (mut project, mut case) = any();
        // What is worth a retry is rarer than the budget for retries, so that next to nobody is unlucky.
        if case.expected.is_transient() {
            (project, case) = any();
            if case.expected.is_transient() {
                (project, case) = any();
            }
        }
        (project, &case.expected)
    }

    /// Calls as everyone does; a project that never answers, with a deadline.
    async fn call(&self, channel: &Channel, random: &mut Rng, tally: &mut Tally) {
        match self.any_project(random) {
            (project, Expected::Never) => {
                let deadline = format!("{}m", random.u32(10..300));
                let status = self.call_by_hand(project, &[("grpc-timeout", &deadline)]).await;
                let got = Some(verdict(&status)).filter(|got| *got != out_of_time());
                tally.check(project, &got.unwrap_or(Expected::Never), &Expected::Never);
            }
            (project, expected) => {
                let got = match gateway::list(channel.clone(), project).await {
                    Ok(jwks) => Expected::List(jwks.len()),
                    Err(status) => verdict(&status),
                };
                tally.check(project, &got, expected);
            }
        }
    }

    async fn call_by_hand(&self, project: &str, metadata: &[(&str, &str)]) -> Status {
        caller::call(self.gateway, project, metadata).await
    }

    /// Cancels a call at any time, on a connection that others use.
    async fn give_up(&self, channel: &Channel, random: &mut Rng, tally: &mut Tally) {
        let (project, _) = self.any_project(random);
        let _ = timeout(Duration::from_micros(random.u64(..20_000)), gateway::list(channel.clone(), project)).await;
        tally.count("given up");
    }

    /// Asks what cannot be asked.
    async fn be_wrong(&self, random: &mut Rng, tally: &mut Tally) {
        let invalid = by_gateway(Code::InvalidArgument, "PROJECT_INVALID");
        match random.u32(..3) {
            0 => tally.check("dots", &verdict(&self.call_by_hand("..", &[]).await), &invalid),
            1 => {
                let long = self.call_by_hand(&"x".repeat(random.usize(256..8000)), &[]).await;
                tally.check("too long", &verdict(&long), &invalid);
            }
            _ => {
                let mut connection = caller::connect(self.gateway).await;
                let request = caller::request(self.gateway, &[], caller::message("two"));
                let response = connection.send_request(request).await.expect("a response");
                tally.check(
                    "no token",
                    &verdict(&caller::status(response).await),
                    &by_gateway(Code::Unauthenticated, "CREDENTIALS_MISSING"),
                );
            }
        }
    }

    /// Goes away in the midst of a call, its answer read or not.
    async fn hang_up(&self, random: &mut Rng, tally: &mut Tally) {
        let (project, _) = self.any_project(random);
        let mut connection = caller::connect(self.gateway).await;
        let authorization = format!("Bearer {TOKEN}");
        let metadata = [("authorization", authorization.as_str())];
        let response = connection.send_request(caller::request(self.gateway, &metadata, caller::message(project)));
        let _ = timeout(Duration::from_millis(random.u64(..30)), response).await;
        connection.hang_up();
        tally.count("hung up");
    }

    /// Sends what no client would.
    async fn harm(&self, random: &mut Rng, tally: &mut Tally) {
        let streams = || (1..600).step_by(2);
        match random.u32(..5) {
            0 => self.send_raw(&random_bytes(random)).await,
            1 => self.send_raw(&b"PRI * HTTP/2.0\r\n\r\nSM"[..random.usize(1..20)]).await,
            2 => {
                let resets = streams().flat_map(|stream| [frames::call(stream), frames::reset(stream, frames::CANCEL)]);
                self.send_frames(&resets.collect::<Vec<_>>().concat()).await;
            }
            3 => self.send_frames(&frames::window_update(0, 0x7fff_ffff)).await,
            _ => {
                let fields = [frames::block(&frames::call_fields()), frames::indexed_field("x", &"y".repeat(4000))];
                let bomb = [fields.concat(), vec![frames::FIRST_DYNAMIC; 10_000]].concat();
                self.send_frames(&frames::frame(frames::HEADERS, frames::END_HEADERS, 1, bomb)).await;
            }
        }
        tally.count("harm");
    }

    async fn send_raw(&self, bytes: &[u8]) {
        let mut stream = TcpStream::connect(self.gateway).await.expect("a connection");
        let _ = stream.write_all(bytes).await;
        sleep(Duration::from_millis(20)).await;
    }

    /// Sends frames, and hears what the gateway has to say to them for a moment.
    async fn send_frames(&self, bytes: &[u8]) {
        let mut peer = Peer::connect(self.gateway).await;
        let _ = timeout(Duration::from_millis(200), peer.exchange(bytes)).await;
    }
}

fn out_of_time() -> Expected {
    by_gateway(Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
}

fn random_bytes(random: &mut Rng) -> Vec<u8> {
    (0..random.usize(..2000)).map(|_| random.u8(..)).collect()
}

fn verdict(status: &Status) -> Expected {
    let told = told(status);
    Expected::Error(told.code, format!("{} {}", told.domain, told.reason))
}
