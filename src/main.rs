//! The command `jwks-gateway`: arguments, log, signals and exit codes. The only file that reads the environment.

use std::{
    env,
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use jwks_gateway::{
    config::{Config, ConfigFaults},
    credentials::Secret,
    demo,
    listener::Listener,
    server::{self, Drain},
    settings::Settings,
    telemetry,
};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// A gRPC gateway to the JWK list of an Apinizer Manager
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve gRPC in front of an Apinizer Manager
    ///
    /// Every flag has an environment variable; flags win. The level of the log is set by RUST_LOG.
    Serve(Box<Settings>),
    /// Show the gateway at work on an embedded sandbox of the Manager
    Demo(DemoArgs),
}

#[derive(Args)]
struct DemoArgs {
    /// Where the gateway listens [default: 127.0.0.1:50051, or a free port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// End after the first call instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Serve(settings) => serve(*settings).await,
        Command::Demo(args) => demo(args).await,
    };
    ended.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "jwks-gateway: {}", sentence(&*error));
        ExitCode::from(if error.is::<ConfigFaults>() || error.is::<BadLogFilter>() { 2 } else { 1 })
    })
}

async fn serve(mut settings: Settings) -> Result<ExitCode, Box<dyn Error>> {
    settings.token = env::var_os("JWKS_GATEWAY_TOKEN").map(Secret);
    let config = Config::new(settings)?;
    telemetry::init(config.log_format, env::var("RUST_LOG").ok().as_deref()).map_err(|_| BadLogFilter)?;
    let mut signals = Signals::catch()?;
    let listener =
        Listener::bind(&config.listen).await.map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    let (begin_drain, drain) = oneshot::channel::<()>();
    let serving = server::run(listener, &config, async { drop(drain.await) });
    let interrupted = async {
        signals.next().await;
        drop(begin_drain);
        signals.next().await;
    };
    tokio::select! {
        served = serving => match served? {
            Drain::Clean => {
                tracing::info!("drained");
                Ok(ExitCode::SUCCESS)
            }
            Drain::Cut { calls } => {
                tracing::warn!(calls, "the drain timeout cut running calls");
                Ok(ExitCode::from(CUT))
            }
        },
        () = interrupted => {
            tracing::warn!("a second signal cut the drain");
            Ok(ExitCode::from(CUT))
        }
    }
}

/// The exit code of a drain that did not wait for every call.
const CUT: u8 = 3;

async fn demo(args: DemoArgs) -> Result<ExitCode, Box<dyn Error>> {
    let mut signals = Signals::catch()?;
    let listener = match args.listen {
        Some(address) => bind(&address).await?,
        None => match bind("127.0.0.1:50051").await {
            Ok(listener) => listener,
            Err(_taken) => bind("127.0.0.1:0").await?,
        },
    };
    demo::run(listener, args.once, signals.next()).await?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, thiserror::Error)]
#[error("RUST_LOG: expected a level such as info, or directives such as info,jwks_gateway=debug")]
struct BadLogFilter;

async fn bind(address: &str) -> Result<TcpListener, Box<dyn Error>> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}").into())
}

/// SIGTERM and SIGINT, caught from the beginning, not only while somebody waits for them.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// An error and its causes in one line.
fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
