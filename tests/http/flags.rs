//! The parameters `only_media` and `allow_local_only`.

use crate::support::*;

/// What Mastodon reads as "no"; a missing parameter is too.
const NO: [&str; 9] = ["", "0", "f", "F", "false", "FALSE", "off", "OFF", "-"];
/// Everything else is "yes".
const YES: [&str; 12] = ["1", "t", "true", "TRUE", "on", "yes", "no", "False", "Off", "%20", "00", "null"];

/// The query that gives a flag a value; `-` stands for no parameter.
fn given(flag: &str, value: &str) -> String {
    if value == "-" { String::new() } else { format!("{flag}={value}") }
}

async fn open_on(server: &Server, metric: &'static str) -> f64 {
    server.metric("connected_channels", &[("type", "eventsource"), ("channel", metric)]).await
}

#[tokio::test]
async fn only_media_is_false_if_missing_empty_or_one_of_eight_words() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let mut open = Vec::new();
    for value in NO {
        let path = format!("/api/v1/streaming/public?{}", given("only_media", value));
        open.push(Sse::open(&server, &path, &alice.token).await);
        let counts = (open_on(&server, "public").await, open_on(&server, "public:media").await);
        assert_eq!(counts, (open.len() as f64, 0.0), "{value:?}");
    }
}

#[tokio::test]
async fn only_media_is_true_for_everything_else_and_if_repeated() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let mut open = Vec::new();
    let repeated = ["only_media=0&only_media=0", "only_media=false&only_media=", "only_media=&only_media="];
    let single = YES.map(|value| given("only_media", value));
    for query in single.iter().map(String::as_str).chain(repeated) {
        open.push(Sse::open(&server, &format!("/api/v1/streaming/public?{query}"), &alice.token).await);
        let counts = (open_on(&server, "public").await, open_on(&server, "public:media").await);
        assert_eq!(counts, (0.0, open.len() as f64), "{query:?}");
    }
}

#[tokio::test]
async fn a_websocket_does_not_read_only_media() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let mut ws = Ws::open(&server, "/api/v1/streaming/?stream=public&only_media=true", &alice.token).await;
    redis.wait_for_subscribers("timeline:public", 1).await;
    redis.publish("timeline:public", event("delete", "1")).await;
    assert_eq!(ws.next_event().await.stream, serde_json::json!(["public"]));
    assert_eq!(redis.subscribers("timeline:public:media").await, 0);
    // There the name says it.
    ws.subscribe("public:media").await;
    redis.wait_for_subscribers("timeline:public:media", 1).await;
}

#[tokio::test]
async fn allow_local_only_is_read_like_only_media() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let mut open = Vec::new();
    for (values, allowed) in [(&NO[..], false), (&YES[..], true)] {
        for value in values {
            open.push((given("allow_local_only", value), allowed));
        }
    }
    open.push(("allow_local_only=0&allow_local_only=0".to_owned(), true));
    let mut streams = Vec::new();
    for (query, allowed) in open {
        let stream = Sse::open(&server, &format!("/api/v1/streaming/public?{query}"), &alice.token).await;
        streams.push((query, allowed, stream));
    }
    redis.wait_for_subscribers("timeline:public", 1).await;
    redis.publish("timeline:public", update(&status(1, &alice).with("local_only", true))).await;
    redis.publish("timeline:public", event("delete", "2")).await;
    for (query, allowed, mut stream) in streams {
        let first = if allowed { "update" } else { "delete" };
        assert_eq!(stream.next_event().await.event, first, "{query:?}");
    }
}
