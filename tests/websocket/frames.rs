//! Frames that are too big, broken or of the wrong kind, and pings.

use std::time::{Duration, Instant};

use super::support::frames::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use super::support::*;

const LIMIT: usize = 1024 * 1024;

/// Sends frames on a new connection and returns how the server closes it.
async fn closed_for(scene: &Scene, frames: &[Frame]) -> Option<(u16, String)> {
    let mut ws = scene.ws("/").await;
    for frame in frames {
        ws.send_frame(frame.clone()).await;
    }
    ws.expect_close().await
}

fn code(code: u16) -> Option<(u16, String)> {
    Some((code, String::new()))
}

#[tokio::test]
async fn a_binary_message_is_not_supported() {
    let scene = Scene::start().await;
    let text = "The mastodon streaming server does not support binary messages";
    let subscribe = Frame::new(BINARY, r#"{"type":"subscribe","stream":"nonsense"}"#);
    let parts = [Frame::new(BINARY, "a").unfinished(), Frame::new(CONTINUATION, "b")];
    for frames in [&[subscribe][..], &[Frame::new(BINARY, "")], &parts] {
        assert_eq!(closed_for(&scene, frames).await, Some((1003, text.to_owned())), "{frames:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_big_is_refused_as_soon_as_its_header_announces_it() {
    let scene = Scene::start().await;
    for opcode in [TEXT, BINARY] {
        for length in [LIMIT as u64 + 1, 10 << 20, 1 << 40] {
            let mut ws = scene.ws("/").await;
            ws.wire().send(Frame::new(opcode, "").header(length)).await;
            assert_eq!(ws.expect_close().await, code(1009), "{length} bytes");
        }
    }
    let half = "x".repeat(LIMIT / 2 + 1);
    let parts = [Frame::text(&half).unfinished(), Frame::new(CONTINUATION, &half)];
    assert_eq!(closed_for(&scene, &parts).await, code(1009), "in two parts");
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_is_read_in_one_frame_or_several() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let request = r#"{"type":"subscribe","stream":"nonsense"}"#;
    let message = format!("{request}{}", " ".repeat(LIMIT - request.len()));
    ws.send_text(&message).await;
    ws.expect_error("Unknown stream type", 400).await;
    let (first, rest) = message.split_at(20);
    ws.send_frame(Frame::text(first).unfinished()).await;
    ws.send_frame(Frame::new(CONTINUATION, "").unfinished()).await;
    ws.send_frame(Frame::new(PING, "between")).await;
    ws.send_frame(Frame::new(CONTINUATION, rest)).await;
    assert_eq!(ws.next_message().await, Message::Pong(b"between".to_vec()));
    ws.expect_error("Unknown stream type", 400).await;
}

#[tokio::test]
async fn a_protocol_violation_is_answered_with_1002_and_no_reason() {
    let scene = Scene::start().await;
    let mut cases: Vec<(String, Vec<Frame>)> = Vec::new();
    for rsv in [1, 2, 4, 7] {
        cases.push((format!("reserved bits {rsv}"), vec![Frame { rsv, ..Frame::text("{}") }]));
    }
    for opcode in (3..=7).chain(11..=15) {
        cases.push((format!("opcode {opcode}"), vec![Frame::new(opcode, "")]));
    }
    for opcode in [TEXT, PING, CLOSE] {
        cases.push((format!("opcode {opcode} without mask"), vec![Frame::new(opcode, "").unmasked()]));
    }
    for opcode in [PING, PONG, CLOSE] {
        cases.push((format!("fragmented control frame {opcode}"), vec![Frame::new(opcode, "").unfinished()]));
        cases.push((format!("control frame {opcode} of 126 bytes"), vec![Frame::new(opcode, [b'x'; 126])]));
    }
    cases.push(("continuation of nothing".into(), vec![Frame::new(CONTINUATION, "a")]));
    let interrupted = vec![Frame::text("a").unfinished(), Frame::text("b")];
    cases.push(("a message inside another".into(), interrupted));
    cases.push(("a close payload of one byte".into(), vec![Frame::new(CLOSE, [3])]));
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        cases.push((format!("close code {code}"), vec![Frame::close(code, "x")]));
    }
    for (what, frames) in cases {
        assert_eq!(closed_for(&scene, &frames).await, code(1002), "{what}");
    }
    let labels = [("type", "websocket"), ("reason", "protocol_error")];
    assert!(scene.server.metric("flodgatt_sessions_closed_total", &labels).await > 30.0);
}

#[tokio::test]
async fn text_that_is_not_utf8_is_answered_with_1007_and_no_reason() {
    let scene = Scene::start().await;
    let heart = "♥".as_bytes();
    let cases: [(&str, Vec<Frame>); 7] = [
        ("a stray byte", vec![Frame::text(b"a\xffb")]),
        ("an overlong form", vec![Frame::text(b"\xc0\xaf")]),
        ("a surrogate", vec![Frame::text(b"\xed\xa0\x80")]),
        ("beyond Unicode", vec![Frame::text(b"\xf4\x90\x80\x80")]),
        ("a character cut off by the end", vec![Frame::text(&heart[..2])]),
        ("cut off in parts", vec![Frame::text(&heart[..1]).unfinished(), Frame::new(CONTINUATION, &heart[1..2])]),
        ("wrongly continued", vec![Frame::text(&heart[..2]).unfinished(), Frame::new(CONTINUATION, "a")]),
    ];
    for (what, frames) in cases {
        assert_eq!(closed_for(&scene, &frames).await, code(1007), "{what}");
    }
    let reason = [&1000_u16.to_be_bytes()[..], b"\xff"].concat();
    assert_eq!(closed_for(&scene, &[Frame::new(CLOSE, reason)]).await, code(1007), "in a close reason");
}

#[tokio::test]
async fn a_character_may_be_split_over_frames() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let request = r#"{"type":"subscribe","stream":"hashtag","tag":"ö♥🦀x"}"#.as_bytes();
    for (place, byte) in request.iter().enumerate() {
        let frame = Frame::new(if place == 0 { TEXT } else { CONTINUATION }, [*byte]);
        ws.send_frame(if place + 1 == request.len() { frame } else { frame.unfinished() }).await;
    }
    scene.wait_for_channels(&["timeline:hashtag:ox"]).await;
}

#[tokio::test]
async fn pings_of_the_client_are_answered_with_their_payload() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    for payload in [vec![], b"hello".to_vec(), vec![0xff; 125]] {
        ws.send_frame(Frame::new(PING, &payload)).await;
        assert_eq!(ws.next_message().await, Message::Pong(payload));
    }
    // A pong that nobody asked for is fine.
    ws.send_frame(Frame::new(PONG, "unasked")).await;
    ws.silent_so_far().await;
}

