//! The whole gateway at work on one machine: a sandbox upstream, the gateway in front of it, a real call through both.

use std::{
    error::Error,
    io::{self, Write as _},
    net::SocketAddr,
};

use tokio::net::TcpListener;
use tonic::{Request, transport::Endpoint};

use crate::{
    config::Config,
    listener::Listener,
    pb::{Jwk, ListJwksRequest, jwk_service_client::JwkServiceClient},
    sandbox, server,
    settings::Settings,
    table,
};

/// Starts a sandbox, serves the gateway on `listener`, makes a call and prints the answer. Then it serves until
/// `shutdown`, or ends at once if `once`.
///
/// # Errors
/// Where no port is free for the sandbox, the call fails, or nobody reads what is printed.
pub async fn run(listener: TcpListener, once: bool, shutdown: impl Future<Output = ()>) -> Result<(), Box<dyn Error>> {
    let sandbox = TcpListener::bind("127.0.0.1:0").await?;
    let manager = format!("http://{}", sandbox.local_addr()?);
    let gateway = listener.local_addr()?;
    let listener = Listener::Tcp(listener);
    let config = Config::new(Settings { upstream: Some(manager.clone().into()), ..Settings::default() })?;

    let demonstration = async {
        let jwks = call(gateway).await?;
        let mut out = io::stdout();
        writeln!(out, "A sandbox of the Apinizer Manager runs at {manager}, the gateway at {gateway}.")?;
        writeln!(out, "ListJwks({:?}) answers:\n\n{}\n", sandbox::SAMPLE_PROJECT, table::table(&jwks))?;
        writeln!(out, "The same call by hand:\n\n{}\n", command(gateway))?;
        if !once {
            writeln!(out, "Try the project {:?}, one that is missing, or a wrong token.", sandbox::EMPTY_PROJECT)?;
            writeln!(out, "Ctrl-C ends the demo.")?;
            shutdown.await;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::select! {
        ended = sandbox::serve(sandbox) => Ok(ended?),
        ended = server::run(listener, &config, std::future::pending()) => ended.map(drop).map_err(Into::into),
        ended = demonstration => ended,
    }
}

async fn call(gateway: SocketAddr) -> Result<Vec<Jwk>, Box<dyn Error>> {
    let channel = Endpoint::try_from(format!("http://{gateway}"))?.connect().await?;
    let mut request = Request::new(ListJwksRequest { project: sandbox::SAMPLE_PROJECT.to_owned() });
    request.metadata_mut().insert("authorization", format!("Bearer {}", sandbox::TOKEN).parse()?);
    Ok(JwkServiceClient::new(channel).list_jwks(request).await?.into_inner().jwks)
}

fn command(gateway: SocketAddr) -> String {
    format!(
        "  grpcurl -plaintext -H 'authorization: Bearer {}' -d '{{\"project\": \"{}\"}}' \\\n    {gateway} \
         apinizer.apiops.v1.JwkService/ListJwks",
        sandbox::TOKEN,
        sandbox::SAMPLE_PROJECT,
    )
}
