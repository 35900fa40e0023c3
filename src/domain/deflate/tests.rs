use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1024 * 1024;

fn deflated(message: &str) -> Option<Vec<u8>> {
    shorter(message, Bytes::copy_from_slice).map(Vec::from)
}

/// A compressed payload, also of messages for which it does not pay.
fn payload(message: &[u8], level: u32) -> Vec<u8> {
    let mut output = Vec::with_capacity(message.len() + message.len() / 100 + 100);
    let mut deflate = Compress::new(Compression::new(level), false);
    deflate.compress_vec(message, &mut output, FlushCompress::Sync).unwrap();
    output.strip_suffix(&TAIL).expect("it ends with an empty block").to_vec()
}

/// Something like a status, without the same words all over.
fn status() -> String {
    let parts = (0..60).map(|number: u64| {
        let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(r#"{{"id":"{id}","url":"https://heron.example/@{:x}/{number}","favourites_count":{number}}}"#, id >> 40)
    });
    parts.collect::<Vec<_>>().join(",")
}

#[test]
fn the_examples_of_rfc_7692_are_inflated() {
    // 7.2.3.1, one block; 7.2.3.3, a block without compression; 7.2.3.4, a last block; 7.2.3.5, two blocks.
    for payload in [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ] {
        assert_eq!(inflate(payload, LIMIT).as_deref(), Ok(&b"Hello"[..]), "{payload:x?}");
    }
    // 7.2.3.6, an empty message.
    assert_eq!(inflate(&[0x00], LIMIT), Ok(Vec::new()));
}

#[test]
fn the_example_of_rfc_7692_is_what_this_compressor_makes() {
    let mut compressor = Compressor::new();
    // 7.2.3.1 and 7.2.3.2: the same message again is the same payload, as nothing is taken over. The messages are longer than
    // the example's, for which it would not pay.
    let hello = "Hello".repeat(30);
    let first = compressor.compress(hello.as_bytes()).map(<[u8]>::to_vec).expect("it is shorter");
    assert_eq!(first[..4], [0xf2, 0x48, 0xcd, 0xc9]);
    assert_eq!(compressor.compress(hello.as_bytes()), Some(&*first));
    assert_eq!(payload(b"Hello", LEVEL), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
}

#[test]
fn a_status_is_less_than_half_as_long_and_inflates_to_itself() {
    let status = status();
    let payload = deflated(&status).expect("it is shorter");
    assert!(payload.len() < status.len() / 2, "{} of {}", payload.len(), status.len());
    assert_eq!(inflate(&payload, LIMIT), Ok(status.into_bytes()));
}

#[test]
fn nothing_refers_back_further_than_the_window_that_is_agreed_on() {
    // The same again behind more than a window: a larger one would find it.
    let (words, gap) = (status(), status());
    let noise: String =
        (0..5_000_u32).map(|n| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 26) as u8)).collect();
    let message = format!("{}{noise}{}", &words[..2_000], &gap[..2_000]);
    let payload = deflated(&message).expect("it is shorter");
    let mut small = Decompress::new_with_window_bits(false, WINDOW_BITS);
    let mut output = Vec::with_capacity(message.len() + 1);
    small.decompress_vec(&payload, &mut output, FlushDecompress::None).expect("the window is large enough");
    assert_eq!(String::from_utf8(output), Ok(message));
}

#[test]
fn what_would_not_get_shorter_is_not_compressed() {
    assert_eq!(deflated(&"x".repeat(LEAST - 1)), None);
    assert!(deflated(&"x".repeat(LEAST)).is_some());
    let noise: String = (0..1_000_u32).map(|n| char::from_u32(0x4e00 + n * 20).unwrap()).collect();
    assert!(deflated(&noise).is_none_or(|payload| payload.len() < noise.len()));
    let mut random = fastrand::Rng::with_seed(1);
    let noise: String = (0..4_000).map(|_| random.char('\u{20}'..'\u{10ffff}')).collect();
    assert!(deflated(&noise).is_none_or(|payload| payload.len() < noise.len()));
}

