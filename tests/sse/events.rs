//! The bytes of a stream.

use crate::home;
use crate::support::http::{Body, encode, read_head};
use crate::support::*;

#[tokio::test]
async fn a_stream_is_answered_with_200_and_may_not_be_kept() {
    let stage = Stage::start().await;
    let (stream, _) = home(&stage).await;
    assert_eq!((stream.head.status, stream.head.version.as_str()), (200, "HTTP/1.1"));
    assert_eq!(stream.head.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.head.header("cache-control"), Some("private, no-store"));
    assert_eq!(stream.head.header("content-length"), None);
}

/// Nothing is published: the bytes come by themselves, and long before the first heartbeat.
#[tokio::test]
async fn the_first_bytes_come_at_once() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut wire = Wire::open(&stage.server).await;
    wire.send(encode("GET", "/api/v1/streaming/user", &[("Authorization", &alice.token)], b"")).await;
    let limit = std::time::Duration::from_secs(10);
    let first = tokio::time::timeout(limit, async {
        let head = read_head(&mut wire).await;
        Body::of(&head, "GET").next(&mut wire).await
    });
    let first = first.await.expect("the first bytes come before the first heartbeat");
    assert_eq!(first, Ok(Some(b":)\n".to_vec())));
}

/// What is published, and the block that comes of it, to the byte.
const BLOCKS: [(&str, &str); 19] = [
    (r#"{"event":"delete","payload":"123"}"#, "event: delete\ndata: 123\n\n"),
    (r#"{"event":"update","payload":"{\"a\": 1}"}"#, "event: update\ndata: {\"a\": 1}\n\n"),
    (r#"{"payload":"1","queued_at":7,"event":"notifications_merged"}"#, "event: notifications_merged\ndata: 1\n\n"),
    (r#"{"event":"number","payload":1.50}"#, "event: number\ndata: 1.50\n\n"),
    (r#"{"event":"truth","payload":true}"#, "event: truth\ndata: true\n\n"),
    (r#"{"event":"empty array","payload":[]}"#, "event: empty array\ndata: []\n\n"),
    (r#"{"event":"filters_changed"}"#, "event: filters_changed\ndata: undefined\n\n"),
    (r#"{"event":"umläut","payload":"é🦆\u00e9"}"#, "event: umläut\ndata: é🦆é\n\n"),
    (r#"{"event":"space","payload":"  two before "}"#, "event: space\ndata:   two before \n\n"),
    (r#"{"event":"colon","payload":": no comment"}"#, "event: colon\ndata: : no comment\n\n"),
    // A payload with line feeds gets one line each.
    (r#"{"event":"lines","payload":"one\ntwo"}"#, "event: lines\ndata: one\ndata: two\n\n"),
    (r#"{"event":"blank","payload":"one\n\ntwo\n"}"#, "event: blank\ndata: one\ndata: \ndata: two\ndata: \n\n"),
    (
        r#"{"event":"forged","payload":"a\n\nevent: kill\ndata: b"}"#,
        "event: forged\ndata: a\ndata: \ndata: event: kill\ndata: data: b\n\n",
    ),
    (r#"{"event":"only","payload":"\n"}"#, "event: only\ndata: \ndata: \n\n"),
    // Clients take a carriage return for the end of a line too (WHATWG HTML, 9.2.6).
    (r#"{"event":"return","payload":"a\r\nb\rid: c"}"#, "event: return\ndata: a\ndata: b\ndata: id: c\n\n"),
    (r#"{"event":"x\rid: y","payload":"1"}"#, "event: xid: y\ndata: 1\n\n"),
    // An event's name is one line.
    (r#"{"event":"up\ndate","payload":"1"}"#, "event: update\ndata: 1\n\n"),
    (r#"{"event":"\n\na\n\n","payload":"1"}"#, "event: a\ndata: 1\n\n"),
    (r#"{"event":"x\ndata: forged\n\nevent: y","payload":"1"}"#, "event: xdata: forgedevent: y\ndata: 1\n\n"),
];

#[tokio::test]
async fn an_event_is_its_name_its_data_and_a_blank_line() {
    let stage = Stage::start().await;
    for (message, block) in BLOCKS {
        let (mut stream, channel) = home(&stage).await;
        assert_eq!(stream.raw_bytes(), b":)\n", "{message}");
        stage.redis.publish(&channel, message).await;
        stream.next_event().await;
        let raw = String::from_utf8_lossy(stream.raw_bytes()).into_owned();
        assert_eq!(raw, format!(":)\n{block}"), "{message}");
    }
}

#[tokio::test]
async fn events_follow_each_other_without_anything_between() {
    let stage = Stage::start().await;
    let (mut stream, channel) = home(&stage).await;
    let events = (0..100).map(|number| event("delete", number.to_string()));
    stage.redis.publish_all(&channel, events).await;
    for number in 0..100 {
        assert_eq!(stream.next_event().await.data(), number.to_string());
    }
    let raw = String::from_utf8_lossy(stream.raw_bytes()).replace(":thump\n\n", "");
    let wanted: String = (0..100).map(|number| format!("event: delete\ndata: {number}\n\n")).collect();
    assert_eq!(raw, format!(":)\n{wanted}"));
}

#[tokio::test]
async fn a_status_comes_as_it_was_published() {
    let stage = Stage::start().await;
    let (mut stream, channel) = home(&stage).await;
    let author = stage.db.account("bob@remote.example").await;
    let status = status(1, &author).content("<p>a\nb</p>").filtered(serde_json::json!([]));
    stage.redis.publish(&channel, update(&status)).await;
    let update = stream.next_event().await;
    assert_eq!((update.event.as_str(), &update.json()), ("update", status.value()));
    assert_eq!((update.data_lines.len(), update.id), (1, None));
}
