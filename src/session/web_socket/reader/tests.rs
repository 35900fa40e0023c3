mod deflated;

use proptest::prelude::*;

use super::*;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FINAL: u8 = 0x80;
const MASK: [u8; 4] = [0xa5, 0, 0x3c, 0xff];

/// A frame as clients send it, masked; the first byte has the opcode and whether it is final.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn header(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(0x80 | length.to_le_bytes()[0]),
        126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&length.to_be_bytes()[6..]);
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes
}

fn text(payload: &str) -> Vec<u8> {
    frame(FINAL | TEXT, payload.as_bytes())
}

/// All messages, and why it ended if it did.
fn read_with(reader: &mut Reader, bytes: &[u8]) -> (Vec<Message>, Option<CloseReason>) {
    read_as(Framing::Text, reader, bytes)
}

fn read_as(framing: Framing, reader: &mut Reader, mut bytes: &[u8]) -> (Vec<Message>, Option<CloseReason>) {
    let mut messages = Vec::new();
    loop {
        match reader.read(&mut bytes, framing) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, None),
            Err(reason) => return (messages, Some(reason)),
        }
    }
}

fn read(bytes: &[u8]) -> (Vec<Message>, Option<CloseReason>) {
    read_with(&mut Reader::default(), bytes)
}

fn refused(bytes: &[u8]) -> CloseReason {
    read(bytes).1.unwrap_or_else(|| panic!("{:x?} is taken", &bytes[..bytes.len().min(20)]))
}

#[test]
fn a_masked_text_message_is_read() {
    // The example of RFC 6455, 5.7.
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&hello), (vec![Message::Text("Hello".into())], None));
}

#[test]
fn lengths_of_every_form_are_read() {
    for length in [0, 125, 126, 65_535, 65_536, MAX_MESSAGE] {
        let payload = "x".repeat(length);
        assert_eq!(read(&text(&payload)).0, [Message::Text(payload)], "{length}");
    }
}

#[test]
fn several_messages_that_came_together_are_read_one_after_the_other() {
    let bytes = [text("a"), frame(FINAL | PING, b"p"), text("b")].concat();
    let messages = vec![Message::Text("a".into()), Message::Ping(b"p".into()), Message::Text("b".into())];
    assert_eq!(read(&bytes), (messages, None));
}

#[test]
fn control_frames_may_stand_between_the_fragments_of_a_message() {
    let bytes = [
        frame(TEXT, b"on"),
        frame(FINAL | PING, b"p"),
        frame(CONTINUATION, b""),
        frame(FINAL | PONG, b"q"),
        frame(FINAL | CONTINUATION, b"e"),
    ];
    let messages = vec![Message::Ping(b"p".into()), Message::Pong, Message::Text("one".into())];
    assert_eq!(read(&bytes.concat()), (messages, None));
}

#[test]
fn a_message_after_a_fragmented_one_begins_anew() {
    let bytes = [frame(TEXT, "é".as_bytes()), frame(FINAL | CONTINUATION, b"a"), text("b")].concat();
    assert_eq!(read(&bytes).0, [Message::Text("éa".into()), Message::Text("b".into())]);
}

#[test]
fn between_messages_nothing_is_kept() {
    let mut reader = Reader::default();
    read_with(&mut reader, &[text("a"), frame(FINAL | PONG, b"x")].concat());
    assert!(reader.begun.is_none());
    read_with(&mut reader, &text("a")[..3]);
    assert!(reader.begun.is_some());
}

#[test]
fn reserved_bits_and_opcodes_are_refused() {
    for bits in [0x40, 0x20, 0x10, 0x70] {
        assert_eq!(refused(&frame(FINAL | bits | TEXT, b"{}")), CloseReason::ProtocolError, "{bits:x}");
    }
    for opcode in (3..=7).chain(11..=15) {
        assert_eq!(refused(&frame(FINAL | opcode, b"")), CloseReason::ProtocolError, "{opcode}");
    }
}

#[test]
fn a_frame_without_mask_is_refused() {
    for opcode in [TEXT, BINARY, PING, CLOSE] {
        assert_eq!(refused(&[FINAL | opcode, 0]), CloseReason::ProtocolError, "{opcode}");
    }
}

#[test]
fn a_length_that_is_not_in_its_shortest_form_is_refused() {
    for length in
        [&[0x80 | 126, 0, 125][..], &[0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 1], &[0x80 | 127, 0, 0, 0, 0, 0, 0, 255, 255]]
    {
        let bytes = [&[FINAL | TEXT], length, &MASK[..]].concat();
        assert_eq!(refused(&bytes), CloseReason::ProtocolError, "{length:?}");
    }
}

