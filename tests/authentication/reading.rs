//! What is read once at connect, what at each subscription, what at each event.

use serde_json::json;

use crate::support::*;
use crate::{INVALID, of_token, refused};

const PUBLIC: &str = "timeline:public";
const DISABLED: &str = "--- disabled\n";

/// What a viewer is at connect, as one who may see closed feeds and reads English, and what it becomes afterwards.
async fn viewer_and_change(db: &Database) -> (Person, String) {
    let alice = db.person("alice").scopes("read").chosen_languages(&["en"]).role(1 << 20).await;
    db.setting("local_live_feed_access", DISABLED).await;
    let change = format!(
        "UPDATE oauth_access_tokens SET scopes = 'write' WHERE id = {}; \
         UPDATE users SET chosen_languages = '{{de}}', role_id = NULL WHERE id = {}",
        alice.token_id, alice.user_id
    );
    (alice, change)
}

#[tokio::test]
async fn scopes_languages_and_role_of_a_websocket_are_those_of_its_connecting() {
    let Stage { server, redis, db } = Stage::start().await;
    let (alice, change) = viewer_and_change(&db).await;
    let mut ws = Ws::open(&server, "/", &alice.token).await;
    db.execute(change).await;
    ws.subscribe("public").await;
    redis.wait_for_subscribers(PUBLIC, 1).await;
    ws.silent_so_far().await;
    redis.publish(PUBLIC, update(&status(1, &alice).language("de"))).await;
    ws.silent_until(&redis, PUBLIC).await;
    redis.publish(PUBLIC, update(&status(2, &alice).language("en"))).await;
    assert_eq!(ws.next_event().await.json()["id"], "2");
    // A new connection reads all of it anew.
    let mut new = Ws::open(&server, "/?stream=public", &alice.token).await;
    new.expect_error("Access token does not have the required scopes", 401).await;
}

#[tokio::test]
async fn languages_and_role_of_an_event_stream_are_those_of_its_connecting() {
    let Stage { server, redis, db } = Stage::start().await;
    let (alice, change) = viewer_and_change(&db).await;
    let mut old = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
    db.execute(change).await;
    db.execute("UPDATE oauth_access_tokens SET scopes = 'read'").await;
    let mut new = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
    redis.wait_for_subscribers(PUBLIC, 1).await;
    let bob = db.account("bob@remote.example").await;
    redis.publish(PUBLIC, update(&status(1, &alice).language("en"))).await;
    redis.publish(PUBLIC, update(&status(2, &alice).language("de"))).await;
    redis.publish(PUBLIC, update(&status(3, &bob).language("de"))).await;
    redis.publish(PUBLIC, event("delete", "4")).await;
    // The old one reads English and may see what the instance closed; the new one reads German and may not.
    assert_eq!(old.next_event().await.json()["id"], "1");
    assert_eq!(old.next_event().await.event, "delete");
    assert_eq!(new.next_event().await.json()["id"], "3");
    assert_eq!(new.next_event().await.event, "delete");
}

#[tokio::test]
async fn the_role_that_counts_is_the_users_own() {
    let Stage { server, redis, db } = Stage::start().await;
    db.setting("local_live_feed_access", DISABLED).await;
    // The role of everyone may do everything in this database, and is not looked at.
    let mut streams = Vec::new();
    for (name, permissions, opens) in [
        ("nobody", None, false),
        ("powerless", Some(0), false),
        ("moderator", Some(!(1 | 1 << 20)), false),
        ("viewer", Some(1 << 20), true),
        ("administrator", Some(1), true),
    ] {
        let person = db.person(name);
        let person = if let Some(permissions) = permissions { person.role(permissions).await } else { person.await };
        streams.push((name, opens, Sse::open(&server, "/api/v1/streaming/public", &person.token).await));
    }
    redis.wait_for_subscribers(PUBLIC, 1).await;
    redis.publish(PUBLIC, update(&status(1, &db.account("carol").await))).await;
    redis.publish(PUBLIC, event("delete", "2")).await;
    for (name, opens, mut stream) in streams {
        assert_eq!(stream.next_event().await.event, if opens { "update" } else { "delete" }, "{name}");
    }
}

#[tokio::test]
async fn a_connection_outlives_its_token_if_nobody_kills_it() {
    for change in [
        "UPDATE oauth_access_tokens SET revoked_at = now()",
        "UPDATE oauth_access_tokens SET expires_in = 0",
        "DELETE FROM oauth_access_tokens",
        "UPDATE users SET disabled = true",
        "UPDATE accounts SET suspended_at = now()",
    ] {
        let Stage { server, redis, db } = Stage::start().await;
        let alice = db.person("alice").await;
        let home = format!("timeline:{}", alice.account_id);
        let mut sse = Sse::open(&server, "/api/v1/streaming/user", &alice.token).await;
        let mut ws = Ws::open(&server, "/?stream=user", &alice.token).await;
        redis.wait_for_subscribers(&home, 1).await;
        server.wait_for_metric("connected_channels", &[("type", "websocket"), ("channel", "user")], 1.0).await;
        db.execute(change).await;
        assert_eq!(of_token(&server, &alice.token).await, refused(INVALID), "{change}");
        redis.publish(&home, event("delete", "1")).await;
        assert_eq!(sse.next_event().await.data(), "1", "{change}");
        assert_eq!(ws.next_event().await.event, "delete", "{change}");
        // Also to open further streams.
        ws.subscribe("public").await;
        redis.wait_for_subscribers(PUBLIC, 1).await;
        ws.silent_so_far().await;
    }
}

