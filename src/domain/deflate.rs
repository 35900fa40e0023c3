//! Compressed messages (permessage-deflate, RFC 7692): each by itself, without what came before it, so that one compressed
//! frame is the same for all clients, and no connection has a compressor. Every thread has one of each kind, once it needs it.

use std::{cell::RefCell, collections::VecDeque};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// How far back what is compressed here refers, as a power of two: 4 KiB. On statuses, twice or eight times as much saves
/// nothing, and clients may ask for as little.
pub const WINDOW_BITS: u8 = 12;

/// Of what zlib calls the levels 1 to 9: those above take longer and save nothing.
const LEVEL: u32 = 6;

/// Shorter messages are sent as they are: they fit one packet, and hardly get shorter.
const LEAST: usize = 128;

/// Longer messages are sent as they are: whoever compresses must not be held up. No status comes near.
const MOST: usize = 1024 * 1024;

/// Messages that a thread remembers with what they became. A new status comes to the home feeds of all who follow its author,
/// the same in as many events, among which there are those of other statuses.
const REMEMBERED: usize = 16;

/// Longer ones are not remembered: what a thread keeps stays below a megabyte.
const MOST_REMEMBERED: usize = 32 * 1024;

/// The end of every compressed message, which is not sent: an empty block (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// An empty block that is the last one. Who gets to its end has not been left in the middle of a block.
const LAST: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// What is inflated at once.
const PIECE: usize = 16 * 1024;

struct Compressor {
    deflate: Compress,
    /// Where it writes.
    output: Vec<u8>,
    /// The messages that were compressed last, and the frames that were made of them.
    last: VecDeque<(Box<str>, Option<Bytes>)>,
}

thread_local! {
    static COMPRESSOR: RefCell<Compressor> = RefCell::new(Compressor::new());
    static DECOMPRESSOR: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// Why a message cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It was not compressed as RFC 7692 says, or is not complete.
    #[error("the message is not compressed as it should be")]
    Malformed,
    /// There is more in it than is allowed.
    #[error("the message is too long")]
    TooLong,
}

/// What `frame` makes of the payload of a compressed message; none if that would not be shorter than the message. For the same
/// message again it is the same, shared by reference: `frame` must not make something else of it then.
pub(super) fn shorter(message: &str, frame: impl FnOnce(&[u8]) -> Bytes) -> Option<Bytes> {
    if !(LEAST..=MOST).contains(&message.len()) {
        return None;
    }
    COMPRESSOR.with_borrow_mut(|compressor| compressor.frame(message, frame))
}

impl Compressor {
    fn new() -> Self {
        let deflate = Compress::new_with_window_bits(Compression::new(LEVEL), false, WINDOW_BITS);
        Self { deflate, output: Vec::new(), last: VecDeque::new() }
    }

    fn frame(&mut self, message: &str, frame: impl FnOnce(&[u8]) -> Bytes) -> Option<Bytes> {
        if let Some((_, known)) = self.last.iter().rev().find(|(last, _)| **last == *message) {
            return known.clone();
        }
        let framed = self.compress(message.as_bytes()).map(frame);
        if message.len() <= MOST_REMEMBERED {
            if self.last.len() == REMEMBERED {
                self.last.pop_front();
            }
            self.last.push_back((message.into(), framed.clone()));
        } else {
            // What it took to write a large one is not kept.
            self.output = Vec::new();
        }
        framed
    }

    fn compress(&mut self, message: &[u8]) -> Option<&[u8]> {
        let Self { deflate, output, .. } = self;
        deflate.reset();
        output.clear();
        output.resize(message.len(), 0);
        deflate.compress(message, output, FlushCompress::Sync).ok()?;
        let written = usize::try_from(deflate.total_out()).ok()?;
        // If all of the room was needed, there may be more.
        output[..written].strip_suffix(&TAIL).filter(|_| written < message.len())
    }
}

/// What is in a message of this payload: up to `limit` bytes, whatever the payload says.
pub fn inflate(payload: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    DECOMPRESSOR.with_borrow_mut(|inflate| {
        inflate.reset(false);
        let mut message = Vec::new();
        for bytes in [payload, &TAIL] {
            inflate_some(inflate, bytes, &mut message, limit)?;
        }
        let is_complete = inflate_some(inflate, &LAST, &mut message, limit)?;
        if is_complete { Ok(message) } else { Err(InflateError::Malformed) }
    })
}

/// Goes on with these bytes; whether they end with the end of a last block. Behind one, a message may go on with others, of
/// which that is not said (RFC 7692, 7.2.3.4).
fn inflate_some(
    inflate: &mut Decompress,
    mut bytes: &[u8],
    message: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, InflateError> {
    let mut piece = [0; PIECE];
    loop {
        let before = (inflate.total_in(), inflate.total_out());
        let status =
            inflate.decompress(bytes, &mut piece, FlushDecompress::None).map_err(|_| InflateError::Malformed)?;
        let count = |now: u64, before: u64| usize::try_from(now - before).expect("it is no more than was given");
        let (read, written) = (count(inflate.total_in(), before.0), count(inflate.total_out(), before.1));
        if written > limit - message.len() {
            return Err(InflateError::TooLong);
        }
        message.extend_from_slice(&piece[..written]);
        bytes = &bytes[read..];
        match status {
            Status::StreamEnd if bytes.is_empty() => {
                inflate.reset(false);
                return Ok(true);
            }
            Status::StreamEnd => inflate.reset(false),
            // With room left, everything has been read.
            _ if written < PIECE => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
