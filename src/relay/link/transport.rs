//! Connections between nodes: how they are made, kept alive and dropped.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};
use tonic::body::Body;

use crate::cluster::PeerAddress;

/// How long a connection is silent before the other end is asked whether it is there.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// How long its answer may take: together, a silent peer is found within three seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A living peer answers or asks more often than this; a process that says the name of a silent one is believed.
const SILENT_AFTER: Duration = Duration::from_millis(1_500);

/// Calls over one connection: the one that it is for, and a few that are told so.
const CALLS: u32 = 4;

/// Bytes of headers of a call.
const HEADER_BYTES: u32 = 8 * 1024;

/// Bytes that may be under way unread, of which each side keeps as many at most.
const WINDOW: u32 = 1024 * 1024;

/// Bytes of an HTTP/2 frame that a holder may send: a whole batch of notices fits, which is one system call then.
const FRAME: u32 = 128 * 1024;

/// Something to talk over.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Wire for T {}

type Connect = dyn Fn(SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Wire>>> + Send + Sync;
type Accept = dyn Fn() -> BoxFuture<'static, io::Result<(Box<dyn Wire>, SocketAddr)>> + Send + Sync;

/// How peers are reached.
#[derive(Clone)]
pub enum Connector {
    /// By TCP.
    Tcp,
    /// Another way: in a simulation.
    #[cfg_attr(not(test), expect(dead_code, reason = "only simulations have a network of their own"))]
    Custom(Arc<Connect>),
}

impl Connector {
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Wire>> {
        match self {
            Self::Tcp => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Custom(connect) => connect(address).await,
        }
    }
}

/// Where peers connect.
pub struct Listener {
    accept: Accepting,
    /// With the port that was found free.
    pub address: SocketAddr,
}

enum Accepting {
    Tcp(TcpListener),
    Custom(Box<Accept>),
}

/// Why it is not possible to listen for peers.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for other nodes on {address} (CLUSTER_BIND): {}", explain(.cause))]
pub struct ListenError {
    address: PeerAddress,
    cause: io::Error,
}

impl ListenError {
    /// Whether somebody else listens there.
    pub fn is_taken(&self) -> bool {
        self.cause.kind() == io::ErrorKind::AddrInUse
    }
}

fn explain(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "another process listens there; choose another port".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; 0.0.0.0 means all it has".to_owned(),
        _ => cause.to_string(),
    }
}

impl Listener {
    /// Listens by TCP.
    pub async fn bind(address: &PeerAddress) -> Result<Self, ListenError> {
        let bound = async {
            let listener = TcpListener::bind((address.host(), address.port())).await?;
            Ok(Self { address: listener.local_addr()?, accept: Accepting::Tcp(listener) })
        };
        bound.await.map_err(|cause| ListenError { address: address.clone(), cause })
    }

    /// Takes connections from somewhere else: a simulation.
    #[cfg_attr(not(test), expect(dead_code, reason = "only simulations have a network of their own"))]
    pub fn custom(address: SocketAddr, accept: Box<Accept>) -> Self {
        Self { accept: Accepting::Custom(accept), address }
    }

    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Wire>, IpAddr)> {
        match &self.accept {
            Accepting::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), peer.ip().to_canonical()))
            }
            Accepting::Custom(accept) => accept().await.map(|(stream, peer)| (stream, peer.ip())),
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}

/// When something was last heard over a connection.
#[derive(Clone, Debug)]
pub(super) struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    pub(super) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Whether the peer should have said something meanwhile.
    pub(super) fn is_silent(&self) -> bool {
        self.silence().is_some()
    }

    /// For how long it has said nothing, if it should have.
    pub(super) fn silence(&self) -> Option<Duration> {
        Some(self.0.lock().elapsed()).filter(|silence| *silence > SILENT_AFTER)
    }
}

/// How many bytes may yet be read from a connection of which nobody knows whose it is.
#[derive(Clone, Debug)]
pub(super) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// It is known now.
    pub(super) fn lift(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) -> io::Result<()> {
        let left = |left: usize| if left == usize::MAX { Some(left) } else { left.checked_sub(bytes) };
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("too much was said before the greeting")),
        }
    }
}

/// A wire that takes note of when something was read from it.
pub(super) struct Attentive {
    wire: Box<dyn Wire>,
    heard: Heard,
    allowance: Option<Allowance>,
}

impl Attentive {
    pub(super) fn new(wire: Box<dyn Wire>, heard: Heard) -> Self {
        Self { wire, heard, allowance: None }
    }

    /// Fails when more is read than is allowed.
    pub(super) fn within(self, allowance: &Allowance) -> Self {
        Self { allowance: Some(allowance.clone()), ..self }
    }
}

impl AsyncRead for Attentive {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let result = Pin::new(&mut self.wire).poll_read(cx, into);
        let read = into.filled().len() - before;
        if read > 0 {
            *self.heard.0.lock() = Instant::now();
            self.allowance.as_ref().map_or(Ok(()), |allowance| allowance.take(read))?;
        }
        result
    }
}

impl AsyncWrite for Attentive {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    // Without these two, a frame's head and a part of it go out by a system call and in a packet of their own, and each
    // event wakes the other end twice.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

/// The tasks that the HTTP/2 library wants to run for one connection; they end when this is dropped, and with them the
/// connection.
pub(super) struct Tasks(Executor);

/// Where the library puts its tasks.
#[derive(Clone)]
pub(super) struct Executor(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    pub(super) fn new() -> Self {
        Self(Executor(Arc::new(Mutex::new(JoinSet::new()))))
    }

    /// Runs something as long as the connection is there.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        hyper::rt::Executor::execute(&self.0, task);
    }

    /// HTTP/2 for who connects.
    pub(super) fn client(&self) -> hyper::client::conn::http2::Builder<Executor> {
        let mut builder = hyper::client::conn::http2::Builder::new(self.0.clone());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(FRAME)
            .keep_alive_interval(ASK_AFTER)
            .keep_alive_timeout(ANSWER_WITHIN)
            .keep_alive_while_idle(true);
        builder
    }

    /// HTTP/2 for who is connected to.
    pub(super) fn server(&self) -> hyper::server::conn::http2::Builder<Executor> {
        let mut builder = hyper::server::conn::http2::Builder::new(self.0.clone());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(CALLS)
            .max_header_list_size(HEADER_BYTES)
            .keep_alive_interval(ASK_AFTER)
            .keep_alive_timeout(ANSWER_WITHIN);
        builder
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // The tasks know the set that they are in: it would not be dropped by itself.
        self.0.0.lock().abort_all();
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// The connection, as the generated code wants to have it.
pub(super) struct Requests(pub SendRequest<Body>);

impl tower_service::Service<hyper::Request<Body>> for Requests {
    type Response = hyper::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: hyper::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn several_pieces_are_written_at_once() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut wire: Box<dyn Wire> = Box::new(Attentive::new(Box::new(near), Heard::now()));
        assert!(wire.is_write_vectored());
        let written = wire.write_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"body")]).await.unwrap();
        assert_eq!(written, 8);
        drop(wire);
        let mut read = String::new();
        far.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "headbody");
    }
}
