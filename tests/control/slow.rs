//! A kill while statuses wait to be screened.

use crate::support::*;

const KILL: &str = r#"{"event":"kill"}"#;

#[tokio::test]
async fn what_was_published_before_a_kill_is_delivered_although_its_screening_is_slow_and_nothing_after_it() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let witness = stage.db.person("witness").await;
    let mut both = stage.both(&alice, "public").await;
    let mut witness = stage.both(&witness, "public").await;
    let lock = stage.db.lock("blocks").await;
    for number in 1..=20 {
        stage.publish("timeline:public", update(&status(number, &bob).filtered(0))).await;
        stage.publish("timeline:public", event("delete", number.to_string())).await;
    }
    lock.wait_for_waiting(1).await;
    stage.publish(&format!("timeline:access_token:{}", alice.token_id), KILL).await;
    stage.publish("timeline:public", update(&status(21, &bob).filtered(0))).await;
    stage.publish("timeline:public", event("delete", "21")).await;
    // The sessions have left already, and only what waits keeps their connections open.
    stage.server.wait_for_metric("connected_clients", &[("type", "websocket")], 1.0).await;
    stage.server.wait_for_metric("connected_clients", &[("type", "eventsource")], 1.0).await;
    lock.release().await;
    for number in 1..=21 {
        let own = if number < 21 { Some(&mut both) } else { None };
        for both in own.into_iter().chain([&mut witness]) {
            assert_eq!(both.next().await.json()["id"], number.to_string());
            assert_eq!(both.next().await.payload, number.to_string());
        }
    }
    assert_eq!(both.ws.expect_close().await, None);
    assert_eq!(both.sse.closed().await, Ending::Regular);
}

#[tokio::test]
async fn a_killed_session_that_waits_for_a_screening_gets_nothing_published_later_on_any_channel() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let token = stage.db.token(&alice, "read").await;
    let witness = Person { token_id: token.id, token: token.token, ..alice.clone() };
    let home = format!("timeline:{}", alice.account_id);
    let mut ws = stage.ws(&alice, "public").await;
    for stream in ["user", "public:local", "direct"] {
        ws.subscribe(stream).await;
    }
    ws.silent_so_far().await;
    let mut witnesses = [
        (stage.ws(&witness, "public:local").await, "timeline:public:local"),
        (stage.ws(&witness, "user").await, &*home),
    ];
    let lock = stage.db.lock("blocks").await;
    stage.publish("timeline:public", update(&status(1, &bob).filtered(0))).await;
    lock.wait_for_waiting(1).await;
    stage.publish(&home, event("x", "before")).await;
    stage.publish(&format!("timeline:system:{}", alice.account_id), r#"{"event":"nothing"}"#).await;
    stage.publish(&format!("timeline:access_token:{}", alice.token_id), KILL).await;
    for (witness, channel) in &mut witnesses {
        stage.publish(channel, event("delete", "after")).await;
        if *channel == home {
            assert_eq!(witness.next_event().await.payload, Some("before".into()));
        }
        assert_eq!(witness.next_event().await.payload, Some("after".into()));
    }
    // Its requests are not served any more either.
    ws.subscribe("public:remote").await;
    lock.release().await;
    assert_eq!(ws.next_event().await.payload, Some("before".into()));
    assert_eq!(ws.next_event().await.json()["id"], "1");
    assert_eq!(ws.expect_close().await, None);
    assert_eq!(stage.redis.subscribers("timeline:public:remote").await, 0);
}

#[tokio::test]
async fn a_kill_of_one_viewer_does_not_touch_what_waits_for_another() {
    let stage = Stage::start().await;
    let (alice, carol) = (stage.db.person("alice").await, stage.db.person("carol").await);
    let bob = stage.db.account("bob@remote.example").await;
    let mut of_alice = stage.both(&alice, "hashtag&tag=cats").await;
    let mut of_carol = stage.both(&carol, "hashtag&tag=cats").await;
    let lock = stage.db.lock("blocks").await;
    stage.publish("timeline:hashtag:cats", update(&status(1, &bob))).await;
    lock.wait_for_waiting(1).await;
    stage.publish(&format!("timeline:system:{}", alice.account_id), KILL).await;
    stage.publish("timeline:hashtag:cats", update(&status(2, &bob))).await;
    lock.release().await;
    assert_eq!(of_alice.next().await.json()["id"], "1");
    assert_eq!(of_alice.ws.expect_close().await, None);
    assert_eq!(of_alice.sse.closed().await, Ending::Regular);
    for id in ["1", "2"] {
        assert_eq!(of_carol.next().await.json()["id"], id);
    }
}

#[tokio::test]
async fn a_connection_killed_during_a_look_up_ends_at_once_and_leaves_nothing_subscribed() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let list = stage.db.list(alice.account_id).await;
    let mut ws = stage.ws(&alice, "user").await;
    let lock = stage.db.lock("lists").await;
    ws.send_json(serde_json::json!({"type": "subscribe", "stream": "list", "list": list})).await;
    lock.wait_for_waiting(1).await;
    stage.publish(&format!("timeline:access_token:{}", alice.token_id), KILL).await;
    assert_eq!(ws.expect_close().await, None);
    lock.release().await;
    stage.redis.wait_for_subscribers(&format!("timeline:{}", alice.account_id), 0).await;
    assert_eq!(stage.redis.subscribers(&format!("timeline:list:{list}")).await, 0);
    assert_eq!(stage.redis.get(&format!("subscribed:timeline:list:{list}")).await, None);
}
