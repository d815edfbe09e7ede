//! An upstream on a raw socket that does exactly what a test tells it, right or wrong.

use std::{
    fmt::Display,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::certificates::Identity;

/// What the upstream does after it has read a request's head.
#[derive(Clone)]
pub(crate) struct Reply {
    steps: Vec<Step>,
}

#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    /// One byte at a time, with a pause after each.
    Drip(Vec<u8>, Duration),
    /// The same bytes again and again, so many times.
    Repeat(Vec<u8>, usize),
    /// Nothing, until the client hangs up.
    Stall,
    /// A clean end of the connection.
    Close,
    /// An end by RST.
    Reset,
}

impl Reply {
    /// Just these bytes, then whatever is added.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { steps: vec![Step::Send(bytes.into())] }
    }

    /// A whole answer with these header lines; `content-length` is added.
    pub(crate) fn http(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        Self::head(status, headers, body.len()).send(body)
    }

    /// A whole answer as the Manager writes it.
    pub(crate) fn json(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::http(status, &[("content-type", "application/json;charset=UTF-8")], body)
    }

    /// A head that announces a body of this length, right or wrong.
    pub(crate) fn head(status: u16, headers: &[(&str, &str)], content_length: impl Display) -> Self {
        let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Self::raw(format!("HTTP/1.1 {status} Reason\r\ncontent-length: {content_length}\r\n{}\r\n", lines.concat()))
    }

    /// A head that announces a chunked body.
    pub(crate) fn chunked() -> Self {
        Self::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    }

    pub(crate) fn nothing() -> Self {
        Self { steps: Vec::new() }
    }

    pub(crate) fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Send(bytes.as_ref().to_vec()))
    }

    pub(crate) fn drip(self, bytes: impl AsRef<[u8]>, pause: Duration) -> Self {
        self.then(Step::Drip(bytes.as_ref().to_vec(), pause))
    }

    pub(crate) fn repeat(self, bytes: impl AsRef<[u8]>, times: usize) -> Self {
        self.then(Step::Repeat(bytes.as_ref().to_vec(), times))
    }

    pub(crate) fn stall(self) -> Self {
        self.then(Step::Stall)
    }

    pub(crate) fn close(self) -> Self {
        self.then(Step::Close)
    }

    pub(crate) fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// The upstream; it ends on drop.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    /// How many requests have arrived, and how many the client has given up.
    arrived: watch::Sender<usize>,
    given_up: watch::Sender<usize>,
    accepting: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Upstream {
    /// Answers every request alike.
    pub(crate) async fn answering(reply: Reply) -> Self {
        Self::scripted(move |_| reply.clone()).await
    }

    /// Answers each request, given its head, as the script says.
    pub(crate) async fn scripted(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::speaking(None, script).await
    }

    /// Answers every request alike, over TLS.
    pub(crate) async fn over_tls(identity: &Identity, reply: Reply) -> Self {
        Self::speaking(Some(identity.acceptor(b"http/1.1")), move |_| reply.clone()).await
    }

    async fn speaking(tls: Option<TlsAcceptor>, script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (arrived, given_up) = (watch::Sender::new(0), watch::Sender::new(0));
        let seen = Seen { requests: requests.clone(), arrived: arrived.clone(), given_up: given_up.clone() };
        let script = Arc::new(script);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket");
                let (tls, script, seen) = (tls.clone(), script.clone(), seen.clone());
                tokio::spawn(async move {
                    let socket = Socket::of(stream);
                    match tls {
                        None => serve(socket.stream, socket.handle, script, seen).await,
                        // A client that does not trust us hangs up here.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(socket.stream).await {
                                serve(stream, socket.handle, script, seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests, arrived, given_up, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests so far, with their line ends.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }

    /// The first lines of all requests so far.
    pub(crate) fn request_lines(&self) -> Vec<String> {
        self.requests().iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until so many requests have arrived.
    pub(crate) async fn arrived(&self, count: usize) {
        reach(&self.arrived, count).await;
    }

    /// Waits until the client has given up so many requests.
    pub(crate) async fn given_up(&self, count: usize) {
        reach(&self.given_up, count).await;
    }
}

/// Waits until a counter has come so far; a minute later it never will.
async fn reach(counter: &watch::Sender<usize>, count: usize) {
    let mut counter = counter.subscribe();
    let reached = timeout(Duration::from_secs(60), counter.wait_for(|&so_far| so_far >= count));
    reached.await.expect("the count is reached").expect("the upstream runs");
}

#[derive(Clone)]
struct Seen {
    requests: Arc<Mutex<Vec<String>>>,
    arrived: watch::Sender<usize>,
    given_up: watch::Sender<usize>,
}

/// A stream, and a second handle on its socket for what only sockets can do, whatever is spoken on them.
struct Socket {
    stream: TcpStream,
    handle: TcpStream,
}

impl Socket {
    fn of(stream: TcpStream) -> Self {
        let stream = stream.into_std().expect("a socket");
        let handle = stream.try_clone().expect("a socket");
        let [stream, handle] = [stream, handle].map(|socket| TcpStream::from_std(socket).expect("a socket"));
        Self { stream, handle }
    }
}

/// Whether the connection can take another request.
enum Next {
    Request,
    End,
}

async fn serve<S>(mut stream: S, socket: TcpStream, script: Arc<impl Fn(&str) -> Reply>, seen: Seen)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(head) = read_head(&mut stream).await {
        let reply = script(&head);
        seen.requests.lock().expect("no panic").push(head);
        seen.arrived.send_modify(|count| *count += 1);
        match play(&mut stream, &socket, reply).await {
            Ok(Next::Request) => {}
            Ok(Next::End) => return,
            Err(_) => return seen.given_up.send_modify(|count| *count += 1),
        }
    }
}

/// The head of a GET, which has no body; `None` at the end of the connection.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).expect("a head in ASCII"))
}

async fn play<S>(stream: &mut S, socket: &TcpStream, reply: Reply) -> std::io::Result<Next>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for step in reply.steps {
        match step {
            Step::Send(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    sleep(pause).await;
                }
            }
            Step::Repeat(bytes, times) => {
                for _ in 0..times {
                    stream.write_all(&bytes).await?;
                }
            }
            Step::Stall => {
                let _ = stream.read_u8().await;
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            Step::Close => return Ok(Next::End),
            Step::Reset => {
                socket.set_zero_linger()?;
                return Ok(Next::End);
            }
        }
    }
    Ok(Next::Request)
}
