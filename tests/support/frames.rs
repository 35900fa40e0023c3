//! WebSocket frames (RFC 6455, section 5.2) with every bit in reach, right or wrong.

use super::wire::Wire;

/// A frame. The constructors make correct ones of a client; fields can then be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub fin: bool,
    /// The three reserved bits, 0 to 7.
    pub rsv: u8,
    pub opcode: u8,
    /// Clients must mask, servers must not.
    pub masked: bool,
    pub payload: Vec<u8>,
}

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

impl Frame {
    /// A whole, masked frame.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { fin: true, rsv: 0, opcode, masked: true, payload: payload.as_ref().to_vec() }
    }

    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::new(TEXT, text)
    }

    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// The same frame as one of which more parts will follow.
    pub fn unfinished(self) -> Self {
        Self { fin: false, ..self }
    }

    /// The same frame without mask.
    pub fn unmasked(self) -> Self {
        Self { masked: false, ..self }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header(self.payload.len() as u64);
        let mut payload = self.payload.clone();
        if self.masked {
            apply(MASK, &mut payload);
        }
        bytes.append(&mut payload);
        bytes
    }

    /// The header alone (mask included), announcing a payload of any length.
    pub fn header(&self, length: u64) -> Vec<u8> {
        let mask_bit = u8::from(self.masked) << 7;
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        match length {
            0..=125 => bytes.push(mask_bit | length as u8),
            126..=65535 => {
                bytes.push(mask_bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend(MASK);
        }
        bytes
    }

    /// Reads the next frame. Panics if its length is not encoded in the shortest way.
    pub async fn read(wire: &mut Wire) -> std::io::Result<Self> {
        let first = wire.exactly(2).await?;
        let length = match first[1] & 0x7f {
            126 => {
                let bytes = wire.exactly(2).await?;
                let length = u64::from(u16::from_be_bytes(bytes.try_into().unwrap()));
                assert!(length > 125, "a length in too many bytes");
                length
            }
            127 => {
                let bytes = wire.exactly(8).await?;
                let length = u64::from_be_bytes(bytes.try_into().unwrap());
                assert!(length > 65535, "a length in too many bytes");
                length
            }
            short => u64::from(short),
        };
        let masked = first[1] & 0x80 != 0;
        let mask = if masked { wire.exactly(4).await? } else { vec![0; 4] };
        let mut payload = wire.exactly(length as usize).await?;
        apply(mask.try_into().unwrap(), &mut payload);
        Ok(Self { fin: first[0] & 0x80 != 0, rsv: first[0] >> 4 & 7, opcode: first[0] & 0xf, masked, payload })
    }

    /// Code and reason of a close frame; none if it has no code.
    #[track_caller]
    pub fn close_reason(&self) -> Option<(u16, String)> {
        assert_eq!(self.opcode, CLOSE, "a close frame: {self:?}");
        if self.payload.is_empty() {
            return None;
        }
        let code = self.payload.first_chunk().expect("a code has two bytes");
        let reason = String::from_utf8(self.payload[2..].to_vec()).expect("a reason is UTF-8");
        Some((u16::from_be_bytes(*code), reason))
    }
}

const MASK: [u8; 4] = [0x1f, 0xa3, 0x52, 0xe8];

fn apply(mask: [u8; 4], payload: &mut [u8]) {
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