#[tokio::test]
async fn a_token_is_looked_up_once_for_a_connection() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let list = db.list(alice.account_id).await;
    let mut ws = Ws::open(&server, "/?stream=public", &alice.token).await;
    ws.send_json(json!({"type": "subscribe", "stream": "list", "list": list})).await;
    ws.subscribe("user").await;
    ws.silent_so_far().await;
    redis.wait_for_subscribers(PUBLIC, 1).await;
    redis.publish(PUBLIC, update(&status(1, &alice))).await;
    ws.next_event().await;
    let look_ups = db.statements().into_iter().filter(|statement| statement.text.contains("oauth_access_tokens"));
    assert_eq!(look_ups.count(), 1);
}

#[tokio::test]
async fn feed_settings_are_read_at_each_subscription() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let mut ws = Ws::open(&server, "/", &alice.token).await;
    let mut sse = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
    let post = async |id: i64| redis.publish(PUBLIC, update(&status(id, &alice))).await;
    // Between connecting and subscribing.
    db.setting("local_live_feed_access", DISABLED).await;
    ws.subscribe("public").await;
    ws.silent_so_far().await;
    redis.wait_for_subscribers(PUBLIC, 1).await;
    post(1).await;
    ws.silent_until(&redis, PUBLIC).await;
    // The event stream was opened before.
    assert_eq!(sse.next_event().await.json()["id"], "1");
    assert_eq!(sse.next_event().await.event, "marker");
    // A change does not concern what is open.
    db.setting("local_live_feed_access", "--- public\n").await;
    post(2).await;
    ws.silent_until(&redis, PUBLIC).await;
    ws.unsubscribe("public").await;
    ws.subscribe("public").await;
    ws.silent_so_far().await;
    post(3).await;
    assert_eq!(ws.next_event().await.json()["id"], "3");
}

#[tokio::test]
async fn the_ownership_of_a_list_is_read_at_each_subscription() {
    let Stage { server, redis, db } = Stage::start().await;
    let (alice, bob) = (db.person("alice").await, db.person("bob").await);
    let list = db.list(bob.account_id).await;
    let channel = format!("timeline:list:{list}");
    let subscription = json!({"type": "subscribe", "stream": "list", "list": list});
    let mut ws = Ws::open(&server, "/", &alice.token).await;
    ws.send_json(subscription.clone()).await;
    ws.expect_error("Not authorized to stream this list", 401).await;
    db.execute(format!("UPDATE lists SET account_id = {}", alice.account_id)).await;
    ws.send_json(subscription.clone()).await;
    redis.wait_for_subscribers(&channel, 1).await;
    // What is open stays open.
    db.execute("DELETE FROM lists").await;
    redis.publish(&channel, event("delete", "1")).await;
    assert_eq!(ws.next_event().await.event, "delete");
    ws.send_json(json!({"type": "unsubscribe", "stream": "list", "list": list})).await;
    ws.send_json(subscription).await;
    ws.expect_error("Not authorized to stream this list", 401).await;
}

#[tokio::test]
async fn blocks_mutes_and_domain_blocks_are_read_at_each_event() {
    let Stage { server, redis, db } = Stage::start().await;
    let (alice, bob) = (db.person("alice").await, db.account("bob@remote.example").await);
    let mut ws = Ws::open(&server, "/?stream=public", &alice.token).await;
    redis.wait_for_subscribers(PUBLIC, 1).await;
    let post = async |id: i64| redis.publish(PUBLIC, update(&status(id, &bob))).await;
    let shown = async |ws: &mut Ws, id: i64| {
        post(id).await;
        assert_eq!(ws.next_event().await.json()["id"], id.to_string());
    };
    let hidden = async |ws: &mut Ws, id: i64| {
        post(id).await;
        ws.silent_until(&redis, PUBLIC).await;
    };
    shown(&mut ws, 1).await;
    db.block(alice.account_id, bob.account_id).await;
    hidden(&mut ws, 2).await;
    db.execute("DELETE FROM blocks").await;
    shown(&mut ws, 3).await;
    db.mute(alice.account_id, bob.account_id).await;
    hidden(&mut ws, 4).await;
    db.execute("DELETE FROM mutes").await;
    shown(&mut ws, 5).await;
    db.block_domain(alice.account_id, "remote.example").await;
    hidden(&mut ws, 6).await;
    db.execute("DELETE FROM account_domain_blocks").await;
    shown(&mut ws, 7).await;
}
