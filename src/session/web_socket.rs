//! A session over a WebSocket: the task that owns the socket.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, Sink, Stream, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Interval,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        error::CapacityError,
        protocol::{
            CloseFrame as WsCloseFrame, Role, WebSocketConfig,
            frame::{
                Frame as WsFrame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use super::{Effect, Found, LastMoment, Membership, Request, SessionState, regularly};
use crate::{
    domain::{CloseReason, Frame, Refusal, close::CloseFrame},
    hub::Taken,
    store::Store,
};

/// Client messages are short; the Node server's limit of 100 MiB would be an invitation.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Owned by every connection, so small: client messages are rare and short.
const READ_BUFFER: usize = 512;

/// Bytes gathered before they are handed to the socket.
const WRITE_BUFFER: usize = 32 * 1024;

/// Frames taken from the outbox at once.
const BATCH: usize = 32;

const PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long a client has to close after the server's close frame. Closing at once could destroy the frame: what the
/// client has sent meanwhile would be answered by a TCP reset.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// What a WebSocket session begins with.
#[derive(Debug)]
pub struct Opening<S> {
    /// The socket after the handshake.
    pub socket: S,
    /// What was read from it already.
    pub read_ahead: bytes::Bytes,
    /// The subscription that the handshake's query asks for.
    pub request: Option<Request>,
}

/// The task of a session.
pub struct WebSocketSession<S> {
    socket: WebSocketStream<S>,
    membership: Membership,
    state: SessionState,
    store: Arc<Store>,
    looking_up: Option<BoxFuture<'static, Result<Found, Refusal>>>,
    ping: Interval,
    /// Whether the last ping was answered.
    answered: bool,
    /// Whether something waits to be flushed to the socket.
    writing: bool,
    told: Told,
    batch: Vec<Frame>,
    last_moment: LastMoment,
}

/// What was logged of this client: once is enough, however much rubbish it sends.
#[derive(Debug, Default)]
struct Told {
    ignored: bool,
    refused: bool,
}

/// What happened next.
enum Step {
    Received(Message),
    Failed(tungstenite::Error),
    Gone,
    Frames,
    End(CloseReason),
    Found(Result<Found, Refusal>),
    PingDue,
    Flushed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketSession<S> {
    /// A session that has joined the hub.
    pub async fn new(opening: Opening<S>, membership: Membership, store: Arc<Store>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let (socket, read_ahead) = (opening.socket, opening.read_ahead.to_vec());
        let socket = WebSocketStream::from_partially_read(socket, read_ahead, Role::Server, Some(config)).await;
        let mut session = Self {
            socket,
            state: SessionState::new(membership.session().viewer.clone()),
            membership,
            store,
            looking_up: None,
            ping: regularly(PING_INTERVAL),
            answered: true,
            writing: false,
            told: Told::default(),
            batch: Vec::new(),
            last_moment: LastMoment::default(),
        };
        if let Some(request) = opening.request {
            session.request(request);
        }
        session
    }

    /// Serves the client to the end.
    pub async fn run(mut self: Box<Self>) {
        let reason = loop {
            if let Err(reason) = self.advance().await {
                break reason;
            }
        };
        self.membership.ends_for(reason);
        // A session that ends watches nothing any more, even while its client takes its time to close.
        let Self { socket, membership, .. } = *self;
        drop(membership);
        Box::pin(close(socket, reason)).await;
    }

    async fn advance(&mut self) -> Result<(), CloseReason> {
        match std::future::poll_fn(|cx| self.poll_step(cx)).await {
            Step::Received(message) => self.receive(message),
            Step::Failed(error) => Err(reason_of(&error)),
            Step::Gone => Err(CloseReason::ClientGone),
            Step::Frames => self.write_batch(),
            Step::End(reason) => Err(reason),
            Step::Found(found) => {
                self.looking_up = None;
                let effects = self.state.found(found);
                self.perform(effects);
                Ok(())
            }
            Step::PingDue => self.ping(),
            Step::Flushed => {
                self.writing = false;
                Ok(())
            }
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Poll::Ready(reason) = self.last_moment.poll(&self.membership.session().outbox, cx) {
            return Poll::Ready(Step::End(reason));
        }
        if let Some(Poll::Ready(found)) = self.looking_up.as_mut().map(|look_up| look_up.poll_unpin(cx)) {
            return Poll::Ready(Step::Found(found));
        }
        if let Poll::Ready(received) = Pin::new(&mut self.socket).poll_next(cx) {
            return Poll::Ready(match received {
                Some(Ok(message)) => Step::Received(message),
                Some(Err(error)) => Step::Failed(error),
                None => Step::Gone,
            });
        }
        // After reading: an answer that has arrived counts, however late this process looks at it.
        if self.ping.poll_tick(cx).is_ready() {
            return Poll::Ready(Step::PingDue);
        }
        if self.writing {
            return Pin::new(&mut self.socket)
                .poll_flush(cx)
                .map(|flushed| flushed.map_or_else(Step::Failed, |()| Step::Flushed));
        }
        self.membership.session().outbox.poll_take(cx, &mut self.batch, BATCH).map(|taken| match taken {
            Taken::Frames => Step::Frames,
            Taken::End(reason) => Step::End(reason),
        })
    }

    fn receive(&mut self, message: Message) -> Result<(), CloseReason> {
        match message {
            Message::Text(text) => match Request::read(&text) {
                Some(request) => self.request(request),
                None => self.ignore(text.len()),
            },
            Message::Binary(_) => return Err(CloseReason::BinaryMessage),
            Message::Pong(_) => self.answered = true,
            Message::Close(Some(close)) if is_complaint(&close) => return Err(CloseReason::ProtocolError),
            // The library answers these, but writes the answer only when it is asked to write.
            Message::Ping(_) | Message::Close(_) => self.writing = true,
            Message::Frame(_) => {}
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

    fn reply(&mut self, text: String) {
        let session = self.membership.session();
        if !std::mem::replace(&mut self.told.refused, true) {
            let account = session.viewer.account.0;
            tracing::debug!(account, reply = text, "a client's request was refused; further ones are not logged");
        }
        session.outbox.offer(text.into());
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
                Effect::Reply(text) => self.reply(text),
            }
        }
    }

    fn write_batch(&mut self) -> Result<(), CloseReason> {
        let mut batch = std::mem::take(&mut self.batch);
        for Frame(payload) in batch.drain(..) {
            let frame = WsFrame::message(payload, OpCode::Data(Data::Text), true);
            self.send(Message::Frame(frame))?;
        }
        Ok(())
    }

    fn ping(&mut self) -> Result<(), CloseReason> {
        if !std::mem::replace(&mut self.answered, false) {
            return Err(CloseReason::PingTimeout);
        }
        self.send(Message::Ping(bytes::Bytes::new()))
    }

    fn send(&mut self, message: Message) -> Result<(), CloseReason> {
        self.writing = true;
        Pin::new(&mut self.socket).start_send(message).map_err(|error| reason_of(&error))
    }
}

fn reason_of(error: &tungstenite::Error) -> CloseReason {
    match error {
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseReason::MessageTooBig,
        tungstenite::Error::Utf8(_) => CloseReason::InvalidUtf8,
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            CloseReason::ClientGone
        }
        tungstenite::Error::Protocol(_) => CloseReason::ProtocolError,
        _ => CloseReason::ClientGone,
    }
}

/// What the library makes of a close frame whose code may not be sent: it would answer with a reason of its own.
fn is_complaint(close: &WsCloseFrame) -> bool {
    close.code == CloseCode::Protocol && close.reason.as_str() == "Protocol violation"
}

async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>, reason: CloseReason) {
    let header_and_payload = match reason.close_frame() {
        CloseFrame::None => return,
        CloseFrame::Empty => vec![0x88, 0],
        CloseFrame::Code(code, text) => {
            let length = u8::try_from(2 + text.len()).expect("close reasons fit a control frame");
            [&[0x88, length][..], &code.to_be_bytes(), text.as_bytes()].concat()
        }
    };
    let said = async {
        // What was handed to the library goes first; but after a protocol error it may hold a close frame of its own.
        if reason != CloseReason::ProtocolError {
            std::future::poll_fn(|cx| Pin::new(&mut socket).poll_flush(cx)).await.map_err(std::io::Error::other)?;
        }
        let socket = socket.get_mut();
        socket.write_all(&header_and_payload).await?;
        socket.shutdown().await?;
        let mut rest = [0; 1024];
        while socket.read(&mut rest).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    let _ = tokio::time::timeout(CLOSE_GRACE, said).await;
}
