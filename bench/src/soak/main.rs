//! Hours of a bad day in minutes: good and bad calls at random, by good and bad callers, to a good and bad upstream.
//!
//! One gateway process serves them all. What it answers is checked call by call; what it holds, at the end.

#[allow(dead_code, unused_imports, reason = "the tests use the rest of it")]
#[path = "../../../tests/support/mod.rs"]
mod support;

mod callers;
mod figures;
mod upstream;

use std::{env, process::ExitCode, sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::{
    callers::{Callers, Tally},
    figures::{Figures, Sample},
    support::{TOKEN, process},
};

/// Callers that work at once.
const CALLERS: u64 = 24;
/// The gateway looks every 90 s for upstream connections that have been idle as long; then nothing is left open.
const UNTIL_IDLE: Duration = Duration::from_secs(200);

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo adds a flag of its own.
    let mut numbers = env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (Some(seconds), Some(seed)) = (numbers.next(), numbers.next()) else {
        eprintln!("usage: bench/soak [SECONDS [SEED]]");
        return ExitCode::from(2);
    };
    let cases = Arc::new(upstream::cases());
    let upstream = upstream::start(cases.clone()).await;
    let limit = upstream::MAX_RESPONSE_BYTES.to_string();
    let mut command = process::command(&["serve", "--listen", "127.0.0.1:0", "--max-response-bytes", &limit]);
    command.env("JWKS_GATEWAY_UPSTREAM", upstream.url()).env("RUST_LOG", "info,jwks_gateway=trace,h2=error");
    let mut gateway = process::Process::start(&mut command).await;
    let mut figures = Figures::new(Sample::of(&gateway));

    let end = Instant::now() + Duration::from_secs(seconds);
    let callers = Callers { gateway: gateway.address, cases, end };
    let working = (0..CALLERS).map(|caller| tokio::spawn(callers.clone().work(seed * CALLERS + caller)));
    let working: Vec<_> = working.collect();
    let mut ticks = interval(Duration::from_secs(1));
    while Instant::now() < end {
        tokio::select! {
            _ = ticks.tick() => figures.add(Sample::of(&gateway)),
            line = gateway.next_line() => figures.log(&line.expect("the gateway runs"), TOKEN),
        }
    }
    let mut tally = Tally::new();
    for caller in working {
        tally.add(caller.await.expect("a caller without defects"));
    }
    let idle = timeout(UNTIL_IDLE, async {
        while Sample::of(&gateway).descriptors > figures.first().descriptors {
            sleep(Duration::from_secs(1)).await;
        }
    });
    let is_idle = idle.await.is_ok();
    figures.idle(Sample::of(&gateway));
    gateway.signal(Signal::TERM);
    let (exit, log) = gateway.ended().await;
    log.lines().for_each(|line| figures.log(line, TOKEN));

    println!("seed {seed}, {seconds} s, {} upstream requests\n{tally}\n{figures}", upstream.requests().len());
    let verdicts = [
        ("every answer was right", tally.is_right()),
        ("memory is flat", figures.is_flat()),
        ("no descriptor is left open", is_idle),
        ("no token is in the log", figures.leaks() == 0),
        ("the drain was clean", exit == Some(0)),
    ];
    for (verdict, holds) in verdicts {
        println!("{} {verdict}", if holds { "✓" } else { "✗" });
    }
    ExitCode::from(u8::from(!verdicts.iter().all(|(_, holds)| *holds)))
}
