//! Server-sent events in a chunked body (RFC 9112, section 7.1), read where they lie.

use super::reading::{Item, Note};
use super::stamp::{ENVELOPE, Stamp};

/// What a connection keeps between two reads.
#[derive(Default)]
pub struct Events {
    chunk: Chunk,
    /// The beginning of the present event.
    beginning: Vec<u8>,
    /// Whether the present line has anything in it.
    in_line: bool,
}

/// Where in the body a connection is.
enum Chunk {
    /// In the line that says how long the next one is: what it says so far.
    Size(usize),
    /// Bytes that are still to come.
    Data(usize),
    /// Bytes of its end that are still to come.
    End(usize),
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Size(0)
    }
}

impl Events {
    /// Takes what was read, and notes what has come to its end with it.
    pub fn read(&mut self, mut bytes: &[u8], note: &mut Note<'_>) {
        while let Some(first) = bytes.first() {
            match &mut self.chunk {
                Chunk::Size(size) => {
                    match first {
                        b'\n' if *size == 0 => note(Item::End),
                        b'\n' => self.chunk = Chunk::Data(*size),
                        b'\r' => {}
                        digit => match char::from(*digit).to_digit(16) {
                            Some(digit) => *size = *size << 4 | digit as usize,
                            None => note(Item::Odd("a chunk of no size".into())),
                        },
                    }
                    bytes = &bytes[1..];
                }
                Chunk::Data(size) => {
                    let (data, rest) = bytes.split_at((*size).min(bytes.len()));
                    *size -= data.len();
                    if *size == 0 {
                        self.chunk = Chunk::End(2);
                    }
                    self.text(data, note);
                    bytes = rest;
                }
                Chunk::End(size) => {
                    let taken = (*size).min(bytes.len());
                    *size -= taken;
                    if *size == 0 {
                        self.chunk = Chunk::Size(0);
                    }
                    bytes = &bytes[taken..];
                }
            }
        }
    }

    fn text(&mut self, mut text: &[u8], note: &mut Note<'_>) {
        while !text.is_empty() {
            let end = memchr::memchr(b'\n', text);
            let line = &text[..end.unwrap_or(text.len())];
            let room = ENVELOPE.saturating_sub(self.beginning.len()).min(line.len());
            self.beginning.extend_from_slice(&line[..room]);
            self.in_line |= !line.is_empty();
            let Some(end) = end else { return };
            text = &text[end + 1..];
            if !self.in_line {
                self.finish(note);
            }
            self.in_line = false;
        }
    }

    fn finish(&mut self, note: &mut Note<'_>) {
        match Stamp::read(&self.beginning) {
            Some(stamp) => note(Item::Event(stamp)),
            // A comment, which keeps the connection alive.
            None if self.beginning.starts_with(b":") => {}
            None => note(Item::Odd(format!("event: {}", String::from_utf8_lossy(&self.beginning)))),
        }
        self.beginning.clear();
    }
}
