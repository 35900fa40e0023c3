//! One accepted connection.

use std::{
    future::{Future, poll_fn},
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service as _;

use super::Service;
use crate::{
    hub::{SessionHandle, Socket},
    lifecycle::Lifecycle,
    session::LastMoment,
};

/// What is kept of a request's line and headers. The limit that clients are told of is lower: one that is a little beyond
/// it still gets an answer with all that belongs to one. Beyond this one the HTTP library says a bare 431.
const MAX_BUFFERED_BYTES: usize = 64 * 1024;

/// Header lines; the library's own limit of 100 would refuse requests that are short enough.
const MAX_HEADER_LINES: usize = 1_000;

/// How long a client may take to send a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection as its requests see it.
#[derive(Debug)]
pub(super) struct Connection {
    /// Who is at the other end; unknown behind a unix socket.
    pub(super) peer: Option<IpAddr>,
    /// The session whose event stream is being sent, and its end. One connection can serve several, one after the other.
    session: Mutex<(Weak<SessionHandle>, LastMoment)>,
}

impl Connection {
    pub(super) fn new(peer: Option<IpAddr>) -> Self {
        Self { peer, session: Mutex::default() }
    }

    /// Says whose event stream is sent from now on.
    pub(super) fn serves(&self, session: &Arc<SessionHandle>) {
        *self.session.lock() = (Arc::downgrade(session), LastMoment::default());
    }

    /// Completes when a session has ended whose client does not read: its end cannot be said over this connection.
    fn poll_abandoned(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (session, last_moment) = &mut *self.session.lock();
        session.upgrade().map_or(Poll::Pending, |session| last_moment.poll(&session.outbox, cx).map(drop))
    }

    /// Whether an event stream is being sent.
    fn is_streaming(&self) -> bool {
        let session = self.session.lock().0.upgrade();
        session.is_some_and(|session| session.outbox.ended().is_none())
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(socket: Socket, peer: Option<IpAddr>, service: Service, lifecycle: Lifecycle) {
    let connection = Arc::new(Connection::new(peer));
    let (own, socket) = (Arc::clone(&connection), ServedSocket::new(socket, Arc::clone(&connection)));
    let router = service.router();
    let answering = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&own));
        router.clone().call(request)
    });
    let mut http = Box::pin(
        http1::Builder::new()
            .max_buf_size(MAX_BUFFERED_BYTES)
            .max_headers(MAX_HEADER_LINES)
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(socket), answering)
            .with_upgrades(),
    );
    let mut stopping = pin!(lifecycle.stopping());
    let mut told = false;
    // The HTTP server does not look at a body while its client does not read, so its session is looked at here.
    let served = poll_fn(|cx| {
        if !told && stopping.as_mut().poll(cx).is_ready() {
            told = true;
            http.as_mut().graceful_shutdown();
        }
        match connection.poll_abandoned(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => http.as_mut().poll(cx),
        }
    })
    .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

/// A socket in the hands of the HTTP server. While a response is sent the server sees by reading that its client has gone;
/// but it does not read if the client sent more than its request. Then it is seen here, for every turn of the server's
/// task ends with a flush.
#[derive(Debug)]
pub(super) struct ServedSocket {
    socket: Socket,
    connection: Arc<Connection>,
    /// What came during an event stream, in front of the end that was looked for. The server reads it after the stream.
    ahead: Vec<u8>,
}

impl ServedSocket {
    fn new(socket: Socket, connection: Arc<Connection>) -> Self {
        Self { socket, connection, ahead: Vec::new() }
    }

    /// The bare socket, and what was read from it already.
    pub(super) fn into_parts(self) -> (Socket, Vec<u8>) {
        (self.socket, self.ahead)
    }

    /// Whether the client has closed, or sends so much that this could not be seen; if not, the task is woken when it may.
    fn has_ended(&mut self, cx: &mut Context<'_>) -> bool {
        let mut bytes = [0; 1024];
        while self.ahead.len() <= MAX_BUFFERED_BYTES {
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(cx, &mut read) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => self.ahead.extend_from_slice(read.filled()),
                Poll::Ready(_) => return true,
            }
        }
        true
    }
}

impl AsyncRead for ServedSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, buffer);
        }
        let rest = this.ahead.split_off(this.ahead.len().min(buffer.remaining()));
        buffer.put_slice(&std::mem::replace(&mut this.ahead, rest));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServedSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection.is_streaming() && this.has_ended(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
        time::Instant,
    };

    use super::*;
    use crate::{
        domain::{CloseReason, Framing, Viewer},
        http::{Parts, TrustedProxies},
        hub::Hub,
        store::{Embedded, Store},
        telemetry::Metrics,
        upstream::LinkState,
    };

    fn service() -> Service {
        let metrics = Arc::<Metrics>::default();
        Service::new(Parts {
            hub: Arc::new(Hub::new(Arc::clone(&metrics))),
            store: Arc::new(Store::Embedded(Embedded::default())),
            metrics,
            upstream: tokio::sync::watch::channel(LinkState::Up).1,
            holders: None,
            lifecycle: Lifecycle::new(),
            trusted_proxies: TrustedProxies::default(),
            compression: false,
            pages: None,
        })
    }

    /// The client's end of a connection that is being served.
    fn connect() -> UnixStream {
        let (client, server) = UnixStream::pair().expect("a pair of sockets can be made");
        tokio::spawn(serve(Socket::Unix(server), None, service(), Lifecycle::new()));
        client
    }

    /// When the server closes, and what it says until then.
    async fn end(client: &mut UnixStream) -> (Instant, String) {
        let mut said = String::new();
        client.read_to_string(&mut said).await.expect("the end is no error");
        (Instant::now(), said)
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_finish_the_headers_in_time_is_cut_off() {
        let mut client = connect();
        let began = Instant::now();
        client.write_all(b"GET /metrics HTTP/1.1\r\n").await.expect("it is read");
        for _ in 0..5 {
            tokio::time::sleep(HEADER_TIMEOUT / 6).await;
            client.write_all(b"X-Slow: yes\r\n").await.expect("it is read");
        }
        let (ended, said) = end(&mut client).await;
        assert!(ended - began >= HEADER_TIMEOUT && ended - began < HEADER_TIMEOUT * 2, "{:?}", ended - began);
        assert!(!said.contains("200"), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_finishes_them_in_time_is_answered() {
        let mut client = connect();
        client.write_all(b"GET /metrics HTTP/1.1\r\n").await.expect("it is read");
        tokio::time::sleep(HEADER_TIMEOUT * 9 / 10).await;
        client.write_all(b"Connection: close\r\n\r\n").await.expect("it is read");
        let (_, said) = end(&mut client).await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_is_asked_any_more_is_closed() {
        let mut client = connect();
        client.write_all(b"GET /favicon.ico HTTP/1.1\r\n\r\n").await.expect("it is read");
        let (_, said) = end(&mut client).await;
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
        assert!(said.starts_with("HTTP/1.1 404 "), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_stream_on_a_connection_has_a_last_moment_of_its_own() {
        let viewer = Viewer::in_tests(1, "");
        let connection = Connection::new(None);
        for _ in 0..2 {
            let session = Arc::new(SessionHandle::new(viewer.clone(), Framing::Bare));
            connection.serves(&session);
            session.outbox.close(CloseReason::Killed);
            let told = Instant::now();
            poll_fn(|cx| connection.poll_abandoned(cx)).await;
            assert!(told.elapsed() > Duration::from_secs(1));
        }
    }
}
