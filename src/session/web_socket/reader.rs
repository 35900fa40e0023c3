//! Messages out of what a client sends (RFC 6455, and RFC 7692 if it was negotiated). No I/O; between messages nothing is
//! kept.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

use crate::domain::{
    CloseReason, Framing,
    deflate::{self, InflateError},
};

/// Client messages are short; the Node server's limit of 100 MiB would be an invitation.
pub(super) const MAX_MESSAGE: usize = 1024 * 1024;

/// The longest header: two bytes, eight of length, four of mask (RFC 6455, 5.2).
const MAX_HEADER: usize = 14;

/// The longest payload of a control frame (RFC 6455, 5.5).
const MAX_CONTROL: u64 = 125;

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Text(String),
    Ping(Vec<u8>),
    Pong,
    /// With the code and reason, if it has any.
    Close(Option<(u16, String)>),
}

/// Reads messages. Most of the time there is nothing that has begun, and it owns no memory.
#[derive(Debug, Default)]
pub(super) struct Reader {
    begun: Option<Box<Begun>>,
}

/// What has come in part.
#[derive(Debug, Default)]
struct Begun {
    /// The beginning of a frame's header.
    header: Vec<u8>,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The payload of a control frame, which may stand between the frames of a message.
    control: Vec<u8>,
    /// The text message of which frames have come.
    message: Option<Vec<u8>>,
    /// Whether it is compressed: then it is a text only when it is complete.
    is_deflated: bool,
    /// So many bytes of it are known to be UTF-8.
    checked: usize,
}

#[derive(Debug)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    /// How much of its payload is still to come.
    left: usize,
}

impl Reader {
    /// Reads from the bytes until a message is complete; `None` if they are at their end before. What breaks the protocol is
    /// the reason to close; nothing more can be read then. Messages may be compressed if the framing says so.
    pub(super) fn read(&mut self, bytes: &mut &[u8], framing: Framing) -> Result<Option<Message>, CloseReason> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut begun = self.begun.take().unwrap_or_default();
        let message = begun.read(bytes, framing)?;
        if !begun.is_empty() {
            self.begun = Some(begun);
        }
        Ok(message)
    }
}

impl Begun {
    fn is_empty(&self) -> bool {
        self.header.is_empty() && self.frame.is_none() && self.message.is_none()
    }

    fn read(&mut self, bytes: &mut &[u8], framing: Framing) -> Result<Option<Message>, CloseReason> {
        loop {
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_header(bytes, framing)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let Some(frame) = self.read_payload(frame, bytes)? else { return Ok(None) };
            if let Some(message) = self.complete(&frame)? {
                return Ok(Some(message));
            }
        }
    }

    fn read_header(&mut self, bytes: &mut &[u8], framing: Framing) -> Result<Option<Frame>, CloseReason> {
        let before = self.header.len();
        let more = bytes.len().min(MAX_HEADER - before);
        self.header.extend_from_slice(&bytes[..more]);
        let mut cursor = Cursor::new(&self.header[..]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| CloseReason::ProtocolError)?;
        let Some((header, length)) = parsed else {
            *bytes = &bytes[more..];
            return Ok(None);
        };
        let read = usize::try_from(cursor.position()).expect("a header is short");
        // The parser takes any form of the length, and only the shortest is allowed (RFC 6455, 5.2).
        if header.len(length) != read {
            return Err(CloseReason::ProtocolError);
        }
        *bytes = &bytes[read - before..];
        self.header.clear();
        self.begin(&header, length, framing).map(Some)
    }

