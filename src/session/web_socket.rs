//! A session over a WebSocket: the task that reads, pings, and looks up. What is written leaves by the session's outbox.

mod reader;

use std::{
    cell::RefCell,
    io,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::Interval;

use super::{Effect, Found, LastMoment, Membership, Request, SessionState, regularly};
use crate::{
    domain::{CloseReason, Frame, Refusal, close::CloseFrame},
    hub::{Offer, Outbox, SessionHandle, Socket},
    store::Store,
};
use reader::{Message, Reader};

/// What one system call reads. Every thread has one such buffer, for all connections: client messages are rare.
const READ_BUFFER: usize = 16 * 1024;

const PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long a client has to close after the server's close frame. Closing at once could destroy the frame: what the
/// client has sent meanwhile would be answered by a TCP reset.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into());
}

/// The task of a session.
pub struct WebSocketSession {
    line: Line,
    reader: Reader,
    membership: Membership,
    state: SessionState,
    store: Arc<Store>,
    looking_up: Option<BoxFuture<'static, Result<Found, Refusal>>>,
    ping: Interval,
    /// Whether the last ping was answered.
    answered: bool,
    /// The answer to the client's last ping, while it does not read: it need not get one to each (RFC 6455, 5.5.3).
    pong: Option<Frame>,
    /// What answers the client's close frame.
    echo: Option<Frame>,
    told: Told,
    last_moment: LastMoment,
}

/// A session's socket, which its outbox writes to as long as this is there.
struct Line {
    socket: Arc<Socket>,
    session: Arc<SessionHandle>,
}

/// What was logged of this client: once is enough, however much rubbish it sends.
#[derive(Debug, Default)]
struct Told {
    ignored: bool,
    refused: bool,
}

/// What happened next.
enum Step {
    Readable,
    End(CloseReason),
    Found(Result<Found, Refusal>),
    PingDue,
}

impl WebSocketSession {
    /// A session that has joined the hub.
    pub fn new(socket: Socket, membership: Membership, store: Arc<Store>) -> Self {
        Self {
            line: Line::new(socket, membership.session()),
            reader: Reader::default(),
            state: SessionState::new(membership.session().viewer.clone()),
            membership,
            store,
            looking_up: None,
            ping: regularly(PING_INTERVAL),
            answered: true,
            pong: None,
            echo: None,
            told: Told::default(),
            last_moment: LastMoment::default(),
        }
    }

    /// Serves the client to the end.
    pub async fn run(mut self: Box<Self>, request: Option<Request>, read_ahead: bytes::Bytes) {
        if let Some(request) = request {
            self.request(request);
        }
        let mut going_on = self.receive_all(&read_ahead);
        drop(read_ahead);
        let reason = loop {
            if let Err(reason) = going_on {
                break reason;
            }
            going_on = self.advance().await;
        };
        self.membership.ends_for(reason);
        let last = self.echo.take().or_else(|| last_words(reason));
        // A session that ends watches nothing any more, even while its client takes its time to close.
        let Self { line, membership, .. } = *self;
        drop(membership);
        if let Some(last) = last {
            Box::pin(line.close(last)).await;
        }
    }

    async fn advance(&mut self) -> Result<(), CloseReason> {
        match std::future::poll_fn(|cx| self.poll_step(cx)).await {
            Step::Readable => self.read(),
            Step::End(reason) => Err(reason),
            Step::Found(found) => {
                self.looking_up = None;
                let effects = self.state.found(found);
                self.perform(effects);
                Ok(())
            }
            Step::PingDue => self.ping(),
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Poll::Ready(reason) = self.poll_end(cx) {
            return Poll::Ready(Step::End(reason));
        }
        let _ = self.outbox().poll_write(cx);
        self.answer_last_ping();
        if let Some(Poll::Ready(found)) = self.looking_up.as_mut().map(|look_up| look_up.poll_unpin(cx)) {
            return Poll::Ready(Step::Found(found));
        }
        if self.line.socket.poll_read_ready(cx).is_ready() {
            return Poll::Ready(Step::Readable);
        }
        // After reading: an answer that has arrived counts, however late this process looks at it.
        self.ping.poll_tick(cx).map(|_| Step::PingDue)
    }

    /// Completes when the session is to be closed: when it was told to end, and what may still be written is.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let outbox = &self.membership.session().outbox;
        if let Poll::Ready(reason) = self.last_moment.poll(outbox, cx) {
            return Poll::Ready(reason);
        }
        let reason = ready!(outbox.poll_end(cx));
        outbox.poll_written(cx).map(|()| reason)
    }

