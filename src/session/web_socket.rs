//! A session over a WebSocket: the task that reads, pings, and looks up. What is written leaves by the session's outbox.

mod reader;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::Interval;

use super::{
    Effect, Found, Membership, Request, SessionState,
    line::{Line, read},
    regularly,
};
use crate::{
    domain::{CloseReason, Frame, Refusal, close::CloseFrame},
    hub::Socket,
    store::Store,
};
use reader::{Message, Reader};

const PING_INTERVAL: Duration = Duration::from_secs(30);

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
        if last.is_some() {
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
        if let Poll::Ready(reason) = self.line.poll_end(cx) {
            return Poll::Ready(Step::End(reason));
        }
        let _ = self.line.outbox().poll_write(cx);
        self.answer_last_ping();
        if let Some(Poll::Ready(found)) = self.looking_up.as_mut().map(|look_up| look_up.poll_unpin(cx)) {
            return Poll::Ready(Step::Found(found));
        }
        if self.line.poll_readable(cx).is_ready() {
            return Poll::Ready(Step::Readable);
        }
        // After reading: an answer that has arrived counts, however late this process looks at it.
        self.ping.poll_tick(cx).map(|_| Step::PingDue)
    }

    fn read(&mut self) -> Result<(), CloseReason> {
        read(&self.line.socket(), |bytes| self.receive_all(bytes))
    }

    fn receive_all(&mut self, mut bytes: &[u8]) -> Result<(), CloseReason> {
        let framing = self.membership.session().framing;
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
        self.line.say(Frame::text(text));
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
        self.line.say(Frame::ping());
        Ok(())
    }

    fn answer_last_ping(&mut self) {
        if self.pong.is_some()
            && !self.line.outbox().is_waiting()
            && let Some(pong) = self.pong.take()
        {
            self.line.say(pong);
        }
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