#[test]
fn the_same_message_is_compressed_once_and_shared_also_if_others_come_in_between() {
    let compressed = std::cell::Cell::new(0);
    let frame = |message: &str| {
        shorter(message, |payload| {
            compressed.set(compressed.get() + 1);
            Bytes::copy_from_slice(payload)
        })
    };
    let messages: Vec<String> = (0..REMEMBERED).map(|number| format!("{}{number}", status())).collect();
    let first: Vec<_> = messages.iter().map(|message| frame(message).expect("it is shorter")).collect();
    for _ in 0..3 {
        for (message, first) in messages.iter().zip(&first) {
            assert_eq!(frame(message).expect("it is shorter").as_ptr(), first.as_ptr());
        }
    }
    assert_eq!(compressed.get(), REMEMBERED);
}

#[test]
fn of_messages_that_are_remembered_there_are_few_and_none_is_large() {
    let mut compressor = Compressor::new();
    let frame = |compressor: &mut Compressor, message: &str| compressor.frame(message, Bytes::copy_from_slice);
    for number in 0..3 * REMEMBERED {
        frame(&mut compressor, &format!("{}{number}", status()));
    }
    assert_eq!(compressor.last.len(), REMEMBERED);
    frame(&mut compressor, &"x".repeat(MOST_REMEMBERED + 1));
    assert!(compressor.last.iter().all(|(message, _)| message.len() <= MOST_REMEMBERED));
    assert_eq!(compressor.output.capacity(), 0);
}

#[test]
fn who_compresses_is_not_held_up_by_a_message_beyond_all_measure() {
    assert!(deflated(&"x".repeat(MOST)).is_some());
    assert_eq!(deflated(&"x".repeat(MOST + 1)), None);
}

#[test]
fn a_message_of_the_limit_is_inflated_and_a_longer_one_refused() {
    for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, LIMIT] {
        let message = vec![b'x'; length];
        assert_eq!(inflate(&payload(&message, 6), length), Ok(message), "{length}");
    }
    for length in [1, PIECE, PIECE + 1, LIMIT] {
        assert_eq!(inflate(&payload(&vec![b'x'; length], 6), length - 1), Err(InflateError::TooLong), "{length}");
    }
}

#[test]
fn a_bomb_is_refused_when_the_limit_is_reached_whatever_follows() {
    let mut bomb = payload(&vec![b'x'; 64 * LIMIT], 9);
    assert!(bomb.len() < LIMIT / 10);
    assert_eq!(inflate(&bomb, LIMIT), Err(InflateError::TooLong));
    // Nobody gets as far as what is wrong with it.
    let end = bomb.len() - 50;
    bomb[end..].fill(0xff);
    assert_eq!(inflate(&bomb, LIMIT), Err(InflateError::TooLong));
}

#[test]
fn garbage_is_malformed() {
    for payload in [&b""[..], &[0xff], &[0x07], &[0x00, 0x05, 0x00, 0x00, 0x00, 0x48], b"{\"type\":\"subscribe\"}"] {
        assert_eq!(inflate(payload, LIMIT), Err(InflateError::Malformed), "{payload:x?}");
    }
    // A reference to what came before the message.
    assert_eq!(inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00], LIMIT), Err(InflateError::Malformed));
}

#[test]
fn a_message_that_was_cut_off_is_malformed() {
    let status = status();
    for level in [0, 1, 6] {
        let payload = payload(status.as_bytes(), level);
        for length in 1..payload.len() {
            let cut = inflate(&payload[..length], LIMIT);
            assert_ne!(cut.as_deref(), Ok(status.as_bytes()), "level {level}, {length} bytes");
        }
        let half = inflate(&payload[..payload.len() / 2], LIMIT);
        assert_eq!(half, Err(InflateError::Malformed), "level {level}");
    }
}

#[test]
fn what_was_wrong_with_one_message_does_not_concern_the_next() {
    let good = payload(b"Hello", 6);
    for bad in [&[0xff][..], &payload(&[0; 100], 6), &good[..3]] {
        assert!(inflate(bad, 10).is_err());
        assert_eq!(inflate(&good, 10).as_deref(), Ok(&b"Hello"[..]));
    }
}

proptest! {
    #[test]
    fn whatever_is_compressed_inflates_to_itself(parts in prop::collection::vec("\\PC{0,60}", 0..60)) {
        let message = [parts.concat(), parts.concat()].concat();
        if let Some(payload) = deflated(&message) {
            prop_assert!(payload.len() < message.len());
            prop_assert_eq!(inflate(&payload, message.len()), Ok(message.into_bytes()));
        }
    }

    #[test]
    fn random_bytes_never_panic_and_never_exceed_the_limit(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = inflate(&bytes, 50) {
            prop_assert!(message.len() <= 50);
        }
    }
}
