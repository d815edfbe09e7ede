//! The command `jwks-gateway`: arguments, log, signals and exit codes. The only file that reads the environment.

use std::{
    env,
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use jwks_gateway::{
    config::{Config, ConfigFaults, Settings},
    demo,
    server::{self, Drain},
    telemetry,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
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

#[tokio::main]
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

async fn serve(settings: Settings) -> Result<ExitCode, Box<dyn Error>> {
    let config = Config::new(settings)?;
    telemetry::init(config.log_format, env::var("RUST_LOG").ok().as_deref()).map_err(|_| BadLogFilter)?;
    let shutdown = shutdown()?;
    let listener = bind(&config.listen).await?;
    match server::run(listener, &config, shutdown).await? {
        Drain::Clean => {
            tracing::info!("drained");
            Ok(ExitCode::SUCCESS)
        }
        Drain::Cut { calls } => {
            tracing::warn!(calls, "the drain timeout cut running calls");
            Ok(ExitCode::from(3))
        }
    }
}

async fn demo(args: DemoArgs) -> Result<ExitCode, Box<dyn Error>> {
    let shutdown = shutdown()?;
    let listener = match args.listen {
        Some(address) => bind(&address).await?,
        None => match bind("127.0.0.1:50051").await {
            Ok(listener) => listener,
            Err(_taken) => bind("127.0.0.1:0").await?,
        },
    };
    demo::run(listener, args.once, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, thiserror::Error)]
#[error("RUST_LOG: expected a level such as info, or directives such as info,jwks_gateway=debug")]
struct BadLogFilter;

async fn bind(address: &str) -> Result<TcpListener, Box<dyn Error>> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}").into())
}

/// Done at the first SIGTERM or SIGINT. Both are caught from this call on, not only once the future is polled.
fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
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