#[test]
fn control_frames_are_short_and_in_one_piece() {
    for opcode in [CLOSE, PING, PONG] {
        assert_eq!(refused(&frame(FINAL | opcode, &[0; 126])), CloseReason::ProtocolError, "{opcode}");
        assert_eq!(refused(&frame(opcode, b"")), CloseReason::ProtocolError, "{opcode}");
    }
    assert_eq!(read(&frame(FINAL | PING, &[7; 125])).0, [Message::Ping(vec![7; 125])]);
}

#[test]
fn fragments_out_of_place_are_refused() {
    assert_eq!(refused(&frame(FINAL | CONTINUATION, b"a")), CloseReason::ProtocolError);
    let inside = [frame(TEXT, b"a"), text("b")].concat();
    assert_eq!(refused(&inside), CloseReason::ProtocolError);
}

#[test]
fn a_message_over_the_limit_is_refused_as_soon_as_a_header_announces_it() {
    for length in [MAX_MESSAGE as u64 + 1, 1 << 40, u64::MAX] {
        assert_eq!(refused(&header(FINAL | TEXT, length)), CloseReason::MessageTooBig, "{length}");
        assert_eq!(refused(&header(FINAL | BINARY, length)), CloseReason::MessageTooBig, "{length}");
    }
    let most = frame(TEXT, &vec![b'x'; MAX_MESSAGE]);
    let one_more = [&most[..], &header(FINAL | CONTINUATION, 1)].concat();
    assert_eq!(refused(&one_more), CloseReason::MessageTooBig);
    let none_more = [&most[..], &frame(FINAL | CONTINUATION, b"")].concat();
    assert_eq!(read(&none_more).0.len(), 1);
}

#[test]
fn a_binary_message_is_refused_at_its_header() {
    assert_eq!(refused(&header(FINAL | BINARY, 5)), CloseReason::BinaryMessage);
    assert_eq!(refused(&header(BINARY, 0)), CloseReason::BinaryMessage);
}

#[test]
fn what_cannot_become_utf8_any_more_is_refused_before_the_rest_comes() {
    for begun in [&b"a\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90"] {
        let mut bytes = header(FINAL | TEXT, 1_000);
        bytes.extend(begun.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        assert_eq!(refused(&bytes), CloseReason::InvalidUtf8, "{begun:x?}");
    }
}

#[test]
fn a_character_may_be_split_over_fragments_but_must_be_complete_in_the_end() {
    let heart = "♥".as_bytes();
    let split = [frame(TEXT, &heart[..1]), frame(CONTINUATION, &heart[1..2]), frame(FINAL | CONTINUATION, &heart[2..])];
    assert_eq!(read(&split.concat()).0, [Message::Text("♥".into())]);
    let cut = [frame(TEXT, &heart[..1]), frame(FINAL | CONTINUATION, &heart[1..2])];
    assert_eq!(refused(&cut.concat()), CloseReason::InvalidUtf8);
    assert_eq!(refused(&frame(FINAL | TEXT, &heart[..2])), CloseReason::InvalidUtf8);
}

#[test]
fn a_close_frame_says_nothing_or_a_code_that_may_be_sent_and_a_reason() {
    let close = |payload: &[u8]| read(&frame(FINAL | CLOSE, payload));
    assert_eq!(close(b"").0, [Message::Close(None)]);
    for code in [1000_u16, 1003, 1007, 1013, 3000, 4999] {
        let payload = [&code.to_be_bytes()[..], "♥".as_bytes()].concat();
        assert_eq!(close(&payload).0, [Message::Close(Some((code, "♥".into())))]);
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        assert_eq!(close(&code.to_be_bytes()).1, Some(CloseReason::ProtocolError), "{code}");
    }
    assert_eq!(close(b"\x03").1, Some(CloseReason::ProtocolError));
    assert_eq!(close(b"\x03\xe8\xff").1, Some(CloseReason::InvalidUtf8));
}

/// Frames that make sense, more or less.
fn some_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![FINAL | TEXT, TEXT, CONTINUATION, FINAL | CONTINUATION, FINAL | PING, FINAL | PONG]),
        1 => any::<u8>(),
    ];
    (first, ".{0,80}").prop_map(|(first, payload)| frame(first, payload.as_bytes()))
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
            let (more, reason) = read_with(&mut reader, part);
            messages.extend(more);
            end = reason;
        }
        prop_assert_eq!((messages, end), read(&bytes));
    }

    #[test]
    fn random_bytes_never_panic_and_nothing_is_read_from_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (messages, _) = read(&bytes);
        prop_assert!(messages.len() <= bytes.len() / 6, "a masked frame has six bytes at least");
    }
}
