//! One accepted connection.

use std::{
    future::poll_fn,
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tower_service::Service as _;

use super::Service;
use crate::{domain::CloseReason, hub::SessionHandle, lifecycle::Lifecycle};

/// A request's line and headers together; beyond it the answer is 431.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// How long a client may take to send a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection as its requests see it.
#[derive(Debug)]
pub(super) struct Connection {
    /// Who is at the other end; unknown behind a unix socket.
    pub(super) peer: Option<IpAddr>,
    /// The session whose event stream is being sent.
    session: Mutex<Option<Arc<SessionHandle>>>,
}

impl Connection {
    pub(super) fn new(peer: Option<IpAddr>) -> Self {
        Self { peer, session: Mutex::new(None) }
    }

    /// Says whose event stream is sent from now on.
    pub(super) fn serves(&self, session: &Arc<SessionHandle>) {
        *self.session.lock() = Some(Arc::clone(session));
    }

    /// Whether the session has ended because its client does not read: the end cannot be said over this connection.
    fn is_stuck(&self) -> bool {
        let session = self.session.lock();
        session.as_ref().is_some_and(|session| session.outbox.ended() == Some(CloseReason::OutboxFull))
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(socket: Socket, peer: Option<IpAddr>, service: Service, lifecycle: Lifecycle) {
    let connection = Arc::new(Connection::new(peer));
    let own = Arc::clone(&connection);
    let router = service.router();
    let answering = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&own));
        router.clone().call(request)
    });
    let mut http = Box::pin(
        http1::Builder::new()
            .max_buf_size(MAX_HEADER_BYTES)
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(socket), answering)
            .with_upgrades(),
    );
    // The outbox of a session wakes this task, for it is this task that reads from it.
    let serving = poll_fn(|cx| if connection.is_stuck() { Poll::Ready(Ok(())) } else { http.as_mut().poll(cx) });
    let served = tokio::select! {
        served = serving => served,
        () = lifecycle.stopping() => {
            http.as_mut().graceful_shutdown();
            poll_fn(|cx| if connection.is_stuck() { Poll::Ready(Ok(())) } else { http.as_mut().poll(cx) }).await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

/// What a client connected to.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