    /// Whether the frame may come now.
    fn begin(&mut self, header: &FrameHeader, length: u64, framing: Framing) -> Result<Frame, CloseReason> {
        // A message says with its first frame that it is compressed, if that was agreed on (RFC 7692, 6.2), and clients mask
        // (RFC 6455, 5.1 and 5.2).
        let may_be_deflated =
            framing == Framing::Deflated && matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        let is_reserved = (header.rsv1 && !may_be_deflated) || header.rsv2 || header.rsv3;
        let mask = header.mask.filter(|_| !is_reserved).ok_or(CloseReason::ProtocolError)?;
        match header.opcode {
            OpCode::Control(_) if !header.is_final || length > MAX_CONTROL => return Err(CloseReason::ProtocolError),
            OpCode::Control(_) => {}
            OpCode::Data(kind) => {
                if (kind == Data::Continue) != self.message.is_some() {
                    return Err(CloseReason::ProtocolError);
                }
                let before = self.message.as_ref().map_or(0, Vec::len);
                if length > (MAX_MESSAGE - before) as u64 {
                    return Err(CloseReason::MessageTooBig);
                }
                if kind == Data::Binary {
                    return Err(CloseReason::BinaryMessage);
                }
                if self.message.is_none() {
                    self.message = Some(Vec::new());
                    self.is_deflated = header.rsv1;
                }
            }
        }
        let left = usize::try_from(length).expect("it is within the limit");
        Ok(Frame { opcode: header.opcode, is_final: header.is_final, mask, left })
    }

    /// Takes what has come of the payload; gives the frame back when that is all of it.
    fn read_payload(&mut self, mut frame: Frame, bytes: &mut &[u8]) -> Result<Option<Frame>, CloseReason> {
        let (come, rest) = bytes.split_at(bytes.len().min(frame.left));
        *bytes = rest;
        frame.left -= come.len();
        let into = match frame.opcode {
            OpCode::Control(_) => &mut self.control,
            OpCode::Data(_) => self.message.get_or_insert_default(),
        };
        let mask = frame.mask;
        into.extend(come.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame.mask.rotate_left(come.len() % 4);
        if matches!(frame.opcode, OpCode::Data(_)) && !self.is_deflated {
            self.check_text(frame.is_final && frame.left == 0)?;
        }
        if frame.left == 0 {
            return Ok(Some(frame));
        }
        self.frame = Some(frame);
        Ok(None)
    }

    /// Text that cannot become UTF-8 any more is refused before the rest of it comes (RFC 6455, 8.1).
    fn check_text(&mut self, complete: bool) -> Result<(), CloseReason> {
        let text = self.message.as_deref().unwrap_or_default();
        match std::str::from_utf8(&text[self.checked..]) {
            Ok(_) => self.checked = text.len(),
            Err(error) if error.error_len().is_none() && !complete => self.checked += error.valid_up_to(),
            Err(_) => return Err(CloseReason::InvalidUtf8),
        }
        Ok(())
    }

    fn complete(&mut self, frame: &Frame) -> Result<Option<Message>, CloseReason> {
        let message = match frame.opcode {
            OpCode::Data(_) if !frame.is_final => return Ok(None),
            OpCode::Data(_) => {
                self.checked = 0;
                let message = self.message.take().unwrap_or_default();
                let text = if self.is_deflated { inflate(&message)? } else { message };
                Message::Text(String::from_utf8(text).map_err(|_| CloseReason::InvalidUtf8)?)
            }
            OpCode::Control(kind) => {
                let payload = std::mem::take(&mut self.control);
                match kind {
                    Control::Ping => Message::Ping(payload),
                    Control::Pong => Message::Pong,
                    Control::Close => Message::Close(close(&payload)?),
                    Control::Reserved(_) => return Err(CloseReason::ProtocolError),
                }
            }
        };
        Ok(Some(message))
    }
}

fn inflate(payload: &[u8]) -> Result<Vec<u8>, CloseReason> {
    deflate::inflate(payload, MAX_MESSAGE).map_err(|error| match error {
        InflateError::Malformed => CloseReason::InvalidDeflate,
        InflateError::TooLong => CloseReason::MessageTooBig,
    })
}

/// The code and reason of a close frame (RFC 6455, 5.5.1 and 7.4).
fn close(payload: &[u8]) -> Result<Option<(u16, String)>, CloseReason> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(CloseReason::ProtocolError) };
    };
    let code = u16::from_be_bytes(*code);
    if !CloseCode::from(code).is_allowed() {
        return Err(CloseReason::ProtocolError);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| CloseReason::InvalidUtf8)?;
    Ok(Some((code, reason.to_owned())))
}

#[cfg(test)]
mod tests;
