//! A WebSocket client of its own, independent of the library under test: correct by default, and as wrong as a test wants.

use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};

use super::eventually::within;
use super::frames::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};
use super::http::{self, Response};
use super::messages::{Event, Message};
use super::redis::Redis;
use super::statuses::Marker;
use super::wire::{Address, Wire};

/// An open connection. Pings are answered while it waits for something.
pub struct Ws {
    wire: Wire,
    /// The answer to the handshake.
    pub head: Response,
    answers_pings: bool,
    /// How many messages came compressed.
    pub inflated: usize,
}

/// An offer of compression as browsers make it.
pub const OFFER: (&str, &str) = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits");

/// The payload of a compressed message (RFC 7692, 7.2.1).
pub fn deflate(message: impl AsRef<[u8]>) -> Vec<u8> {
    let message = message.as_ref();
    let mut payload = Vec::with_capacity(message.len() + 1_000);
    let mut deflate = Compress::new(Compression::best(), false);
    deflate.compress_vec(message, &mut payload, FlushCompress::Sync).expect("it can be compressed");
    payload.truncate(payload.len() - TAIL.len());
    payload
}

/// What is in a compressed message that refers to none before it (RFC 7692, 7.2.2).
pub fn inflate(payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(16 * 1024 * 1024);
    let bytes = [payload, &TAIL].concat();
    let inflated = Decompress::new(false).decompress_vec(&bytes, &mut message, FlushDecompress::Sync);
    inflated.expect("it was compressed by itself");
    message
}

/// The end of a compressed message, which is not sent.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The key and its answer that RFC 6455 itself uses as an example (section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A correct handshake with further headers.
pub fn handshake(target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let own = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    http::encode("GET", target, &[&own, headers].concat(), b"")
}

