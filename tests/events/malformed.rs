//! Messages that are no events.

use crate::support::*;

const NO_OBJECTS: [&str; 16] = [
    "",
    " ",
    "hello",
    "[]",
    r#"[{"event":"x","payload":"1"}]"#,
    "1",
    "null",
    "true",
    r#""{}""#,
    "{",
    r#"{"event":"x","payload":"1""#,
    r#"{"event":"x","payload":"1"}}"#,
    r#"{"event":"x","payload":"1",}"#,
    r#"{'event':'x'}"#,
    "\u{feff}{\"event\":\"x\",\"payload\":\"1\"}",
    "{\"event\":\"x\",\"payload\":\"\u{1}\"}",
];

const NO_EVENTS: [&str; 9] = [
    "{}",
    r#"{"payload":"1"}"#,
    r#"{"event":"","payload":"1"}"#,
    r#"{"event":null,"payload":"1"}"#,
    r#"{"event":1,"payload":"1"}"#,
    r#"{"event":true,"payload":"1"}"#,
    r#"{"event":["update"],"payload":"1"}"#,
    r#"{"event":{"a":1},"payload":"1"}"#,
    r#"{"Event":"x","payload":"1"}"#,
];

#[tokio::test]
async fn what_is_no_event_is_dropped_and_counted_and_does_not_affect_the_next_message() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut user = stage.both(&alice, "user").await;
    let mut public = stage.both(&alice, "public").await;
    let home = format!("timeline:{}", alice.account_id);
    let mut expected = (0.0, 0.0);
    for (bad, no_object) in NO_OBJECTS.map(|bad| (bad, true)).into_iter().chain(NO_EVENTS.map(|bad| (bad, false))) {
        stage.publish(&home, bad).await;
        user.silent_until(&stage.redis, &home).await;
        stage.publish("timeline:public", bad).await;
        public.silent_until(&stage.redis, "timeline:public").await;
        *if no_object { &mut expected.0 } else { &mut expected.1 } += 2.0;
        let counted = (stage.dropped_events("no_json_object").await, stage.dropped_events("no_event_name").await);
        assert_eq!(counted, expected, "after {bad:?}");
    }
}

#[tokio::test]
async fn bad_messages_on_control_channels_are_counted_and_change_nothing() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    let channels =
        [format!("timeline:system:{}", alice.account_id), format!("timeline:access_token:{}", alice.token_id)];
    for channel in &channels {
        for bad in NO_OBJECTS.into_iter().chain(NO_EVENTS) {
            stage.publish(channel, bad).await;
        }
    }
    both.silent_until(&stage.redis, &format!("timeline:{}", alice.account_id)).await;
    assert_eq!(stage.dropped_events("no_json_object").await, 2.0 * NO_OBJECTS.len() as f64);
    assert_eq!(stage.dropped_events("no_event_name").await, 2.0 * NO_EVENTS.len() as f64);
    stage.publish(&channels[0], r#"{"event":"kill"}"#).await;
    assert_eq!(both.ws.expect_close().await, None);
    assert_eq!(both.sse.closed().await, Ending::Regular);
}

#[tokio::test]
async fn bytes_that_are_no_utf8_become_replacement_characters() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    // What stands for each is what the WHATWG's decoder makes of it.
    let table: [(&[u8], &str); 8] = [
        (b"a\xffb", "a\u{fffd}b"),
        (b"\x80", "\u{fffd}"),
        (b"caf\xe9", "caf\u{fffd}"),
        (b"\xc0\xaf", "\u{fffd}\u{fffd}"),
        (b"\xe2\x82|", "\u{fffd}|"),
        (b"\xf0\x9f\xa6\x86\xf0\x9f\xa6", "🦆\u{fffd}"),
        (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        (b"\xf4\x90\x80\x80", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
    ];
    for (bytes, text) in table {
        for (start, end) in [(&b"{\"event\":\"x\",\"payload\":\""[..], &b"\"}"[..])] {
            let message = [start, bytes, end].concat();
            stage.publish(&format!("timeline:{}", alice.account_id), message).await;
            assert_eq!(both.next().await.payload, text, "of {bytes:?}");
        }
    }
    stage.publish(&format!("timeline:{}", alice.account_id), b"{\"event\":\"\xff\",\"payload\":[\"\xff\"]}").await;
    let heard = both.next().await;
    assert_eq!((&*heard.event, &*heard.payload), ("\u{fffd}", "[\"\u{fffd}\"]"));
    // Outside of strings it is no JSON.
    stage.publish(&format!("timeline:{}", alice.account_id), b"{\"event\":\"x\",\"payload\":\"1\"}\xff").await;
    both.silent_until(&stage.redis, &format!("timeline:{}", alice.account_id)).await;
    assert_eq!(stage.dropped_events("no_json_object").await, 1.0);
}

#[tokio::test]
async fn a_message_nested_a_hundred_thousand_levels_deep_does_no_harm() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut user = stage.both(&alice, "user").await;
    let mut public = stage.both(&alice, "public").await;
    let home = format!("timeline:{}", alice.account_id);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    stage.publish(&home, format!(r#"{{"event":"x","payload":{deep}}}"#)).await;
    assert_eq!(user.next().await.payload, deep);
    let message = format!(r#"{{"event":"update","payload":{{"account":{deep},"mentions":{deep}}}}}"#);
    stage.publish("timeline:public", message).await;
    stage.publish("timeline:public", "[".repeat(100_000)).await;
    public.silent_until(&stage.redis, "timeline:public").await;
    assert_eq!(stage.dropped_events("malformed_status").await, 1.0);
    assert_eq!(stage.dropped_events("no_json_object").await, 1.0);
}
