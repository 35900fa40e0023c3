//! Payloads: which are delivered, and how they are written.

use serde_json::value::RawValue;

use crate::support::*;

/// The text of `payload` in a message, digit by digit.
fn raw_payload(message: &str) -> String {
    let fields: std::collections::HashMap<String, Box<RawValue>> = serde_json::from_str(message).expect("an object");
    fields["payload"].get().to_owned()
}

#[tokio::test]
async fn a_payload_that_ecmascript_calls_false_is_received_but_not_delivered_nor_counted_as_sent() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut user = stage.both(&alice, "user").await;
    let mut public = stage.both(&alice, "public").await;
    let (home, received) = (format!("timeline:{}", alice.account_id), "redis_messages_received_total");
    let falsy = ["", "null", "false", "0", "-0", "0.0", "0e9", "1e-999", r#""""#];
    let before = stage.server.metric(received, &[]).await;
    for name in ["update", "notification", "delete", "anything"] {
        for payload in falsy {
            let payload = if payload.is_empty() { String::new() } else { format!(r#","payload":{payload}"#) };
            let message = format!(r#"{{"event":"{name}"{payload}}}"#);
            stage.publish(&home, &message).await;
            stage.publish("timeline:public", &message).await;
        }
    }
    user.silent_until(&stage.redis, &home).await;
    public.silent_until(&stage.redis, "timeline:public").await;
    let published = 2 * 4 * falsy.len() + 2;
    assert_eq!(stage.server.metric(received, &[]).await - before, published as f64);
    for transport in ["websocket", "eventsource"] {
        stage.server.wait_for_metric("messages_sent_total", &[("type", transport)], 2.0).await;
    }
    // An empty status is malformed only if it is one at all.
    assert_eq!(stage.dropped_events("malformed_status").await, 0.0);
}

#[tokio::test]
async fn messages_are_counted_as_sent_once_for_each_client_by_transport() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut ws = stage.ws(&alice, "public").await;
    let mut other = stage.ws(&alice, "public").await;
    let mut sse = stage.sse(&alice, "public").await;
    stage.publish("timeline:public", event("delete", "1")).await;
    ws.next_event().await;
    other.next_event().await;
    sse.next_event().await;
    stage.server.wait_for_metric("messages_sent_total", &[("type", "websocket")], 2.0).await;
    stage.server.wait_for_metric("messages_sent_total", &[("type", "eventsource")], 1.0).await;
}

#[tokio::test]
async fn numbers_and_true_stay_bare_and_keep_their_digits() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    let home = format!("timeline:{}", alice.account_id);
    for payload in ["true", "1", "-1", "12345678901234567890123", "1.50", "1E5", "1e999", "107946650784398271"] {
        stage.publish(&home, format!(r#"{{"event":"x","payload":{payload}}}"#)).await;
        assert_eq!(raw_payload(&both.ws.next_text().await), payload);
        assert_eq!(both.sse.next_event().await.data(), payload);
    }
}

#[tokio::test]
async fn objects_and_arrays_become_a_string_whose_numbers_keep_their_digits() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut user = stage.both(&alice, "user").await;
    let mut public = stage.both(&alice, "public").await;
    let home = format!("timeline:{}", alice.account_id);
    for number in ["107946650784398271", "12345678901234567890123", "1.50", "-0", "0.1e-400", "1E+999", "1e999"] {
        for payload in [format!("[{number}]"), format!(r#"{{"id":{number},"a":{{"b":[{number}]}}}}"#)] {
            stage.publish(&home, format!(r#"{{"event":"x","payload":{payload}}}"#)).await;
            assert_eq!(user.next().await.payload, payload);
        }
        // A status that custom filters are added to.
        let account = r#"{"id":107946650784398271,"username":"bob","acct":"bob"}"#;
        let payload = format!(r#"{{"account":{account},"extra":{number}"#);
        stage.publish("timeline:public", format!(r#"{{"event":"update","payload":{payload}}}}}"#)).await;
        assert_eq!(public.next().await.payload, format!(r#"{payload},"filtered":[]}}"#));
    }
}

#[tokio::test]
async fn empty_objects_and_arrays_are_delivered() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    for payload in ["{}", "[]"] {
        let message = format!(r#"{{"event":"x","payload":{payload}}}"#);
        stage.publish(&format!("timeline:{}", alice.account_id), message).await;
        assert_eq!(both.next().await.payload, payload);
    }
}

#[tokio::test]
async fn strings_pass_as_they_are() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    let home = format!("timeline:{}", alice.account_id);
    for text in ["1", "0", "false", "null", " ", r#"{"id":1.50}"#, "\"", "\\", "🦆 \u{1}\u{7f}\u{2028}\u{feff}", "a\tb"]
    {
        stage.publish(&home, event("x", text)).await;
        assert_eq!(both.next().await.payload, text);
    }
}

#[tokio::test]
async fn line_feeds_make_several_data_lines_and_are_taken_from_event_names() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    let home = format!("timeline:{}", alice.account_id);
    stage.publish(&home, event("up\ndate\ndata: evil", "one\n\ntwo\n:three\n")).await;
    assert_eq!(both.ws.next_event().await.event, "up\ndate\ndata: evil");
    let block = both.sse.next_block().await.expect("the stream goes on");
    assert_eq!(block.lines, ["event: updatedata: evil", "data: one", "data: ", "data: two", "data: :three", "data: "]);
    // White space between the tokens of an object is an object's too.
    stage.publish(&home, "{\n\"event\": \"x\",\n\"payload\": {\n\"a\": 1\n}\n}").await;
    assert_eq!(both.next().await.json(), serde_json::json!({"a": 1}));
}

#[tokio::test]
async fn further_keys_are_ignored() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    let message = r#"{"queued_at":1773476126535,"stream":["x"],"event":"delete","data":1,"payload":"5","error":"x"}"#;
    stage.publish(&format!("timeline:{}", alice.account_id), message).await;
    let text = both.ws.next_json().await;
    assert_eq!(text, serde_json::json!({"stream": ["user"], "event": "delete", "payload": "5"}));
    let block = both.sse.next_block().await.expect("the stream goes on");
    assert_eq!(block.lines, ["event: delete", "data: 5"]);
}

#[tokio::test]
async fn messages_are_read_as_ecmascript_reads_json() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    let home = format!("timeline:{}", alice.account_id);
    let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
    let table = [
        (r#" {"event":"a","payload":"1","event":"b","payload":"2"} "#.to_owned(), "b", "2"),
        (r#"{"\u0065vent":"\u0078","paylo\u0061d":"\ud83e\udd86"}"#.to_owned(), "x", "🦆"),
        (r#"{"event":"x","payload":"y","other":1e999}"#.to_owned(), "x", "y"),
        (format!(r#"{{"event":"x","payload":{deep}}}"#), "x", &deep),
        (r#"{"event":"x","payload":["\ud800"]}"#.to_owned(), "x", r#"["\ud800"]"#),
    ];
    for (message, name, payload) in table {
        stage.publish(&home, message).await;
        let heard = both.next().await;
        assert_eq!((&*heard.event, &*heard.payload), (name, payload));
    }
}
