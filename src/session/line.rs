//! A session's hold on the bare socket of its client.

use std::{
    cell::RefCell,
    io,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::LastMoment;
use crate::{
    domain::{CloseReason, Frame},
    hub::{Offer, Outbox, SessionHandle, Socket},
};

/// What one system call reads. Every thread has one such buffer, for all connections: client messages are rare.
const READ_BUFFER: usize = 16 * 1024;

/// How long a client has to close after the server's last words. Closing at once could destroy them: what the client has
/// sent meanwhile would be answered by a TCP reset.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into());
}

/// A session's socket, which its outbox writes to as long as this is there.
pub(super) struct Line {
    socket: Arc<Socket>,
    session: Arc<SessionHandle>,
    last_moment: LastMoment,
}

impl Line {
    /// From now on what the session is offered is written to this socket.
    pub(super) fn new(socket: Socket, session: &Arc<SessionHandle>) -> Self {
        let socket = Arc::new(socket);
        session.outbox.attach(Arc::clone(&socket));
        Self { socket, session: Arc::clone(session), last_moment: LastMoment::default() }
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.session.outbox
    }

    /// The socket, to [read](read) from.
    pub(super) fn socket(&self) -> Arc<Socket> {
        Arc::clone(&self.socket)
    }

    /// Says something in its place among the events.
    pub(super) fn say(&self, frame: Frame) {
        if self.outbox().offer(frame) == Offer::Due {
            self.outbox().write();
        }
    }

    /// Completes when the session is to be closed: when it was told to end, and what may still be written is.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let outbox = &self.session.outbox;
        if let Poll::Ready(reason) = self.last_moment.poll(outbox, cx) {
            return Poll::Ready(reason);
        }
        let reason = ready!(outbox.poll_end(cx));
        outbox.poll_written(cx).map(|()| reason)
    }

    /// Completes when there may be something to read.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error is seen by reading.
        self.socket.poll_read_ready(cx).map(drop)
    }

    /// Says a last thing, if there is one, and that nothing more will be said; then reads on until the client has closed
    /// too, or a moment has passed.
    pub(super) async fn close(self, last: Option<Frame>) {
        let said = async {
            if let Some(last) = last {
                self.outbox().say_last(last);
            }
            std::future::poll_fn(|cx| self.outbox().poll_written(cx)).await;
            self.socket.end_writing()?;
            while self.read_rest().await? > 0 {}
            Ok::<(), io::Error>(())
        };
        let _ = tokio::time::timeout(CLOSE_GRACE, said).await;
    }

    async fn read_rest(&self) -> io::Result<usize> {
        std::future::poll_fn(|cx| {
            loop {
                ready!(self.socket.poll_read_ready(cx))?;
                match READ.with_borrow_mut(|buffer| self.socket.try_read(buffer)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return Poll::Ready(read),
                }
            }
        })
        .await
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.session.outbox.detach();
    }
}

/// Hands over what the client has said, up to a buffer of it, if it has said anything. An error means that it is gone.
pub(super) fn read(socket: &Socket, receive: impl FnOnce(&[u8]) -> Result<(), CloseReason>) -> Result<(), CloseReason> {
    READ.with_borrow_mut(|buffer| match socket.try_read(buffer) {
        Ok(0) => Err(CloseReason::ClientGone),
        Ok(count) => receive(&buffer[..count]),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(_) => Err(CloseReason::ClientGone),
    })
}
