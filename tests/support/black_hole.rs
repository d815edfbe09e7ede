//! A TCP proxy that can turn half-dead: connections stay open, and nothing comes through any more.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// The proxy; it ends on drop.
pub(crate) struct BlackHole {
    pub(crate) address: SocketAddr,
    swallowed: watch::Sender<usize>,
    accepting: JoinHandle<()>,
}

impl Drop for BlackHole {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl BlackHole {
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let swallowed = watch::Sender::new(0);
        let receiver = swallowed.subscribe();
        let accepting = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut swallowed = receiver.clone();
                swallowed.mark_unchanged();
                tokio::spawn(async move {
                    let mut upstream = TcpStream::connect(upstream).await.expect("a connection");
                    let swallow = tokio::select! {
                        _ended = copy_bidirectional(&mut client, &mut upstream) => false,
                        swallowed = swallowed.changed() => swallowed.is_ok(),
                    };
                    if swallow {
                        // Both stay open, and nobody reads them.
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { address, swallowed, accepting }
    }

    /// Swallows all connections that there are; new ones come through.
    pub(crate) fn swallow(&self) {
        self.swallowed.send_modify(|times| *times += 1);
    }
}
