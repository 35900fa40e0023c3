//! What is published at Redis and is no event.

use serde_json::json;

use super::siege::Siege;
use super::support::*;

const TOLD: &str = "a message from redis was dropped";

#[tokio::test]
async fn messages_that_are_no_json_object_are_dropped_counted_and_logged_once() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let home = siege.mallorys_home();
    let rubbish: [&[u8]; 15] = [
        b"",
        b" ",
        b"nonsense",
        b"{",
        br#"{"event":"update","payload":{"id":"1"}"#,
        br#"{"event":"update","payload":"1"}}"#,
        b"\xef\xbb\xbf{\"event\":\"delete\",\"payload\":\"1\"}",
        b"{\"event\":\"delete\",\"payload\":\"\x01\"}",
        b"{\"event\":\"delete\",\"payload\":\"a\nb\"}",
        br#"{'event':'delete','payload':'1'}"#,
        b"null",
        b"17",
        br#""delete""#,
        br#"["delete","1"]"#,
        b"\0",
    ];
    for message in rubbish {
        siege.scene.redis.publish(&home, message).await;
        siege.scene.redis.publish("timeline:public", message).await;
    }
    siege.wait_for_dropped("no_json_object", 2.0 * rubbish.len() as f64).await;
    siege.unharmed_by(&mut ws).await;
    siege
        .told_once(TOLD, |line| line.level() == "WARN" && line.field("error").to_string().contains("no JSON object"))
        .await;
}

#[tokio::test]
async fn messages_without_a_name_are_dropped_counted_and_logged_once() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let home = siege.mallorys_home();
    let names = ["", r#""event":null,"#, r#""event":"","#, r#""event":7,"#, r#""event":["update"],"#, r#""event":{},"#];
    for name in names {
        siege.scene.redis.publish(&home, format!(r#"{{{name}"payload":"1"}}"#)).await;
        siege.scene.redis.publish("timeline:public", format!(r#"{{{name}"payload":"1"}}"#)).await;
    }
    siege.wait_for_dropped("no_event_name", 2.0 * names.len() as f64).await;
    siege.unharmed_by(&mut ws).await;
    siege.told_once(TOLD, |line| line.field("error").to_string().contains("no event name")).await;
}

#[tokio::test]
async fn a_flood_of_rubbish_is_counted_and_logged_once_and_what_follows_is_delivered() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let home = siege.mallorys_home();
    siege.scene.redis.publish_all(&home, (0..20_000).map(|number| format!("{number} times rubbish"))).await;
    siege.unharmed_by(&mut ws).await;
    assert_eq!(siege.dropped("no_json_object").await, 20_000.0);
    assert_eq!(siege.dropped("lagged").await, 0.0);
    siege.told_once(TOLD, |_| true).await;
}

#[tokio::test]
async fn bad_messages_on_control_channels_do_nothing() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let channels = [
        format!("timeline:access_token:{}", siege.mallory.token_id),
        format!("timeline:system:{}", siege.mallory.account_id),
    ];
    let deep = "[".repeat(100_000);
    for channel in &channels {
        for message in ["kill", "\"kill\"", "[\"kill\"]", r#"{"event":["kill"]}"#, r#"{"event":"Kill"}"#, "", &deep] {
            siege.scene.redis.publish(channel, message).await;
        }
    }
    siege.unharmed_by(&mut ws).await;
}

#[tokio::test]
async fn invalid_utf8_and_lone_surrogates_reach_clients_as_valid_text() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let token = siege.mallory.token.clone();
    let mut sse = Sse::open(&siege.scene.server, "/api/v1/streaming/user", &token).await;
    let home = siege.mallorys_home();
    siege.scene.redis.publish(&home, b"{\"event\":\"a\xff\",\"payload\":\"b\xf0\x9f\"}").await;
    let event = ws.next_event().await;
    assert_eq!((event.event.as_str(), event.payload), ("a\u{fffd}", Some(json!("b\u{fffd}"))));
    assert_eq!(sse.next_event().await.data(), "b\u{fffd}");
    // A lone surrogate cannot be written in UTF-8; its escape can.
    siege.scene.redis.publish(&home, r#"{"event":"x\ud800","payload":{"text":"\udfff!"}}"#).await;
    let text = ws.next_text().await;
    assert!(text.contains(r"\\udfff!"), "{text}");
    let block = sse.next_event().await;
    assert!(block.event.starts_with('x') && block.data().contains(r"\udfff!"), "{block:?}");
    siege.scene.redis.publish(&home, r#"{"event":"y","payload":"\ud800 and \udfff"}"#).await;
    assert!(ws.next_text().await.contains(" and "));
    assert!(sse.next_event().await.data().contains(" and "));
    siege.unharmed_by(&mut ws).await;
}

#[tokio::test]
async fn line_feeds_and_control_characters_forge_no_further_event() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let token = siege.mallory.token.clone();
    let mut sse = Sse::open(&siege.scene.server, "/api/v1/streaming/user", &token).await;
    let home = siege.mallorys_home();
    let (name, payload) =
        ("up\r\n\ndata: forged\n\nevent: date", "a\u{0}\u{7}\u{1b}[2J\r\nb\n\nevent: forged\rdata: c");
    siege.scene.redis.publish(&home, event(name, payload)).await;
    let event = ws.next_event().await;
    assert_eq!((event.event.as_str(), event.payload), (name, Some(json!(payload))));
    let event = sse.next_event().await;
    assert_eq!(event.event, "updata: forgedevent: date");
    assert_eq!(event.data(), "a\u{0}\u{7}\u{1b}[2J\nb\n\nevent: forged\ndata: c");
    sse.silent_until(&siege.scene.redis, &home).await;
    assert_eq!(ws.next_event().await.event, "marker");
    siege.unharmed_by(&mut ws).await;
}

#[tokio::test]
async fn deep_nesting_and_numbers_beyond_all_measure_are_passed_on_digit_by_digit() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let home = siege.mallorys_home();
    let deep = format!("{}{}", r#"[{"a":"#.repeat(100_000), "}]".repeat(100_000)).replace(":}", ":0}");
    for payload in [deep.clone(), format!(r#"{{"n":1e999,"m":-0.10e-400,"k":{}}}"#, "7".repeat(10_000))] {
        siege.scene.redis.publish(&home, format!(r#"{{"queued_at":{deep},"event":"x","payload":{payload}}}"#)).await;
        let event = ws.next_event().await;
        assert!(event.payload.as_ref().and_then(|found| found.as_str()) == Some(&payload), "another payload");
    }
    siege.unharmed_by(&mut ws).await;
}

#[tokio::test]
async fn a_message_of_10_mebibytes_reaches_who_reads_and_disturbs_nobody() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    let payload = "x".repeat(10 << 20);
    siege.scene.redis.publish(&siege.mallorys_home(), event("update", &*payload)).await;
    let event = ws.next_event().await;
    assert!(event.payload.as_ref().and_then(|found| found.as_str()) == Some(&payload), "another payload");
    siege.unharmed_by(&mut ws).await;
}
