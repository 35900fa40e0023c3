//! Frames of a server (RFC 6455, section 5.2), read where they lie: a connection keeps no more than the beginning of a frame,
//! or a compressed one (RFC 7692) until it is complete.

use super::deflated;
use super::reading::{Item, Note};
use super::stamp::{ENVELOPE, Stamp};

const TEXT: u8 = 1;
const DEFLATED_TEXT: u8 = 0xC1;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// What a connection keeps between two reads.
#[derive(Default)]
pub struct Frames {
    /// The beginning of a frame, while there is not enough of it.
    beginning: Vec<u8>,
    /// Bytes of the present frame that are still to come.
    rest: usize,
    /// What it is, once that is known.
    item: Option<Item>,
}

/// The beginning of a frame.
struct Head {
    kind: u8,
    bytes: usize,
    payload: usize,
}

impl Head {
    /// Err: how many bytes it takes to tell.
    fn read(bytes: &[u8]) -> Result<Self, usize> {
        let [first, second, ..] = *bytes else { return Err(2) };
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        let (head, payload) = match second & 0x7F {
            126 => (4, number(bytes.get(2..4).ok_or(4usize)?)),
            127 => (10, number(bytes.get(2..10).ok_or(10usize)?)),
            length => (2, usize::from(length)),
        };
        let head = Self { kind: first, bytes: head, payload };
        let wanted = head.bytes + head.needed();
        if bytes.len() < wanted {
            return Err(wanted);
        }
        Ok(head)
    }

    /// How much of the payload it takes to tell which event it is. Of a text these are the first bytes, and of the rest only the
    /// length counts; what is compressed is looked at as a whole.
    fn needed(&self) -> usize {
        if self.kind == DEFLATED_TEXT { self.payload } else { self.payload.min(ENVELOPE) }
    }

    fn item(&self, bytes: &[u8]) -> Item {
        let payload = &bytes[self.bytes..self.bytes + self.needed()];
        if self.kind == DEFLATED_TEXT {
            return deflated::item(payload);
        }
        match (self.kind, Stamp::read(payload)) {
            (0x81, Some(stamp)) => Item::Event(stamp),
            (kind, _) if kind == 0x80 | PING => Item::Ping(payload.into()),
            (kind, _) if kind == 0x80 | CLOSE => Item::End,
            (kind, _) => {
                let what = if kind == 0x80 | TEXT { "text" } else { "frame" };
                Item::Odd(format!("{what} {kind:#x}: {}", String::from_utf8_lossy(payload)))
            }
        }
    }
}

impl Frames {
    /// Takes what was read, and notes what has come to its end with it.
    pub fn read(&mut self, mut bytes: &[u8], note: &mut Note<'_>) {
        loop {
            if self.item.is_some() {
                let taken = self.rest.min(bytes.len());
                self.rest -= taken;
                bytes = &bytes[taken..];
                if self.rest > 0 {
                    return;
                }
                note(self.item.take().expect("just looked at"));
            }
            if bytes.is_empty() {
                return;
            }
            bytes = self.begin(bytes);
        }
    }

    /// Reads the beginning of a frame; what is left behind it.
    fn begin<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        if self.beginning.is_empty()
            && let Ok(head) = Head::read(bytes)
        {
            self.item = Some(head.item(bytes));
            self.rest = head.bytes + head.payload;
            return bytes;
        }
        loop {
            let wanted = match Head::read(&self.beginning) {
                Ok(head) => {
                    self.item = Some(head.item(&self.beginning));
                    self.rest = head.bytes + head.payload - self.beginning.len();
                    self.beginning = Vec::new();
                    return bytes;
                }
                Err(wanted) => wanted,
            };
            let taken = (wanted - self.beginning.len()).min(bytes.len());
            if taken == 0 {
                return bytes;
            }
            self.beginning.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
        }
    }
}
