//! Messages take effect in the order in which they came, also while a look-up is slow; and a connection that ends during
//! one ends at once.

use serde_json::{Value, json};

use super::support::frames::{CLOSE, PING};
use super::support::*;

fn list(kind: &str, list: i64) -> Value {
    json!({"type": kind, "stream": "list", "list": list})
}

fn refusal(message: &str, status: u16) -> Value {
    json!({"error": message, "status": status})
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_messages_also_if_the_first_needs_a_slow_look_up() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let lock = scene.db.lock("lists").await;
    ws.send_json(list("subscribe", 4711)).await;
    ws.subscribe("nonsense").await;
    ws.unsubscribe("nonsense").await;
    ws.send_json(list("unsubscribe", 4712)).await;
    ws.subscribe("hashtag").await;
    lock.wait_for_waiting(1).await;
    lock.release().await;
    let foreign = refusal("Not authorized to stream this list", 401);
    assert_eq!(ws.next_json().await, foreign);
    assert_eq!(ws.next_json().await, refusal("Unknown stream type", 400));
    let unsubscribing = json!({"error": "Error unsubscribing from channel"});
    assert_eq!([ws.next_json().await, ws.next_json().await], [unsubscribing.clone(), unsubscribing]);
    assert_eq!(ws.next_json().await, refusal("Missing tag name parameter", 400));
}

#[tokio::test]
async fn effects_come_in_the_order_of_the_messages_also_if_a_look_up_is_slow() {
    let scene = Scene::start().await;
    let own = scene.db.list(scene.alice.account_id).await;
    let mut ws = scene.ws("/").await;
    let lock = scene.db.lock("lists").await;
    ws.send_json(list("subscribe", own)).await;
    ws.subscribe("public").await;
    ws.send_json(list("unsubscribe", own)).await;
    ws.unsubscribe("public").await;
    ws.subscribe("direct").await;
    lock.wait_for_waiting(1).await;
    lock.release().await;
    let direct = format!("timeline:direct:{}", scene.alice.account_id);
    scene.wait_for_channels(&[&direct]).await;
    for (channel, count) in [("list", 0.0), ("public", 0.0), ("direct", 1.0)] {
        let labels = [("type", "websocket"), ("channel", channel)];
        scene.server.wait_for_metric("connected_channels", &labels, count).await;
    }
    ws.silent_so_far().await;
}

#[tokio::test]
async fn a_long_queue_behind_a_slow_look_up_keeps_its_order() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let lock = scene.db.lock("lists").await;
    ws.send_json(list("subscribe", 4711)).await;
    let pattern: Vec<bool> = (0..300).map(|number| number % 3 == 0 || number % 7 == 0).collect();
    for tells_tag in &pattern {
        ws.subscribe(if *tells_tag { "hashtag" } else { "nonsense" }).await;
    }
    lock.wait_for_waiting(1).await;
    lock.release().await;
    ws.expect_error("Not authorized to stream this list", 401).await;
    for tells_tag in pattern {
        ws.expect_error(if tells_tag { "Missing tag name parameter" } else { "Unknown stream type" }, 400).await;
    }
}

#[tokio::test]
async fn events_and_pings_do_not_wait_for_a_look_up() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/?stream=user").await;
    let home = format!("timeline:{}", scene.alice.account_id);
    scene.redis.wait_for_subscribers(&home, 1).await;
    let lock = scene.db.lock("lists").await;
    ws.send_json(list("subscribe", 4711)).await;
    lock.wait_for_waiting(1).await;
    scene.redis.publish(&home, event("delete", "1")).await;
    assert_eq!(ws.next_event().await.payload, Some(json!("1")));
    ws.send_frame(Frame::new(PING, "still there")).await;
    assert_eq!(ws.next_message().await, Message::Pong(b"still there".to_vec()));
    lock.release().await;
    ws.expect_error("Not authorized to stream this list", 401).await;
}

/// The ways in which a connection ends.
enum End {
    Killed,
    Closed,
    Gone,
}

#[tokio::test]
async fn a_connection_that_ends_during_a_look_up_ends_at_once_and_leaves_nothing_subscribed() {
    let scene = Scene::start().await;
    let own = scene.db.list(scene.alice.account_id).await;
    for end in [End::Killed, End::Closed, End::Gone] {
        let mut ws = scene.ws("/?stream=public").await;
        scene.wait_for_channels(&["timeline:public"]).await;
        let lock = scene.db.lock("lists").await;
        ws.send_json(list("subscribe", own)).await;
        // However much waits behind it.
        for _ in 0..200 {
            ws.subscribe("public:local").await;
        }
        lock.wait_for_waiting(1).await;
        match end {
            End::Killed => {
                let channel = format!("timeline:access_token:{}", scene.alice.token_id);
                scene.redis.publish(&channel, event("kill", "")).await;
                assert_eq!(ws.expect_close().await, None);
            }
            End::Closed => assert_eq!(ws.close(Frame::new(CLOSE, "")).await, None),
            End::Gone => drop(ws),
        }
        // The look-up is still under way.
        scene.wait_for_nobody().await;
        lock.wait_for_waiting(1).await;
        lock.release().await;
        // A second connection: by the time its look-up is answered, the first one's would have taken effect.
        let mut other = scene.ws("/").await;
        other.send_json(list("subscribe", 4711)).await;
        other.expect_error("Not authorized to stream this list", 401).await;
        scene.wait_for_channels(&[]).await;
        drop(other);
        scene.wait_for_nobody().await;
    }
}
