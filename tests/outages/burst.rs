//! Bursts on one channel.

use crate::support::*;

const BURST: usize = 20_000;

/// Publishes a burst to a stream that a WebSocket and an event stream watch, and requires all of it, in order.
async fn nothing_is_lost(channel: &str, ws_query: &str, sse_path: &str, message: impl Fn(usize, &Account) -> String) {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let (alice, bob) = (db.person("alice").await, db.person("bob").await);
    let author = db.account("carol@remote.example").await;
    let server = Server::start(&redis, &db).await;
    let channel = channel.replace("ALICE", &alice.account_id.to_string());
    let mut ws = Ws::open(&server, &format!("/api/v1/streaming?{ws_query}"), &alice.token).await;
    let sse_viewer = if channel.contains(&alice.account_id.to_string()) { &alice } else { &bob };
    let mut sse = Sse::open(&server, sse_path, &sse_viewer.token).await;
    redis.wait_for_subscribers(&channel, 1).await;
    let (reading_ws, reading_sse) = (
        tokio::spawn(async move {
            for number in 0..BURST {
                let event = ws.next_event().await;
                assert_eq!(number_of(event.payload.as_ref().and_then(|payload| payload.as_str())), number);
            }
        }),
        tokio::spawn(async move {
            for number in 0..BURST {
                let event = sse.next_event().await;
                assert_eq!(number_of(Some(&event.data())), number);
            }
        }),
    );
    redis.publish_all(&channel, (0..BURST).map(|number| message(number, &author))).await;
    reading_ws.await.expect("the WebSocket gets everything");
    reading_sse.await.expect("the event stream gets everything");
    assert_eq!(server.metric("redis_messages_received_total", &[]).await, BURST as f64);
    assert_eq!(server.metric("flodgatt_events_dropped_total", &[("cause", "lagged")]).await, 0.0);
}

/// The number in a payload: the payload itself, or a status's id.
fn number_of(payload: Option<&str>) -> usize {
    let json: serde_json::Value = serde_json::from_str(payload.expect("a payload")).expect("it is JSON");
    let number = json.get("id").and_then(|id| id.as_str()?.parse().ok());
    number.or_else(|| json.as_u64()?.try_into().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_twenty_thousand_messages_on_a_home_timeline_loses_none() {
    let message = |number: usize, _: &Account| event("delete", number.to_string());
    nothing_is_lost("timeline:ALICE", "stream=user", "/api/v1/streaming/user", message).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_twenty_thousand_messages_on_a_screened_stream_loses_none() {
    let message = |number: usize, author: &Account| match number % 20 {
        0 => update(&status(number as i64, author)),
        _ => event("delete", number.to_string()),
    };
    nothing_is_lost("timeline:public", "stream=public", "/api/v1/streaming/public", message).await;
}