    fn read(&mut self) -> Result<(), CloseReason> {
        READ.with_borrow_mut(|buffer| match self.line.socket.try_read(buffer) {
            Ok(0) => Err(CloseReason::ClientGone),
            Ok(count) => self.receive_all(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(CloseReason::ClientGone),
        })
    }

    fn receive_all(&mut self, mut bytes: &[u8]) -> Result<(), CloseReason> {
        let framing = self.line.session.framing;
        while let Some(message) = self.reader.read(&mut bytes, framing)? {
            self.receive(message)?;
        }
        Ok(())
    }

    fn receive(&mut self, message: Message) -> Result<(), CloseReason> {
        match message {
            Message::Text(text) => match Request::read(&text) {
                Some(request) => self.request(request),
                None => self.ignore(text.len()),
            },
            Message::Pong => self.answered = true,
            Message::Ping(payload) => {
                self.pong = Some(Frame::pong(&payload));
                self.answer_last_ping();
            }
            Message::Close(close) => {
                self.echo = Some(Frame::close(close.as_ref().map(|(code, reason)| (*code, reason.as_str()))));
                return Err(CloseReason::ClientGone);
            }
        }
        Ok(())
    }

    fn request(&mut self, request: Request) {
        let effects = self.state.request(request);
        self.perform(effects);
    }

    fn ignore(&mut self, bytes: usize) {
        if !std::mem::replace(&mut self.told.ignored, true) {
            let account = self.membership.session().viewer.account.0;
            tracing::debug!(account, bytes, "a client's message means nothing; further ones are not logged");
        }
    }

    fn reply(&mut self, text: &str) {
        if !std::mem::replace(&mut self.told.refused, true) {
            let account = self.membership.session().viewer.account.0;
            tracing::debug!(account, reply = text, "a client's request was refused; further ones are not logged");
        }
        self.say(Frame::text(text));
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::LookUp(look_up) => {
                    let store = Arc::clone(&self.store);
                    let found = async move { look_up.run(&store).await.map_err(|error| Refusal::from(&error)) };
                    self.looking_up = Some(found.boxed());
                }
                Effect::Subscribe(subscription) => self.membership.subscribe(&subscription),
                Effect::Unsubscribe(subscription) => self.membership.unsubscribe(&subscription),
                Effect::Reply(text) => self.reply(&text),
            }
        }
    }

    fn ping(&mut self) -> Result<(), CloseReason> {
        if !std::mem::replace(&mut self.answered, false) {
            return Err(CloseReason::PingTimeout);
        }
        self.say(Frame::ping());
        Ok(())
    }

    fn answer_last_ping(&mut self) {
        if self.pong.is_some()
            && !self.outbox().is_waiting()
            && let Some(pong) = self.pong.take()
        {
            self.say(pong);
        }
    }

    /// Says something in its place among the events.
    fn say(&self, frame: Frame) {
        if self.outbox().offer(frame) == Offer::Due {
            self.outbox().write();
        }
    }

    fn outbox(&self) -> &Outbox {
        &self.line.session.outbox
    }
}

/// The close frame of the server, if it says one.
fn last_words(reason: CloseReason) -> Option<Frame> {
    match reason.close_frame() {
        CloseFrame::None => None,
        CloseFrame::Empty => Some(Frame::close(None)),
        CloseFrame::Code(code, text) => Some(Frame::close(Some((code, text)))),
    }
}

impl Line {
    fn new(socket: Socket, session: &Arc<SessionHandle>) -> Self {
        let socket = Arc::new(socket);
        session.outbox.attach(Arc::clone(&socket));
        Self { socket, session: Arc::clone(session) }
    }

    /// Says a last frame, and reads on until the client has closed too, or a moment has passed.
    async fn close(self, last: Frame) {
        let said = async {
            self.session.outbox.say_last(last);
            std::future::poll_fn(|cx| self.session.outbox.poll_written(cx)).await;
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
