//! Where callers come from: a TCP port or a Unix socket.

use std::{
    fmt, fs, io,
    net::{self, IpAddr, SocketAddr},
    os::unix,
    path::PathBuf,
    str::FromStr,
};

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio_util::either::Either;

/// An address to listen on: `host:port`, where the host may be a name, or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// host:port
    Tcp(String),
    /// The path of a socket file.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether anyone but the users of this machine may connect. Who may use a Unix socket is up to its directory.
    pub fn is_reachable_by_others(&self) -> bool {
        match self {
            Self::Tcp(address) => !is_loopback(address.rsplit_once(':').map_or("", |(host, _port)| host)),
            Self::Unix(_) => false,
        }
    }
}

/// Whether a host, an address in brackets or not, or a name, is this machine and no other.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or_default();
        let is_host = !host.is_empty() && (!host.contains(':') || host.starts_with('[') && host.ends_with(']'));
        match port.parse::<u16>() {
            Ok(_) if is_host => Ok(Self::Tcp(text.to_owned())),
            _ => Err("expected host:port, such as 127.0.0.1:50051 or [::]:50051, or unix:/path"),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => formatter.write_str(address),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// An open listener. The file of a Unix socket is removed on drop.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket and its file.
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Opens the address. The file of a Unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// Where the address is taken, does not exist, or is not allowed.
    pub async fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => bind_tcp(address).await.map(Self::Tcp),
            ListenAddress::Unix(path) => {
                let refused = UnixStream::connect(path).await.err().map(|error| error.kind());
                if refused == Some(io::ErrorKind::ConnectionRefused) {
                    fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                Ok(Self::Unix(listener, SocketFile(path.clone())))
            }
        }
    }

    /// The address that is open now, with the port that was found for port 0.
    ///
    /// # Errors
    /// Where the system does not know it.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match self {
            Self::Tcp(listener) => Ok(ListenAddress::Tcp(listener.local_addr()?.to_string())),
            Self::Unix(_, SocketFile(path)) => Ok(ListenAddress::Unix(path.clone())),
        }
    }

    /// The next connection, free for any runtime to take.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _peer) = listener.accept().await?;
                // An answer is written whole, so there is nothing to wait for before it is sent. A peer that is gone
                // already is found out soon enough.
                let _ = stream.set_nodelay(true);
                stream.into_std().map(Accepted::Tcp)
            }
            Self::Unix(listener, _) => listener.accept().await?.0.into_std().map(Accepted::Unix),
        }
    }
}

/// How many connections the kernel holds until they are accepted; what it allows may be less. After a restart of
/// something in front, callers come back all at once, and whoever finds no room tries again after a second.
const BACKLOG: u32 = 4096;

async fn bind_tcp(address: &str) -> io::Result<TcpListener> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup_host(address).await? {
        match bind_address(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn bind_address(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart is not to wait until the last connections' packets have died out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A connection that no runtime has.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(net::TcpStream),
    Unix(unix::net::UnixStream),
}

impl Accepted {
    /// Gives it to the current runtime.
    pub(crate) fn register(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(stream) => Stream::Left(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Stream::Right(UnixStream::from_std(stream)?),
        })
    }
}

/// A connection of either kind.
pub(crate) type Stream = Either<TcpStream, UnixStream>;

/// The file of a Unix socket; removed on drop, since the next start could not bind to it.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If it is gone already, so much the better.
        let _ = fs::remove_file(&self.0);
    }
}
