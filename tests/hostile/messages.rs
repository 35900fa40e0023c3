//! Messages of clients.

use serde_json::{Value, json};

use super::siege::{Siege, closed_for};
use super::support::frames::{BINARY, CONTINUATION};
use super::support::*;

const IGNORED: &str = "a client's message means nothing";
const REFUSED: &str = "a client's request was refused";

/// Sends a message that is to be ignored, on a connection of its own.
async fn is_ignored(message: &str) {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    ws.send_text(message).await;
    ws.silent_so_far().await;
    siege.unharmed_by(&mut ws).await;
    let (account, bytes) = (siege.mallory.account_id, message.len());
    siege.told_once(IGNORED, |line| *line.field("account") == account && *line.field("bytes") == bytes).await;
}

#[tokio::test]
async fn invalid_json_is_ignored() {
    is_ignored(r#"{"type":"subscribe","stream":"public"#).await;
}

#[tokio::test]
async fn raw_control_characters_are_no_json_and_ignored() {
    is_ignored("{\"type\":\"subscribe\",\"stream\":\"pub\u{0}lic\u{1b}\"}").await;
}

#[tokio::test]
async fn a_hundred_thousand_levels_of_nesting_that_mean_nothing_are_ignored() {
    is_ignored(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).await;
}

#[tokio::test]
async fn a_hundred_thousand_levels_that_never_end_are_ignored() {
    is_ignored(&r#"{"a":["#.repeat(100_000)).await;
}

#[tokio::test]
async fn a_flood_of_rubbish_is_ignored_and_logged_once() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let before = siege.scene.server.logs().len();
    let pieces = ["", "{", "[1e999]", "nonsense", "\u{0}", r#"{"type":"x"}"#, r#"{"type":{}}"#, "\u{feff}{}"];
    let flood: Vec<u8> = (0..20_000).flat_map(|number| Frame::text(pieces[number % pieces.len()]).encode()).collect();
    ws.wire().send(&flood).await;
    ws.silent_so_far().await;
    siege.unharmed_by(&mut ws).await;
    siege.told_once(IGNORED, |_| true).await;
    let lines = siege.scene.server.logs().len() - before;
    assert!(lines < 20, "{lines} lines");
}

#[tokio::test]
async fn a_flood_of_requests_that_fail_is_answered_and_logged_once() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let requests = [
        json!({"type": "subscribe", "stream": "nonsense"}),
        json!({"type": "subscribe", "stream": "list", "list": "x"}),
        json!({"type": "unsubscribe", "stream": "hashtag"}),
    ];
    for number in 0..3_000 {
        ws.send_json(requests[number % requests.len()].clone()).await;
    }
    for number in 0..3_000 {
        let status = ws.next_json().await["status"].take();
        assert_eq!(status, [json!(400), json!(401), Value::Null][number % requests.len()]);
    }
    siege.unharmed_by(&mut ws).await;
    siege.told_once(REFUSED, |line| *line.field("account") == siege.mallory.account_id).await;
}

#[tokio::test]
async fn numbers_beyond_all_measure_and_deep_nesting_beside_a_request_do_not_matter() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let deep = format!("{}{}", r#"{"a":["#.repeat(50_000), "]}".repeat(50_000));
    for (tag, beside) in [
        ("huge", "1e999".to_owned()),
        ("tiny", "-1e-999999999999999999999".into()),
        ("long", "1".repeat(500_000)),
        ("deep", deep),
        ("lone", r#""\ud800\udc00\udfff\ud800""#.into()),
    ] {
        ws.send_text(format!(r#"{{"x":{beside},"type":"subscribe","stream":"hashtag","tag":"{tag}"}}"#)).await;
        siege.scene.redis.wait_for_subscribers(&format!("timeline:hashtag:{tag}"), 1).await;
    }
    siege.unharmed_by(&mut ws).await;
    assert!(!siege.scene.server.logs().iter().any(|line| line.message().contains(IGNORED)));
}

#[tokio::test]
async fn such_values_as_parameters_are_refused() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (parameters, message, status) in [
        (format!(r#""stream":{deep}"#), "Unknown stream type", 400),
        (r#""stream":1e999"#.into(), "Unknown stream type", 400),
        (r#""stream":"\ud800""#.into(), "Unknown stream type", 400),
        (r#""stream":"public\u0000""#.into(), "Unknown stream type", 400),
        (format!(r#""stream":"hashtag","tag":{deep}"#), "Missing tag name parameter", 400),
        (r#""stream":"hashtag","tag":1e999"#.into(), "Missing tag name parameter", 400),
        (format!(r#""stream":"list","list":{deep}"#), "Not authorized to stream this list", 401),
        (r#""stream":"list","list":1e999"#.into(), "Not authorized to stream this list", 401),
        (r#""stream":"list","list":1e99999999999999999999"#.into(), "Not authorized to stream this list", 401),
        (r#""stream":"list","list":9223372036854775808"#.into(), "Not authorized to stream this list", 401),
        (r#""stream":"list","list":"-9223372036854775809""#.into(), "Not authorized to stream this list", 401),
        (format!(r#""stream":"list","list":"{}""#, "9".repeat(100_000)), "Not authorized to stream this list", 401),
        (r#""stream":"list","list":"1\u0000""#.into(), "Not authorized to stream this list", 401),
        (r#""stream":"list","list":"1'; DROP TABLE lists; --""#.into(), "Not authorized to stream this list", 401),
    ] {
        ws.send_text(format!(r#"{{"type":"subscribe",{parameters}}}"#)).await;
        eprintln!("{parameters:.60}");
        ws.expect_error(message, status).await;
    }
    siege.unharmed_by(&mut ws).await;
    siege.told_once(REFUSED, |_| true).await;
}

fn with_tag(kind: &str, tag: &str) -> Value {
    json!({"type": kind, "stream": "hashtag", "tag": tag})
}

#[tokio::test]
async fn a_tag_of_100_kilobytes_is_a_tag_like_any_other() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    for unit in ["É", "\u{301}\u{323}", "🦀", "\u{0}", "\"", "ﬃ"] {
        let tag = unit.repeat(100_000 / unit.len());
        ws.send_json(with_tag("subscribe", &tag)).await;
        ws.send_json(with_tag("unsubscribe", &tag)).await;
        ws.silent_so_far().await;
    }
    let tag = "x".repeat(100_000);
    let channel = format!("timeline:hashtag:{tag}");
    ws.send_json(with_tag("subscribe", &tag)).await;
    siege.scene.redis.wait_for_subscribers(&channel, 1).await;
    siege.scene.redis.publish(&channel, event("delete", "1")).await;
    assert_eq!(ws.next_event().await.stream, json!(["hashtag", tag]));
    siege.unharmed_by(&mut ws).await;
}

#[tokio::test]
async fn long_tags_are_as_many_as_fit_into_what_one_connection_may_name() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let long = "x".repeat(100_000);
    for number in 0..20 {
        ws.send_json(with_tag("subscribe", &format!("{number}{long}"))).await;
    }
    // Few of them fit, and each of the others is refused.
    let mut refused = 0;
    ws.send_json(json!({"type": "unsubscribe", "stream": "end"})).await;
    loop {
        let answer = ws.next_json().await;
        if answer == json!({"error": "Error unsubscribing from channel"}) {
            break;
        }
        assert_eq!(answer, json!({"error": "Too many subscriptions on this connection", "status": 429}));
        refused += 1;
    }
    assert!((1..20).contains(&refused), "{refused} refused");
    // A letter that stands for eighteen in the channel's name counts as what it becomes.
    ws.send_json(with_tag("subscribe", &"\u{fdfa}".repeat(300_000 / 3))).await;
    ws.expect_error("Too many subscriptions on this connection", 429).await;
    siege.unharmed_by(&mut ws).await;
    siege.told_once(REFUSED, |_| true).await;
}

/// Sends frames that end the connection.
async fn ends(frames: &[Vec<u8>], code: u16, text: &str, reason: &str) {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    for frame in frames {
        ws.wire().send(frame).await;
    }
    assert_eq!(ws.expect_close().await, Some((code, text.to_owned())));
    siege.unharmed().await;
    siege.told_once("session closed", closed_for(siege.mallory.account_id, reason)).await;
    siege.scene.redis.wait_for_subscribers(&siege.mallorys_home(), 0).await;
}

#[tokio::test]
async fn a_message_of_10_mebibytes_is_not_even_read() {
    let header = Frame::text("").header(10 << 20);
    ends(&[header], 1009, "", "message_too_big").await;
}

#[tokio::test]
async fn ten_mebibytes_in_small_parts_are_refused_at_the_limit() {
    let part = vec![b'x'; 60_000];
    let mut frames = vec![Frame::text(&part).unfinished().encode()];
    frames.extend((0..17).map(|_| Frame::new(CONTINUATION, &part).unfinished().encode()));
    ends(&frames, 1009, "", "message_too_big").await;
}

#[tokio::test]
async fn binary_messages_end_the_connection() {
    let text = "The mastodon streaming server does not support binary messages";
    ends(&[Frame::new(BINARY, [0, 159, 146, 150]).encode()], 1003, text, "binary_message").await;
}

#[tokio::test]
async fn utf8_that_is_split_wrongly_ends_the_connection() {
    let frames = [Frame::text(b"\xf0\x9f\xa6").unfinished(), Frame::new(CONTINUATION, b"\x80\x80")];
    let frames = frames.map(|frame| frame.encode());
    ends(&frames, 1007, "", "invalid_utf8").await;
}

#[tokio::test]
async fn random_bytes_after_the_handshake_harm_nobody() {
    let mut siege = Siege::start().await;
    for seed in 0..50 {
        let mut random = fastrand::Rng::with_seed(seed);
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(2_000).collect();
        let mut ws = siege.attacker("/?stream=user").await;
        // The server may have closed before all was sent.
        let _ = ws.wire().try_send(&bytes).await;
        let _ = ws.wire().finish_sending().await;
        let _ = within(format!("end after the bytes of seed {seed}"), ws.wire().rest()).await;
    }
    siege.unharmed().await;
    siege.scene.redis.wait_for_subscribers(&siege.mallorys_home(), 0).await;
}
