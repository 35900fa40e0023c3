//! `connected_clients` and `connected_channels`.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::server::sample;
use crate::support::*;
use crate::{CHANNELS, TYPES};

/// What is not zero: clients as `websocket`, channels as `websocket user`.
async fn counts(server: &Server) -> BTreeMap<String, i64> {
    let page = server.get("/metrics").await.text();
    let mut counts = BTreeMap::new();
    for kind in TYPES {
        let clients = sample(&page, "connected_clients", &[("type", kind)]);
        counts.insert(kind.to_owned(), clients);
        for channel in CHANNELS {
            let open = sample(&page, "connected_channels", &[("type", kind), ("channel", channel)]);
            counts.insert(format!("{kind} {channel}"), open);
        }
    }
    let number = |value: Option<f64>| value.expect("every series is there") as i64;
    counts.into_iter().map(|(name, value)| (name, number(value))).filter(|(_, value)| *value != 0).collect()
}

fn wanted(counts: &[(&str, i64)]) -> BTreeMap<String, i64> {
    counts.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

async fn wait_for(server: &Server, expected: &[(&str, i64)]) {
    let expected = wanted(expected);
    eventually(format!("{expected:?}"), || async {
        let found = counts(server).await;
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test]
async fn each_event_stream_counts_as_long_as_it_is_open() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let list = db.list(alice.account_id).await;
    let list = format!("list?list={list}");
    for (path, channel) in [
        ("user", "user"),
        ("user/notification", "user:notification"),
        (&list, "list"),
        ("direct", "direct"),
        ("public", "public"),
        ("public?only_media=1", "public:media"),
        ("public?allow_local_only=1", "public"),
        ("public/local", "public:local"),
        ("public/local?only_media=1", "public:local:media"),
        ("public/remote", "public:remote"),
        ("public/remote?only_media=1", "public:remote:media"),
        ("hashtag?tag=a", "hashtag"),
        ("hashtag/local?tag=a", "hashtag:local"),
    ] {
        let stream = Sse::open(&server, &format!("/api/v1/streaming/{path}"), &alice.token).await;
        let open = format!("eventsource {channel}");
        assert_eq!(
            counts(&server).await,
            wanted(&[("eventsource", 1), ("eventsource system", 2), (&open, 1)]),
            "{path}"
        );
        drop(stream);
        wait_for(&server, &[]).await;
    }
}

#[tokio::test]
async fn each_subscription_of_a_websocket_counts_as_long_as_it_is_there() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let list = db.list(alice.account_id).await;
    let mut ws = Ws::open(&server, "/", &alice.token).await;
    wait_for(&server, &[("websocket", 1), ("websocket system", 2)]).await;
    for channel in CHANNELS.into_iter().chain(["public:allow_local_only", "public:allow_local_only:media"]) {
        if channel == "system" {
            continue;
        }
        let open = format!("websocket {}", channel.replace(":allow_local_only", ""));
        let mut message = json!({"type": "subscribe", "stream": channel, "tag": "a", "list": list});
        ws.send_json(message.clone()).await;
        // A second time changes nothing.
        ws.send_json(message.clone()).await;
        ws.silent_so_far().await;
        let open = [("websocket", 1), ("websocket system", 2), (open.as_str(), 1)];
        assert_eq!(counts(&server).await, wanted(&open), "{channel}");
        message["type"] = json!("unsubscribe");
        ws.send_json(message.clone()).await;
        ws.send_json(message).await;
        ws.silent_so_far().await;
        assert_eq!(counts(&server).await, wanted(&[("websocket", 1), ("websocket system", 2)]), "{channel}");
    }
}

#[tokio::test]
async fn all_that_a_websocket_has_open_ends_with_it() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let open = async || {
        let mut ws = Ws::open(&server, "/?stream=user", &alice.token).await;
        for tag in ["a", "b", "c"] {
            ws.send_json(json!({"type": "subscribe", "stream": "hashtag", "tag": tag})).await;
        }
        ws.silent_so_far().await;
        let two = [("websocket", 1), ("websocket system", 2), ("websocket user", 1), ("websocket hashtag", 3)];
        assert_eq!(counts(&server).await, wanted(&two));
        ws
    };
    let mut closing = open().await;
    closing.close(Frame::close(1000, "")).await;
    wait_for(&server, &[]).await;
    drop(open().await);
    wait_for(&server, &[]).await;
    let mut killed = open().await;
    redis.publish(&format!("timeline:access_token:{}", alice.token_id), r#"{"event":"kill"}"#).await;
    assert_eq!(killed.expect_close().await, None);
    wait_for(&server, &[]).await;
    let mut binary = open().await;
    binary.send_frame(Frame::new(frames::BINARY, "x")).await;
    assert_eq!(binary.expect_close().await.map(|(code, _)| code), Some(1003));
    wait_for(&server, &[]).await;
}

#[tokio::test]
async fn an_event_stream_that_is_killed_does_not_count_any_more() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let mut stream = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
    let system = format!("timeline:system:{}", alice.account_id);
    redis.wait_for_subscribers(&system, 1).await;
    redis.publish(&system, r#"{"event":"kill"}"#).await;
    assert_eq!(stream.closed().await, Ending::Regular);
    wait_for(&server, &[]).await;
}

#[tokio::test]
async fn what_is_refused_never_counts() {
    let Stage { server, db, .. } = Stage::start().await;
    let bob = db.person("bob").scopes("write").await;
    for path in ["user", "nothing", "hashtag"] {
        server.get_as(&format!("/api/v1/streaming/{path}"), &bob.token).await;
        server.get_as(&format!("/api/v1/streaming/{path}"), "wrong").await;
    }
    assert!(Ws::try_open(&server, "/?stream=public", &[]).await.is_err());
    assert_eq!(counts(&server).await, wanted(&[]));
    let mut ws = Ws::open(&server, "/?stream=public", &bob.token).await;
    ws.expect_error("Access token does not have the required scopes", 401).await;
    assert_eq!(counts(&server).await, wanted(&[("websocket", 1), ("websocket system", 2)]));
}

#[tokio::test]
async fn clients_of_one_account_and_of_both_kinds_add_up() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let mut ws = Ws::open(&server, "/?stream=public", &alice.token).await;
    ws.silent_so_far().await;
    let other = Ws::open(&server, "/", &alice.token).await;
    let _sse = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
    let sse = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
    let sockets = |clients| [("websocket", clients), ("websocket system", 2 * clients), ("websocket public", 1)];
    let streams =
        |clients| [("eventsource", clients), ("eventsource system", 2 * clients), ("eventsource public", clients)];
    wait_for(&server, &[sockets(2), streams(2)].concat()).await;
    drop(sse);
    wait_for(&server, &[sockets(2), streams(1)].concat()).await;
    drop(other);
    wait_for(&server, &[sockets(1), streams(1)].concat()).await;
}
