//! A Manager whose name moves to another address while a connection to the old one is in use.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt as _;
use jwks_gateway::{config::Config, settings::Settings, upstream::Resolver};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tonic::Code;

use crate::support::{Gateway, Upstream, gateway, list, told};

/// A name server that knows one address, or none.
#[derive(Clone, Default)]
struct NameServer {
    address: Arc<Mutex<Option<SocketAddr>>>,
    lookups: watch::Sender<usize>,
}

impl NameServer {
    fn says(&self, address: Option<SocketAddr>) {
        *self.address.lock().expect("no panic") = address;
    }

    /// Waits until it was asked so many more times.
    async fn asked(&self, times: usize) {
        let mut lookups = self.lookups.subscribe();
        let until = *lookups.borrow() + times;
        let asked = timeout(Duration::from_secs(60), lookups.wait_for(|&so_far| so_far >= until)).await;
        asked.expect("somebody asks").expect("the name server runs");
    }

    fn resolver(&self) -> Resolver {
        let server = self.clone();
        Resolver::new(move |name| {
            assert_eq!(name, "manager.test");
            let address = *server.address.lock().expect("no panic");
            server.lookups.send_modify(|lookups| *lookups += 1);
            async move { Ok(vec![address.ok_or(io::ErrorKind::NotFound)?]) }.boxed()
        })
    }

    async fn gateway(&self) -> Gateway {
        let settings = Settings {
            upstream: Some("http://manager.test".into()),
            allow_plaintext_upstream: Some("true".into()),
            ..Settings::default()
        };
        let config = Config::new(settings).expect("good settings");
        Gateway::configured(Config { resolver: self.resolver(), ..config }).await
    }
}

async fn manager(name: &str) -> Upstream {
    Upstream::answering(list(&format!(r#"{{"name": "{name}"}}"#))).await
}

/// Calls until this Manager answers. Every call has an answer, from whichever.
async fn call_until(gateway: &Gateway, name: &str) {
    let channel = gateway.channel().await;
    while gateway::list(channel.clone(), "P").await.expect("an answer all the time")[0].name != name {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn calls_follow_a_name_that_moves_and_none_fails() {
    let (old, new) = (manager("old").await, manager("new").await);
    let names = NameServer::default();
    names.says(Some(old.address));
    let gateway = names.gateway().await;
    names.asked(1).await;
    call_until(&gateway, "old").await;
    names.says(Some(new.address));
    timeout(Duration::from_secs(60), call_until(&gateway, "new")).await.expect("the new address is called");
}

#[tokio::test]
async fn a_name_server_that_is_down_does_not_end_the_use_of_open_connections() {
    let upstream = manager("a").await;
    let names = NameServer::default();
    names.says(Some(upstream.address));
    let gateway = names.gateway().await;
    call_until(&gateway, "a").await;
    names.asked(1).await;
    names.says(None);
    names.asked(2).await;
    call_until(&gateway, "a").await;
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_unreachable_until_somebody_does() {
    let upstream = manager("a").await;
    let names = NameServer::default();
    let gateway = names.gateway().await;
    let refusal = told(&gateway.refusal("P").await);
    assert_eq!(refusal.verdict(), (Code::Unavailable, "jwks-gateway", "UPSTREAM_UNREACHABLE"));
    names.says(Some(upstream.address));
    call_until(&gateway, "a").await;
}
