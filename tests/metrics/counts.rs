//! What came from Redis, and what went to clients.

use serde_json::json;

use crate::support::*;

const SUBSCRIPTIONS: &str = "redis_subscriptions";
const RECEIVED: &str = "redis_messages_received_total";
const SENT: &str = "messages_sent_total";

async fn sent(server: &Server) -> (f64, f64) {
    let of = async |kind: &'static str| server.metric(SENT, &[("type", kind)]).await;
    (of("websocket").await, of("eventsource").await)
}

/// A client may have read before its write is counted.
async fn wait_for_sent(server: &Server, expected: (f64, f64)) {
    server.wait_for_metric(SENT, &[("type", "websocket")], expected.0).await;
    server.wait_for_metric(SENT, &[("type", "eventsource")], expected.1).await;
    assert_eq!(sent(server).await, expected);
}

#[tokio::test]
async fn redis_subscriptions_are_the_channels_subscribed_there() {
    let Stage { server, redis, db } = Stage::start().await;
    let before = redis.subscriptions().await.len() as f64;
    server.wait_for_metric(SUBSCRIPTIONS, &[], before).await;
    let (alice, bob) = (db.person("alice").await, db.person("bob").await);
    // Two control channels each, and what is open, each channel once.
    let mut ws = Ws::open(&server, "/?stream=user", &alice.token).await;
    server.wait_for_metric(SUBSCRIPTIONS, &[], before + 4.0).await;
    let _sse = Sse::open(&server, "/api/v1/streaming/user", &alice.token).await;
    let other = Sse::open(&server, "/api/v1/streaming/public", &bob.token).await;
    server.wait_for_metric(SUBSCRIPTIONS, &[], before + 7.0).await;
    ws.subscribe("public").await;
    ws.silent_so_far().await;
    assert_eq!(server.metric(SUBSCRIPTIONS, &[]).await, redis.subscriptions().await.len() as f64);
    drop(other);
    server.wait_for_metric(SUBSCRIPTIONS, &[], before + 5.0).await;
    ws.unsubscribe("public").await;
    server.wait_for_metric(SUBSCRIPTIONS, &[], before + 4.0).await;
    assert_eq!(redis.subscriptions().await.len() as f64, before + 4.0);
    ws.close(Frame::close(1000, "")).await;
    drop(_sse);
    server.wait_for_metric(SUBSCRIPTIONS, &[], before).await;
}

#[tokio::test]
async fn redis_subscriptions_are_counted_anew_after_a_lost_connection() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let _ws = Ws::open(&server, "/?stream=public", &alice.token).await;
    // The stream and two control channels.
    server.wait_for_metric(SUBSCRIPTIONS, &[], 3.0).await;
    redis.drop_clients().await;
    server.wait_for_metric("flodgatt_upstream_reconnects_total", &[], 1.0).await;
    redis.wait_for_subscribers("timeline:public", 1).await;
    server.wait_for_metric(SUBSCRIPTIONS, &[], 3.0).await;
}

/// Also what is no event, what is not delivered, and what comes on control channels.
#[tokio::test]
async fn every_message_from_redis_counts_once_as_received() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let (home, system) = (format!("timeline:{}", alice.account_id), format!("timeline:system:{}", alice.account_id));
    let mut ws = Ws::open(&server, "/?stream=user", &alice.token).await;
    let mut sse = Sse::open(&server, "/api/v1/streaming/user", &alice.token).await;
    redis.wait_for_subscribers(&home, 1).await;
    redis.wait_for_subscribers(&system, 1).await;
    let mut received = server.metric(RECEIVED, &[]).await;
    for (channel, message) in [
        (&home, event("delete", "1")),
        (&home, "no JSON".to_owned()),
        (&home, "[]".to_owned()),
        (&home, json!({"payload": "no event"}).to_string()),
        (&home, json!({"event": "update", "payload": null}).to_string()),
        (&home, json!({"event": "update", "payload": ""}).to_string()),
        (&system, json!({"event": "filters_changed"}).to_string()),
        (&system, json!({"event": "nothing known"}).to_string()),
        (&system, "no JSON".to_owned()),
    ] {
        redis.publish(channel, &message).await;
        received += 1.0;
        server.wait_for_metric(RECEIVED, &[], received).await;
    }
    assert_eq!((ws.next_event().await.event, sse.next_event().await.event), ("delete".into(), "delete".into()));
    wait_for_sent(&server, (1.0, 1.0)).await;
    // What nobody is subscribed to does not come.
    assert_eq!(redis.publish("timeline:public", event("delete", "1")).await, 0);
    assert_eq!(server.metric(RECEIVED, &[]).await, received);
}

#[tokio::test]
async fn each_client_that_gets_an_event_counts_as_a_message_sent() {
    let Stage { server, redis, db } = Stage::start().await;
    let (alice, bob) = (db.person("alice").await, db.person("bob").chosen_languages(&["de"]).await);
    let mut first = Ws::open(&server, "/?stream=public", &alice.token).await;
    let mut second = Ws::open(&server, "/?stream=public", &alice.token).await;
    let mut picky = Ws::open(&server, "/?stream=public", &bob.token).await;
    let mut stream = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
    let mut picky_stream = Sse::open(&server, "/api/v1/streaming/public", &bob.token).await;
    server.wait_for_metric("connected_channels", &[("type", "websocket"), ("channel", "public")], 3.0).await;
    redis.wait_for_subscribers("timeline:public", 1).await;
    // English: for three of the five.
    redis.publish("timeline:public", update(&status(1, &alice))).await;
    for ws in [&mut first, &mut second] {
        ws.next_event().await;
    }
    stream.next_event().await;
    wait_for_sent(&server, (2.0, 1.0)).await;
    redis.publish("timeline:public", event("delete", "1")).await;
    for ws in [&mut first, &mut second, &mut picky] {
        assert_eq!(ws.next_event().await.event, "delete");
    }
    stream.next_event().await;
    assert_eq!(picky_stream.next_event().await.event, "delete");
    wait_for_sent(&server, (5.0, 3.0)).await;
}

#[tokio::test]
async fn an_event_for_two_streams_of_one_client_counts_twice() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let channel = format!("timeline:{}:notifications", alice.account_id);
    let mut ws = Ws::open(&server, "/?stream=user", &alice.token).await;
    ws.subscribe("user:notification").await;
    ws.silent_so_far().await;
    redis.wait_for_subscribers(&channel, 1).await;
    redis.publish(&channel, event("notification", json!({"id": "1"}))).await;
    ws.next_event().await;
    ws.next_event().await;
    wait_for_sent(&server, (2.0, 0.0)).await;
}

#[tokio::test]
async fn errors_pongs_and_first_bytes_are_no_messages_sent() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let mut ws = Ws::open(&server, "/?stream=nothing", &alice.token).await;
    ws.expect_error("Unknown stream type", 400).await;
    ws.send_frame(Frame::new(frames::PING, "")).await;
    assert_eq!(ws.next_message().await, Message::Pong(Vec::new()));
    let _sse = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
    wait_for_sent(&server, (0.0, 0.0)).await;
}
