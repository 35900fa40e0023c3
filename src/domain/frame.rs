//! What is written to a client: encoded once per distinct shape and shared by reference.

use bytes::Bytes;

use super::deflate;

/// The first byte of an unfragmented frame (RFC 6455, 5.2), by its opcode.
const TEXT: u8 = 0x81;
/// With the bit that says that the message is compressed (RFC 7692, 6).
const DEFLATED_TEXT: u8 = 0xc1;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// What ends a body of chunks (RFC 9112, 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// RFC 6455.
    WebSocket,
    /// Server-sent events, named as in the WHATWG standard and in Mastodon's metrics.
    EventSource,
}

impl Transport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::WebSocket, Self::EventSource];

    /// The label `type` in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::EventSource => "eventsource",
        }
    }
}

/// What the frames of a session look like on the wire: sessions of one framing share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Text messages of a WebSocket (RFC 6455, 5.6).
    Text,
    /// The same, compressed where it pays (RFC 7692).
    Deflated,
    /// Blocks of an event stream, each a chunk of the answer's body (RFC 9112, 7.1): HTTP/1.1.
    Chunked,
    /// Blocks of an event stream as they are, in a body that ends with the connection: HTTP/1.0.
    Bare,
}

impl Framing {
    /// How a client is connected that is written to like this.
    pub fn transport(self) -> Transport {
        match self {
            Self::Text | Self::Deflated => Transport::WebSocket,
            Self::Chunked | Self::Bare => Transport::EventSource,
        }
    }
}

/// A complete frame of a WebSocket, or a block of an event stream with its chunk around it, as it stands on the wire. Cheap
/// to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(pub Bytes);

impl Frame {
    /// A text message on a WebSocket.
    pub fn text(message: &str) -> Self {
        Self::encode(TEXT, &[message.as_bytes()])
    }

    /// A text message on a WebSocket that consists of these pieces.
    pub fn text_of(pieces: &[&str]) -> Self {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        Self::encode(TEXT, &pieces)
    }

    /// A text message on a WebSocket whose client takes compressed ones; one that would not be shorter is sent as it is.
    pub fn deflated(message: &str) -> Self {
        let deflated = deflate::shorter(message, |payload| Self::encode(DEFLATED_TEXT, &[payload]).0);
        deflated.map_or_else(|| Self::text(message), Self)
    }

    /// An empty ping on a WebSocket.
    pub fn ping() -> Self {
        Self(Bytes::from_static(&[PING, 0]))
    }

    /// The answer to a ping with this payload of up to 125 bytes.
    pub fn pong(payload: &[u8]) -> Self {
        Self::encode(PONG, &[payload])
    }

    /// A close frame of a WebSocket that says nothing, or a code and a reason of up to 123 bytes.
    pub fn close(code_and_reason: Option<(u16, &str)>) -> Self {
        match code_and_reason {
            None => Self(Bytes::from_static(&[CLOSE, 0])),
            Some((code, reason)) => Self::encode(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()]),
        }
    }

    /// A part of an event stream's body as it is.
    pub fn bare(part: impl Into<Bytes>) -> Self {
        Self(part.into())
    }

    /// A part of an event stream's body as a chunk. It must not be empty: an empty chunk is the [last](Self::last_chunk).
    pub fn chunk(part: &[u8]) -> Self {
        debug_assert!(!part.is_empty(), "an empty chunk ends a body");
        let size = format!("{:x}\r\n", part.len());
        Self([size.as_bytes(), part, b"\r\n"].concat().into())
    }

    /// The end of a body of chunks: without it clients know that something is missing.
    pub fn last_chunk() -> Self {
        Self(Bytes::from_static(LAST_CHUNK))
    }

    /// Servers do not mask, so a frame is the same for everybody (RFC 6455, 5.1). The length has its shortest form (5.2).
    fn encode(first: u8, payload: &[&[u8]]) -> Self {
        let length: usize = payload.iter().map(|part| part.len()).sum();
        let mut bytes = Vec::with_capacity(length + 10);
        bytes.push(first);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..=125), _) => bytes.push(short),
            (_, Ok(medium)) => {
                bytes.push(126);
                bytes.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        for part in payload {
            bytes.extend_from_slice(part);
        }
        Self(bytes.into())
    }

    /// The size in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_message_has_the_shortest_header_that_holds_its_length() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = Frame::text(&"x".repeat(length));
            assert_eq!((&frame.0[..header.len()], frame.len()), (header, header.len() + length));
        }
    }

    #[test]
    fn a_chunk_has_its_size_in_hexadecimal_before_it_and_a_line_feed_behind() {
        for (size, header) in [(1, "1"), (15, "f"), (16, "10"), (255, "ff"), (4_096, "1000"), (10_000_000, "989680")] {
            let part = "x".repeat(size);
            assert_eq!(Frame::chunk(part.as_bytes()), Frame::bare(format!("{header}\r\n{part}\r\n")), "{size}");
        }
    }

    #[test]
    fn a_compressed_message_says_so_and_one_that_would_not_be_shorter_is_sent_as_it_is() {
        let long = "heron ".repeat(100);
        let frame = Frame::deflated(&long);
        assert_eq!(frame.0[..2], [0xc1, u8::try_from(frame.len() - 2).expect("it is short")]);
        assert_eq!(deflate::inflate(&frame.0[2..], long.len()), Ok(long.into_bytes()));
        assert_eq!(Frame::deflated("heron"), Frame::text("heron"));
    }

    #[test]
    fn control_frames_are_as_the_standard_shows_them() {
        assert_eq!(&*Frame::ping().0, [0x89, 0]);
        assert_eq!(&*Frame::pong(b"Hello").0, b"\x8a\x05Hello");
        assert_eq!(&*Frame::close(None).0, [0x88, 0]);
        assert_eq!(&*Frame::close(Some((1012, "bye"))).0, b"\x88\x05\x03\xf4bye");
    }
}
