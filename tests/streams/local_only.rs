//! glitch-soc: statuses that do not federate.

use serde_json::{Value, json};

use super::support::*;

/// A watcher, the channel that it watches, and whether it is shown statuses that do not federate.
type Row = (String, String, bool);

fn rows(account: i64, list: i64) -> Vec<Row> {
    let row = |query: &str, channel: &str, shown| (query.to_owned(), format!("timeline:{channel}"), shown);
    vec![
        row("stream=public", "public", false),
        row("stream=public:media", "public:media", false),
        row("stream=public&allow_local_only=true", "public", true),
        row("stream=public:media&allow_local_only=1", "public:media", true),
        row("stream=public:allow_local_only", "public", true),
        row("stream=public:allow_local_only:media", "public:media", true),
        row("stream=public:local", "public:local", true),
        row("stream=public:local:media", "public:local:media", true),
        row("stream=public:remote", "public:remote", false),
        row("stream=public:remote&allow_local_only=true", "public:remote", false),
        row("stream=public:remote:media&allow_local_only=true", "public:remote:media", false),
        row("stream=hashtag&tag=a", "hashtag:a", true),
        row("stream=hashtag:local&tag=a", "hashtag:a:local", true),
        row("stream=user", &account.to_string(), true),
        row("stream=user:notification", &format!("{account}:notifications"), true),
        row(&format!("stream=list&list={list}"), &format!("list:{list}"), true),
        row("stream=direct", &format!("direct:{account}"), true),
    ]
}

async fn expect(ws: &mut Ws, redis: &Redis, channel: &str, message: &str, shown: bool, what: &str) {
    redis.publish(channel, message).await;
    if shown {
        let name = ws.next_event().await.event;
        assert_ne!(name, "marker", "{what}");
    }
    eprintln!("{what}: {message:.40} … {shown}");
    ws.silent_until(redis, channel).await;
}

#[tokio::test]
async fn a_status_that_does_not_federate_goes_where_it_may() {
    let scene = Scene::start().await;
    let list = scene.db.list(scene.alice.account_id).await;
    let local_only = status(1, &scene.alice).with("local_only", true);
    for (query, channel, shown) in rows(scene.alice.account_id, list) {
        let mut ws = scene.ws(&format!("/?{query}")).await;
        scene.redis.wait_for_subscribers(&channel, 1).await;
        for name in ["update", "status.update"] {
            expect(&mut ws, &scene.redis, &channel, &event(name, &local_only), shown, &query).await;
        }
        // Any other status goes everywhere, and so does what is no status.
        expect(&mut ws, &scene.redis, &channel, &update(&status(2, &scene.alice)), true, &query).await;
        let other = event("announcement", json!({"local_only": true}));
        expect(&mut ws, &scene.redis, &channel, &other, true, &query).await;
        drop(ws);
        scene.wait_for_channels(&[]).await;
    }
}

#[tokio::test]
async fn whether_a_status_federates_is_decided_as_ecmascript_would() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/?stream=public").await;
    scene.redis.wait_for_subscribers("timeline:public", 1).await;
    for (value, federates) in [
        (json!(false), true),
        (Value::Null, true),
        (json!(0), true),
        (json!(""), true),
        (json!("false"), false),
        (json!(1), false),
        (json!([]), false),
        (json!({}), false),
    ] {
        let message = update(&status(1, &scene.alice).with("local_only", value.clone()));
        expect(&mut ws, &scene.redis, "timeline:public", &message, federates, &value.to_string()).await;
    }
}

#[tokio::test]
async fn the_permission_is_asked_for_by_any_value_that_is_not_false() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let message = update(&status(1, &scene.alice).with("local_only", true));
    for (value, allowed) in [
        (json!(true), true),
        (json!(1), true),
        (json!("true"), true),
        (json!("no"), true),
        (json!(false), false),
        (json!(0), false),
        (Value::Null, false),
        (json!(""), false),
        (json!("0"), false),
        (json!("f"), false),
        (json!("FALSE"), false),
        (json!("off"), false),
    ] {
        ws.send_json(json!({"type": "subscribe", "stream": "public", "allow_local_only": value})).await;
        scene.redis.wait_for_subscribers("timeline:public", 1).await;
        expect(&mut ws, &scene.redis, "timeline:public", &message, allowed, &value.to_string()).await;
        ws.unsubscribe("public").await;
        ws.silent_so_far().await;
        scene.wait_for_channels(&[]).await;
    }
}

#[tokio::test]
async fn an_event_stream_takes_the_permission_as_a_parameter() {
    let scene = Scene::start().await;
    let local_only = update(&status(1, &scene.alice).with("local_only", true));
    for (target, channel, allowed) in [
        ("public?allow_local_only=true", "timeline:public", true),
        ("public?only_media=1&allow_local_only=yes", "timeline:public:media", true),
        ("public?allow_local_only=false&allow_local_only=false", "timeline:public", true),
        ("public?allow_local_only=off", "timeline:public", false),
        ("public?allow_local_only", "timeline:public", false),
        ("public/remote?allow_local_only=true", "timeline:public:remote", false),
        ("public/local", "timeline:public:local", true),
    ] {
        let mut sse = scene.sse(&format!("/api/v1/streaming/{target}")).await;
        scene.redis.wait_for_subscribers(channel, 1).await;
        scene.redis.publish(channel, &local_only).await;
        if allowed {
            assert_eq!(sse.next_event().await.event, "update", "{target}");
        }
        sse.silent_until(&scene.redis, channel).await;
        drop(sse);
        scene.wait_for_channels(&[]).await;
    }
}

#[tokio::test]
async fn the_streams_with_the_permission_are_named_as_they_were_given() {
    let scene = Scene::start().await;
    for (name, channel) in
        [("public:allow_local_only", "timeline:public"), ("public:allow_local_only:media", "timeline:public:media")]
    {
        let mut ws = scene.ws(&format!("/?stream={name}")).await;
        scene.redis.wait_for_subscribers(channel, 1).await;
        scene.redis.publish(channel, event("delete", "1")).await;
        assert_eq!(ws.next_event().await.stream, json!([name]));
    }
}
