//! One accepted connection.

use std::{
    future::{Future, poll_fn},
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    body::Incoming,
    http::Extensions,
    server::conn::http1::{self, Parts},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service as _;

use super::{Service, web_socket};
use crate::{domain::CloseReason, hub::Socket, lifecycle::Lifecycle, session::EventStreamSession};

/// What is kept of a request's line and headers. The limit that clients are told of is lower: one that is a little beyond
/// it still gets an answer with all that belongs to one. Beyond this one the HTTP library says a bare 431.
const MAX_BUFFERED_BYTES: usize = 64 * 1024;

/// Header lines; the library's own limit of 100 would refuse requests that are short enough.
const MAX_HEADER_LINES: usize = 1_000;

/// How long a client may take to send a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection as its requests see it.
pub(super) struct Connection {
    /// Who is at the other end; unknown behind a unix socket.
    pub(super) peer: Option<IpAddr>,
    after: Mutex<Option<After>>,
    /// Whether all that the HTTP server wanted to write is written, since it is known what comes after the answer.
    flushed: AtomicBool,
}

/// What is to be done with the bare socket once an answer is written: a session takes it out of the HTTP server, which
/// keeps more around it than an idle session should cost.
pub(super) enum After {
    /// The client speaks another protocol from now on.
    WebSocket(Box<web_socket::Opening>),
    /// The body of the answer goes on.
    EventStream(Box<EventStreamSession>),
}

impl Connection {
    pub(super) fn new(peer: Option<IpAddr>) -> Self {
        Self { peer, after: Mutex::default(), flushed: AtomicBool::default() }
    }

    /// Over which connection a request came.
    pub(super) fn of(extensions: &Extensions) -> &Self {
        extensions.get::<Arc<Self>>().expect("every request comes over a connection")
    }

    /// Says what is to be done after the answer, which has to be given without waiting for anything any more.
    pub(super) fn then(&self, after: After) {
        *self.after.lock() = Some(after);
        self.flushed.store(false, Ordering::Relaxed);
    }

    /// Whether an answer is written after which the socket is for something else.
    fn is_answered(&self) -> bool {
        self.flushed.load(Ordering::Relaxed) && self.after.lock().is_some()
    }

    /// Completes when a session has ended before its answer is written: its client does not read.
    fn poll_abandoned(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        match &mut *self.after.lock() {
            Some(After::EventStream(session)) => session.poll_abandoned(cx),
            _ => Poll::Pending,
        }
    }
}

impl After {
    fn begin(self, socket: Socket, read_ahead: Bytes, lifecycle: &Lifecycle) {
        match self {
            Self::WebSocket(opening) => lifecycle.spawn("web socket session", opening.run(socket, read_ahead)),
            Self::EventStream(session) => {
                lifecycle.spawn("event stream session", session.run(socket, read_ahead.len()));
            }
        }
    }
}

/// Serves a connection to its end, or until a session takes it over.
pub(super) async fn serve(socket: Socket, peer: Option<IpAddr>, service: Service, lifecycle: Lifecycle) {
    let connection = Arc::new(Connection::new(peer));
    let (own, socket) = (Arc::clone(&connection), ServedSocket { socket, connection: Arc::clone(&connection) });
    let router = service.router();
    let answering = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&own));
        router.clone().call(request)
    });
    let mut http = Box::new(
        http1::Builder::new()
            .max_buf_size(MAX_BUFFERED_BYTES)
            .max_headers(MAX_HEADER_LINES)
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(socket), answering),
    );
    let mut stopping = pin!(lifecycle.stopping());
    let mut told = false;
    let served = poll_fn(|cx| {
        if !told && stopping.as_mut().poll(cx).is_ready() {
            told = true;
            Pin::new(&mut *http).graceful_shutdown();
        }
        let served = Pin::new(&mut *http).poll(cx);
        if connection.is_answered() || connection.poll_abandoned(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        served
    })
    .await;
    if let Err(error) = served {
        return tracing::debug!(%error, "a connection ended with an error");
    }
    if connection.is_answered()
        && let Some(after) = connection.after.lock().take()
    {
        let Parts { io, read_buf, .. } = http.into_parts();
        after.begin(io.into_inner().socket, read_buf, &lifecycle);
    }
}

/// A socket in the hands of the HTTP server, which notes when everything is written to it.
struct ServedSocket {
    socket: Socket,
    connection: Arc<Connection>,
}

impl ServedSocket {
    fn note_flushed(&self, flushed: bool) {
        self.connection.flushed.store(flushed, Ordering::Relaxed);
    }
}

impl AsyncRead for ServedSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ServedSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.note_flushed(false);
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.note_flushed(false);
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// The HTTP server flushes when it has nothing left to write, and it does so in every turn in which it had something.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(cx);
        this.note_flushed(matches!(flushed, Poll::Ready(Ok(()))));
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
