//! What clients read, on either transport.

use super::event_source::Events;
use super::stamp::Stamp;
use super::support::{Frame, frames, http, websocket};
use super::web_socket::Frames;

/// Something that has come, complete.
#[derive(Debug)]
pub enum Item {
    Event(Stamp),
    /// With what it carries.
    Ping(Box<[u8]>),
    /// The server ends the connection in good order.
    End,
    /// What should not come.
    Odd(String),
}

/// Is told what has come.
pub type Note<'a> = dyn FnMut(Item) + 'a;

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    /// A WebSocket whose client offers compression.
    Deflated,
    EventSource,
}

/// How requests for the streams of events look.
const PATH: &str = "/api/v1/streaming";

/// The parameter of a request by which the server of plain writes knows its channel. Others do not look at it.
pub const CHANNEL: &str = "&channel=";

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Deflated => "websocket, compression offered",
            Self::EventSource => "eventsource",
        }
    }

    /// A request for a stream, which is on a channel.
    pub fn request(self, stream: &str, token: &str, channel: &str) -> Vec<u8> {
        let query = format!("access_token={token}{CHANNEL}{channel}");
        let target = format!("{PATH}?stream={stream}&{query}");
        match self {
            Self::WebSocket => websocket::handshake(&target, &[]),
            Self::Deflated => websocket::handshake(&target, &[websocket::OFFER]),
            Self::EventSource => {
                let path = stream.replace(':', "/");
                http::encode("GET", &format!("{PATH}/{path}?{query}"), &[], b"")
            }
        }
    }

    /// How the head of a good answer begins.
    pub fn acceptance(self) -> &'static [u8] {
        match self {
            Self::WebSocket | Self::Deflated => b"HTTP/1.1 101 ",
            Self::EventSource => b"HTTP/1.1 200 ",
        }
    }

    pub fn reader(self) -> Reader {
        match self {
            Self::WebSocket | Self::Deflated => Reader::WebSocket(Frames::default()),
            Self::EventSource => Reader::EventSource(Events::default()),
        }
    }
}

/// What a connection keeps between two reads.
pub enum Reader {
    WebSocket(Frames),
    EventSource(Events),
}

impl Reader {
    /// Takes what was read, and notes what has come to its end with it.
    pub fn read(&mut self, bytes: &[u8], note: &mut Note<'_>) {
        match self {
            Self::WebSocket(frames) => frames.read(bytes, note),
            Self::EventSource(events) => events.read(bytes, note),
        }
    }
}

/// The answer to a ping.
pub fn pong(carried: &[u8]) -> Vec<u8> {
    Frame::new(frames::PONG, carried).encode()
}
