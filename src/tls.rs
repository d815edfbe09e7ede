//! TLS towards callers: certificates that are renewed under a running process, and callers who have to show theirs.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

use crate::reload::{Files, Reloaded};

/// The files of the server's identity, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and those that lead to its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The roots that callers' certificates have to lead to; without it, callers need none.
    pub client_ca: Option<PathBuf>,
}

/// Speaks TLS with the certificates as they are now.
#[derive(Debug)]
pub(crate) struct ServerTls(Reloaded<ServerConfig>);

impl ServerTls {
    /// Reads the files, and reads them again when they change. Connections that are open stay as they are.
    ///
    /// # Errors
    /// Where a file cannot be read or used. The text quotes nothing of it.
    pub(crate) async fn load(files: TlsFiles) -> Result<Self, String> {
        let TlsFiles { certificate, key, client_ca } = files;
        let files = Files([certificate, key].into_iter().chain(client_ca).collect());
        Reloaded::new("TLS certificate", files, |contents| server_config(contents)).await.map(Self)
    }

    /// Shakes hands, within this time.
    pub(crate) async fn accept<S>(&self, stream: S, within: Duration) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        timeout(within, TlsAcceptor::from(self.0.get()).accept(stream)).await?
    }
}

/// `contents` are the certificate, the key, and the client CA if there is one.
fn server_config(contents: &[Vec<u8>]) -> Result<ServerConfig, String> {
    let [certificate, key, client_ca @ ..] = contents else { unreachable!("at least two files") };
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "the key file holds no private key in PEM".to_owned())?;
    let builder = match client_ca {
        [] => ServerConfig::builder().with_no_client_auth(),
        [client_ca, ..] => {
            let mut roots = RootCertStore::empty();
            for root in certificates(client_ca)? {
                roots.add(root).map_err(|error| format!("the client CA cannot be used: {error}"))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            ServerConfig::builder()
                .with_client_cert_verifier(verifier.map_err(|error| format!("the client CA cannot be used: {error}"))?)
        }
    };
    let mut config = builder
        .with_single_cert(certificates(certificate)?, key)
        .map_err(|error| format!("certificate and key cannot be used together: {error}"))?;
    // gRPC is HTTP/2, and clients insist that it is negotiated.
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    certificates.ok().filter(|found| !found.is_empty()).ok_or_else(|| "a file holds no certificate in PEM".to_owned())
}
