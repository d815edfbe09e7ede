//! How the Manager's name becomes addresses.

use std::{collections::BTreeSet, fmt, io, net::SocketAddr, sync::Arc};

use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;

/// Looks names up.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Fn(String) -> Lookup + Send + Sync>);

/// The addresses of a name; where a port is zero, the URL's counts.
type Lookup = BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

impl Resolver {
    /// Asks the operating system, with its hosts file, its search list and its servers.
    pub fn system() -> Self {
        Self::new(|name| async move { Ok(lookup_host((name, 0)).await?.collect()) }.boxed())
    }

    /// Asks this function.
    pub fn new(lookup: impl Fn(String) -> Lookup + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// All addresses that the name has now, in an order of their own, since servers change theirs with every answer.
    pub(super) async fn addresses(&self, name: &str) -> io::Result<BTreeSet<SocketAddr>> {
        Ok((self.0)(name.to_owned()).await?.into_iter().collect())
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = (self.0)(name.as_str().to_owned());
        Box::pin(addresses.map_ok(|addresses| Box::new(addresses.into_iter()) as Addrs).err_into())
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Resolver")
    }
}