/// Takes a minute, for that is how long it takes.
#[tokio::test]
async fn a_client_is_pinged_every_30_seconds_and_cut_off_if_it_does_not_answer_until_the_next_round() {
    let scene = Scene::start().await;
    let (mut silent, mut alive) = (scene.ws("/").await, scene.ws("/").await);
    let opened = Instant::now();
    silent.answer_pings(false);
    let cut_off = async {
        assert_eq!(silent.next_ping().await, b"");
        assert!(silent.next_frame().await.is_err(), "the end without close frame");
        opened.elapsed()
    };
    let pinged = async {
        let mut times = Vec::new();
        for _ in 0..2 {
            assert_eq!(alive.next_ping().await, b"");
            times.push(opened.elapsed());
        }
        times
    };
    let (cut_off, pinged) = tokio::join!(cut_off, pinged);
    let rounds = [(cut_off, 60), (pinged[0], 30), (pinged[1], 60)];
    for (found, wanted) in rounds {
        let wanted = Duration::from_secs(wanted);
        let range = wanted - Duration::from_secs(1)..wanted + Duration::from_secs(8);
        assert!(range.contains(&found), "{found:?} instead of {wanted:?}");
    }
    alive.silent_so_far().await;
    let labels = [("type", "websocket"), ("reason", "ping_timeout")];
    assert_eq!(scene.server.metric("flodgatt_sessions_closed_total", &labels).await, 1.0);
}
