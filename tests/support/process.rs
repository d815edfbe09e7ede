//! The gateway as a process of its own: the program that users start.

use std::{
    net::SocketAddr,
    process::{Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

/// The command, with nothing of this process's environment that it would react to.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jwks-gateway"));
    command.args(args).stdin(Stdio::null()).kill_on_drop(true).env_clear();
    command
}

/// What would happen has happened by then.
const NEVER: Duration = Duration::from_secs(60);

/// Runs the command to its end.
pub(crate) async fn run(command: &mut Command) -> Output {
    timeout(NEVER, command.output()).await.expect("the command ends").expect("the command runs")
}

/// A process that serves; it is killed on drop.
pub(crate) struct Process {
    /// Where it listens; port 0 of nowhere for a Unix socket.
    pub(crate) address: SocketAddr,
    child: Child,
    /// The lines of the log; read by a task, so that the process never waits for its reader.
    log: UnboundedReceiver<String>,
}

impl Process {
    /// `serve` on a free port in front of this upstream; done when it listens.
    pub(crate) async fn serve(upstream: &str, args: &[&str]) -> Self {
        let args = [&["serve", "--listen", "127.0.0.1:0", "--upstream", upstream], args].concat();
        Self::start(&mut command(&args)).await
    }

    /// Starts a command that serves; done when it listens.
    pub(crate) async fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the command starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let (sender, mut log) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = sender.send(line);
            }
        });
        let address = loop {
            let line = log.recv().await.expect("the process says where it listens");
            if line.contains("listening") {
                let is_part = |c: char| c.is_ascii_digit() || ".:".contains(c);
                let mut addresses = line.split(|c| !is_part(c)).filter_map(|part| part.parse().ok());
                break addresses.next().unwrap_or_else(|| SocketAddr::from(([0; 4], 0)));
            }
        };
        Self { address, child, log }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.id().try_into().expect("an id")).expect("an id");
        kill_process(id, signal).expect("the signal is sent");
    }

    /// Waits for a log event with this message.
    pub(crate) async fn logged(&mut self, message: &str) {
        let logged = async {
            while let Some(line) = self.next_line().await {
                if line.contains(message) {
                    return true;
                }
            }
            false
        };
        assert!(timeout(NEVER, logged).await.is_ok_and(|found| found), "nothing logged like {message:?}");
    }

    /// The next line of the log; `None` at its end.
    pub(crate) async fn next_line(&mut self) -> Option<String> {
        self.log.recv().await
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Waits for the process to end: its exit code and the rest of its log.
    pub(crate) async fn ended(self) -> (Option<i32>, String) {
        let Self { mut child, mut log, .. } = self;
        let ending = async {
            let mut rest = String::new();
            while let Some(line) = log.recv().await {
                rest = rest + &line + "\n";
            }
            (child.wait().await.expect("a process").code(), rest)
        };
        timeout(NEVER, ending).await.expect("the process ends")
    }

    /// The most memory that the process ever held, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the process's status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}
