//! What the gateway holds, once a second, and what it logs.

use std::{
    fmt, fs,
    time::{Duration, Instant},
};

use crate::support::process::Process;

/// What a process holds at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Resident memory, in KiB.
    pub(crate) rss: u64,
    /// Open file descriptors.
    pub(crate) descriptors: usize,
}

impl Sample {
    pub(crate) fn of(process: &Process) -> Self {
        let id = process.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process's status");
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        Self {
            rss: rss.trim().trim_end_matches(" kB").parse().expect("a number"),
            descriptors: fs::read_dir(format!("/proc/{id}/fd")).expect("the process's descriptors").count(),
        }
    }
}

/// Everything that was measured.
pub(crate) struct Figures {
    first: Sample,
    samples: Vec<Sample>,
    /// When the last one was taken, and the longest time between two: a machine that stands still answers nobody.
    last: Instant,
    longest_gap: Duration,
    idle: Sample,
    lines: usize,
    leaks: usize,
}

/// Memory counts as warmed up after so many seconds, and is compared by medians of so many.
const WARM: usize = 120;
const WINDOW: usize = 30;

impl Figures {
    pub(crate) fn new(first: Sample) -> Self {
        Self {
            first,
            samples: Vec::new(),
            last: Instant::now(),
            longest_gap: Duration::ZERO,
            idle: Sample::default(),
            lines: 0,
            leaks: 0,
        }
    }

    pub(crate) fn first(&self) -> Sample {
        self.first
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
        self.longest_gap = self.longest_gap.max(self.last.elapsed());
        self.last = Instant::now();
    }

    pub(crate) fn idle(&mut self, sample: Sample) {
        self.idle = sample;
    }

    pub(crate) fn log(&mut self, line: &str, secret: &str) {
        self.lines += 1;
        self.leaks += usize::from(line.contains(secret));
    }

    /// Lines of the log that hold the token.
    pub(crate) fn leaks(&self) -> usize {
        self.leaks
    }

    /// Memory after the second minute, and at the end.
    fn warm_and_end(&self) -> (u64, u64) {
        let warm = WARM.min(self.samples.len() / 2);
        (self.median(warm), self.median(self.samples.len().saturating_sub(WINDOW)))
    }

    fn median(&self, from: usize) -> u64 {
        let mut window: Vec<_> = self.samples.iter().skip(from).take(WINDOW).map(|sample| sample.rss).collect();
        window.sort_unstable();
        window.get(window.len() / 2).copied().unwrap_or_default()
    }

    /// Whether memory at the end is within a tenth of that after the second minute.
    pub(crate) fn is_flat(&self) -> bool {
        let (warm, end) = self.warm_and_end();
        end * 10 <= warm * 11
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (warm, end) = self.warm_and_end();
        let most = |figure: fn(&Sample) -> u64| self.samples.iter().map(figure).max().unwrap_or_default();
        let minutes: Vec<_> = (0..self.samples.len()).step_by(60).map(|from| self.median(from).to_string()).collect();
        writeln!(
            formatter,
            "memory in KiB: {} at the start, {warm} after the second minute, {end} at the end, {} idle, {} at most",
            self.first.rss,
            self.idle.rss,
            most(|sample| sample.rss),
        )?;
        writeln!(formatter, "from sample to sample: {:.1} s at most", self.longest_gap.as_secs_f32())?;
        writeln!(formatter, "memory minute by minute: {}", minutes.join(" "))?;
        writeln!(
            formatter,
            "descriptors: {} at the start, {} at most, {} idle",
            self.first.descriptors,
            most(|sample| sample.descriptors as u64),
            self.idle.descriptors,
        )?;
        write!(formatter, "log: {} lines, {} of them with the token", self.lines, self.leaks)
    }
}
