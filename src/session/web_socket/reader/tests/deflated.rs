//! Compressed messages (RFC 7692).

use flate2::{Compress, Compression, FlushCompress};

use super::*;

/// The bit of a frame's first byte by which it begins a compressed message.
const DEFLATED: u8 = 0x40;

/// "Hello" (RFC 7692, 7.2.3.1).
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn read(bytes: &[u8]) -> (Vec<Message>, Option<CloseReason>) {
    read_as(Framing::Deflated, &mut Reader::default(), bytes)
}

fn refused(bytes: &[u8]) -> CloseReason {
    read(bytes).1.unwrap_or_else(|| panic!("{:x?} is taken", &bytes[..bytes.len().min(20)]))
}

fn hello() -> Message {
    Message::Text("Hello".into())
}

fn deflate(message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(message.len() + 1_000);
    let mut deflate = Compress::new(Compression::best(), false);
    deflate.compress_vec(message, &mut payload, FlushCompress::Sync).unwrap();
    payload.truncate(payload.len() - 4);
    payload
}

#[test]
fn the_examples_of_rfc_7692_are_read() {
    let whole = frame(FINAL | DEFLATED | TEXT, &HELLO);
    let fragmented = [frame(DEFLATED | TEXT, &HELLO[..3]), frame(FINAL | CONTINUATION, &HELLO[3..])].concat();
    assert_eq!(read(&whole), (vec![hello()], None));
    assert_eq!(read(&fragmented), (vec![hello()], None));
}

#[test]
fn messages_are_compressed_or_not_each_by_itself() {
    let deflated = frame(FINAL | DEFLATED | TEXT, &HELLO);
    let bytes = [&deflated[..], &text("plain"), &deflated, &deflated, &text("plain")].concat();
    let plain = || Message::Text("plain".into());
    assert_eq!(read(&bytes).0, [hello(), plain(), hello(), hello(), plain()]);
}

#[test]
fn control_frames_may_stand_between_the_fragments_of_a_compressed_message() {
    let bytes = [
        frame(DEFLATED | TEXT, &HELLO[..1]),
        frame(FINAL | PING, b"p"),
        frame(CONTINUATION, b""),
        frame(FINAL | CONTINUATION, &HELLO[1..]),
    ];
    assert_eq!(read(&bytes.concat()).0, [Message::Ping(b"p".into()), hello()]);
}

#[test]
fn a_compressed_message_that_was_not_agreed_on_is_refused() {
    let bytes = frame(FINAL | DEFLATED | TEXT, &HELLO);
    assert_eq!(super::refused(&bytes), CloseReason::ProtocolError);
}

#[test]
fn only_the_first_frame_of_a_message_says_that_it_is_compressed() {
    for begun in [frame(DEFLATED | TEXT, &HELLO[..3]), frame(TEXT, b"abc")] {
        let bytes = [begun, frame(FINAL | DEFLATED | CONTINUATION, &HELLO[3..])].concat();
        assert_eq!(refused(&bytes), CloseReason::ProtocolError);
    }
}

#[test]
fn control_frames_are_not_compressed() {
    for opcode in [CLOSE, PING, PONG] {
        assert_eq!(refused(&frame(FINAL | DEFLATED | opcode, &HELLO)), CloseReason::ProtocolError, "{opcode}");
    }
}

#[test]
fn the_other_reserved_bits_are_refused_as_ever() {
    for bits in [0x20, 0x10, 0x60, 0x50, 0x70] {
        assert_eq!(refused(&frame(FINAL | bits | TEXT, &HELLO)), CloseReason::ProtocolError, "{bits:x}");
    }
}

#[test]
fn a_compressed_binary_message_is_refused_like_any_other() {
    let reason = refused(&header(FINAL | DEFLATED | BINARY, 7));
    assert_eq!(reason, CloseReason::BinaryMessage);
}

#[test]
fn a_payload_that_cannot_be_inflated_is_refused() {
    for payload in [&b""[..], b"{}", &[0xff], &HELLO[..4]] {
        assert_eq!(refused(&frame(FINAL | DEFLATED | TEXT, payload)), CloseReason::InvalidDeflate, "{payload:x?}");
    }
}

#[test]
fn a_compressed_text_is_utf8_too() {
    for message in [&b"a\xff"[..], b"\xed\xa0\x80", &"♥".as_bytes()[..2]] {
        assert_eq!(refused(&frame(FINAL | DEFLATED | TEXT, &deflate(message))), CloseReason::InvalidUtf8);
    }
    let heart = frame(FINAL | DEFLATED | TEXT, &deflate("♥".as_bytes()));
    assert_eq!(read(&heart).0, [Message::Text("♥".into())]);
}

#[test]
fn a_message_of_exactly_the_limit_is_inflated_and_a_longer_one_refused() {
    let most = deflate(&vec![b'x'; MAX_MESSAGE]);
    assert_eq!(read(&frame(FINAL | DEFLATED | TEXT, &most)).0, [Message::Text("x".repeat(MAX_MESSAGE))]);
    let bomb = deflate(&vec![b'x'; 100 * MAX_MESSAGE]);
    assert!(bomb.len() < MAX_MESSAGE / 5, "it announces little");
    assert_eq!(refused(&frame(FINAL | DEFLATED | TEXT, &bomb)), CloseReason::MessageTooBig);
}

#[test]
fn a_compressed_message_over_the_limit_is_refused_as_soon_as_a_header_announces_it() {
    let begun = [frame(DEFLATED | TEXT, &[0; 100]), header(CONTINUATION, MAX_MESSAGE as u64 - 99)].concat();
    for bytes in [header(FINAL | DEFLATED | TEXT, MAX_MESSAGE as u64 + 1), begun] {
        assert_eq!(refused(&bytes), CloseReason::MessageTooBig);
    }
}

#[test]
fn between_compressed_messages_nothing_is_kept() {
    let mut reader = Reader::default();
    let bytes = frame(FINAL | DEFLATED | TEXT, &HELLO);
    read_as(Framing::Deflated, &mut reader, &bytes);
    assert!(reader.begun.is_none());
    read_as(Framing::Deflated, &mut reader, &bytes[..8]);
    assert!(reader.begun.is_some());
}

/// Frames that make sense, more or less.
fn some_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![
        FINAL | TEXT,
        FINAL | DEFLATED | TEXT,
        FINAL | DEFLATED | TEXT,
        DEFLATED | TEXT,
        FINAL | CONTINUATION,
        CONTINUATION,
        FINAL | PING,
    ]);
    (first, ".{0,80}").prop_map(|(first, payload)| {
        let payload = if first & DEFLATED == 0 { payload.into_bytes() } else { deflate(payload.as_bytes()) };
        frame(first, &payload)
    })
}

proptest! {
    #[test]
    fn however_the_bytes_are_split_the_messages_are_the_same(
        frames in prop::collection::vec(some_frame(), 0..12),
        cuts in prop::collection::vec(1..40_usize, 1..20),
    ) {
        let bytes = frames.concat();
        let mut reader = Reader::default();
        let (mut messages, mut end) = (Vec::new(), None);
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() || end.is_some() {
                break;
            }
            let (part, later) = rest.split_at(rest.len().min(*cut));
            rest = later;
            let (more, reason) = read_as(Framing::Deflated, &mut reader, part);
            messages.extend(more);
            end = reason;
        }
        prop_assert_eq!((messages, end), read(&bytes));
    }
}