impl Ws {
    /// Opens a connection with a token (in the header `Authorization`; an empty one is none). Panics if it is refused.
    pub async fn open(address: impl Into<Address>, target: &str, token: &str) -> Self {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str())];
        let headers = if token.is_empty() { &[] } else { &headers[..] };
        match Self::try_open(address, target, headers).await {
            Ok(opened) => opened,
            Err(response) => panic!("{target} cannot be opened: {response:?}"),
        }
    }

    /// Opens a connection with any further headers, or returns the answer that is no upgrade.
    pub async fn try_open(
        address: impl Into<Address>,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Response> {
        Self::open_on(Wire::open(address).await, handshake(target, headers)).await
    }

    /// Sends a handshake (and whatever follows it in `bytes`) on an open connection.
    pub async fn open_on(mut wire: Wire, bytes: impl AsRef<[u8]>) -> Result<Self, Response> {
        wire.send(bytes).await;
        within("answer to the handshake", async {
            let mut head = http::read_head(&mut wire).await;
            if head.status != 101 {
                let mut body = http::Body::of(&head, "GET");
                while let Ok(Some(part)) = body.next(&mut wire).await {
                    head.body.extend(part);
                }
                return Err(head);
            }
            assert_eq!(head.header("sec-websocket-accept"), Some(ACCEPT));
            Ok(Self { wire, head, answers_pings: true, inflated: 0 })
        })
        .await
    }

    /// Whether compression was agreed on.
    pub fn is_compressed(&self) -> bool {
        self.head.header("sec-websocket-extensions").is_some()
    }

    pub async fn send_text(&mut self, text: impl AsRef<[u8]>) {
        self.send_frame(Frame::text(text)).await;
    }

    pub async fn send_json(&mut self, value: Value) {
        self.send_text(value.to_string()).await;
    }

    pub async fn send_frame(&mut self, frame: Frame) {
        self.wire.send(frame.encode()).await;
    }

    /// The bytes below the frames, for what no frame can express.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Subscribes to a stream without parameters. The server does not confirm; see [`Redis::wait_for_subscribers`].
    pub async fn subscribe(&mut self, stream: &str) {
        self.send_json(json!({"type": "subscribe", "stream": stream})).await;
    }

    pub async fn unsubscribe(&mut self, stream: &str) {
        self.send_json(json!({"type": "unsubscribe", "stream": stream})).await;
    }

    /// Whether pings are answered from now on (they are by default).
    pub fn answer_pings(&mut self, answer: bool) {
        self.answers_pings = answer;
    }

    /// The next frame of whatever kind, unanswered; an error at the end of the connection.
    pub async fn next_frame(&mut self) -> io::Result<Frame> {
        Frame::read(&mut self.wire).await
    }

    /// The next message. Pings are answered and passed over; frames that no server may send are a panic.
    #[track_caller]
    pub fn next_message(&mut self) -> impl Future<Output = Message> + Send {
        within("message", self.message())
    }

    async fn message(&mut self) -> Message {
        let mut parts: Option<(u8, Vec<u8>)> = None;
        let mut is_deflated = false;
        loop {
            let Ok(frame) = self.next_frame().await else {
                return Message::Cut;
            };
            assert!(!frame.masked, "a server does not mask: {frame:?}");
            if frame.rsv == 4 && frame.opcode == TEXT && self.is_compressed() {
                is_deflated = true;
            } else {
                assert_eq!(frame.rsv, 0, "this was not negotiated: {frame:?}");
            }
            match frame.opcode {
                PING => self.pinged(frame.payload).await,
                PONG => return Message::Pong(frame.payload),
                CLOSE => return Message::Close(frame.close_reason()),
                TEXT | BINARY if parts.is_none() => parts = Some((frame.opcode, frame.payload)),
                CONTINUATION if parts.is_some() => {
                    let (_, so_far) = parts.as_mut().expect("just looked at");
                    so_far.extend(frame.payload);
                }
                _ => panic!("a frame out of place: {frame:?}"),
            }
            if !frame.fin || frame.opcode > BINARY {
                continue;
            }
            match parts.take() {
                Some((TEXT, bytes)) => {
                    self.inflated += usize::from(is_deflated);
                    let bytes = if is_deflated { inflate(&bytes) } else { bytes };
                    return Message::Text(String::from_utf8(bytes).expect("a text is UTF-8"));
                }
                Some((_, bytes)) => return Message::Binary(bytes),
                None => {}
            }
        }
    }

    async fn pinged(&mut self, payload: Vec<u8>) {
        if self.answers_pings {
            // The server may just have closed; what it sent before is still to be read.
            let pong = Frame::new(PONG, payload).encode();
            let _ = self.wire.try_send(&pong).await;
        }
    }

    /// The next message, which must be a text.
    #[track_caller]
    pub fn next_text(&mut self) -> impl Future<Output = String> + Send {
        within("text message", async {
            match self.message().await {
                Message::Text(text) => text,
                other => panic!("{other:?} came instead of a text"),
            }
        })
    }

    /// The next message, which must be JSON.
    #[track_caller]
    pub fn next_json(&mut self) -> impl Future<Output = Value> + Send {
        let text = self.next_text();
        async {
            let text = text.await;
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
        }
    }

    /// The next message, which must be an event.
    #[track_caller]
    pub fn next_event(&mut self) -> impl Future<Output = Event> + Send {
        let json = self.next_json();
        async {
            let mut json = json.await;
            let event = json["event"].as_str().map(str::to_owned);
            Event {
                event: event.unwrap_or_else(|| panic!("{json} is no event")),
                stream: json["stream"].take(),
                payload: json.get_mut("payload").map(Value::take),
            }
        }
    }

    /// Requires the next message to be this error.
    pub async fn expect_error(&mut self, message: &str, status: u16) {
        assert_eq!(self.next_json().await, json!({"error": message, "status": status}));
    }

    /// Requires the next thing to be a close frame, answers it, waits for the end of the connection, and returns code and
    /// reason if there were any.
    #[track_caller]
    pub fn expect_close(&mut self) -> impl Future<Output = Option<(u16, String)>> + Send {
        within("close frame and end of the connection", async {
            let Message::Close(reason) = self.expecting("a close frame").await else {
                unreachable!("checked by expecting");
            };
            let answer = match &reason {
                Some((code, _)) => Frame::close(*code, ""),
                None => Frame::new(CLOSE, ""),
            };
            let _ = self.wire.try_send(&answer.encode()).await;
            self.expect_end().await;
            reason
        })
    }

    /// Waits for the next ping, which comes after up to 30 seconds, and returns what it carries. Anything else is a panic.
    pub async fn next_ping(&mut self) -> Vec<u8> {
        let frame = self.next_frame().await.expect("the connection is there");
        assert_eq!(frame.opcode, PING, "{frame:?} came instead of a ping");
        self.pinged(frame.payload.clone()).await;
        frame.payload
    }

    /// Sends a close frame and returns code and reason of the server's answer; what comes before that is a panic.
    #[track_caller]
    pub fn close(&mut self, frame: Frame) -> impl Future<Output = Option<(u16, String)>> + Send {
        within("answer to a close frame", async move {
            self.wire.send(frame.encode()).await;
            let Message::Close(reason) = self.expecting("a close frame").await else {
                unreachable!("checked by expecting");
            };
            self.expect_end().await;
            reason
        })
    }

    /// Requires the connection to end without a close frame.
    #[track_caller]
    pub fn expect_cut(&mut self) -> impl Future<Output = ()> + Send {
        within("end without close frame", async {
            match self.message().await {
                Message::Cut => {}
                other => panic!("{other:?} came instead of the end"),
            }
        })
    }

    async fn expecting(&mut self, what: &str) -> Message {
        match self.message().await {
            close @ Message::Close(_) => close,
            other => panic!("{other:?} came instead of {what}"),
        }
    }

    async fn expect_end(&mut self) {
        let rest = self.wire.rest().await.unwrap_or_default();
        assert!(rest.is_empty(), "bytes after the close frame: {rest:?}");
    }

    /// That nothing was delivered so far: publishes a marker on a channel, to which this client must be subscribed, and
    /// requires it to be the next thing.
    pub async fn silent_until(&mut self, redis: &Redis, channel: &str) {
        let marker = Marker::publish(redis, channel).await;
        let next = self.next_event().await;
        assert!(
            next.payload.as_ref().and_then(Value::as_str) == Some(marker.payload()),
            "nothing but the marker was expected, but {next:?} came"
        );
    }

    /// That no message sent so far was answered: sends two whose answers are known, and requires those to be next.
    pub async fn silent_so_far(&mut self) {
        self.unsubscribe("no such stream").await;
        self.send_json(json!({"type": "subscribe", "stream": "no such stream"})).await;
        assert_eq!(self.next_json().await, json!({"error": "Error unsubscribing from channel"}));
        let second = self.next_json().await;
        assert!([json!(400), json!(401)].contains(&second["status"]), "{second}");
    }
}
