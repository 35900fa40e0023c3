//! The table of streams and channels, for each transport.

use serde_json::json;

use super::support::*;

/// A stream as a WebSocket names it, as an event stream's path names it, and its channels.
type Row<'a> = (&'a str, &'a str, Vec<&'a str>);

/// Opens the stream in both ways, sees that exactly its channels are subscribed, and that it gets what is published on each.
async fn check(scene: &Scene, who: &Person, (query, path, channels): Row<'_>) {
    scene.wait_for_channels(&[]).await;
    let mut ws = Ws::open(&scene.server, &format!("/?{query}"), &who.token).await;
    scene.wait_for_channels(&channels).await;
    for channel in &channels {
        scene.redis.publish(channel, event("delete", *channel)).await;
        assert_eq!(ws.next_event().await.payload, Some(json!(channel)), "{query}");
    }
    drop(ws);
    scene.wait_for_channels(&[]).await;
    if path.is_empty() {
        return;
    }
    let mut sse = Sse::open(&scene.server, &format!("/api/v1/streaming/{path}"), &who.token).await;
    scene.wait_for_channels(&channels).await;
    for channel in &channels {
        scene.redis.publish(channel, event("delete", *channel)).await;
        assert_eq!(sse.next_event().await.data(), *channel, "{path}");
    }
}

#[tokio::test]
async fn public_streams_are_channels_of_the_same_name() {
    let scene = Scene::start().await;
    for (name, path) in [
        ("public", "public"),
        ("public:media", "public?only_media=true"),
        ("public:local", "public/local"),
        ("public:local:media", "public/local?only_media=1"),
        ("public:remote", "public/remote?only_media=0"),
        ("public:remote:media", "public/remote?only_media=yes"),
    ] {
        let channel = format!("timeline:{name}");
        check(&scene, &scene.alice, (&format!("stream={name}"), path, vec![&channel])).await;
    }
    check(&scene, &scene.alice, ("stream=public:allow_local_only", "", vec!["timeline:public"])).await;
    check(&scene, &scene.alice, ("stream=public:allow_local_only:media", "", vec!["timeline:public:media"])).await;
}

#[tokio::test]
async fn hashtags_lists_and_conversations_have_channels_of_their_own() {
    let scene = Scene::start().await;
    let list = scene.db.list(scene.alice.account_id).await;
    let list_channel = format!("timeline:list:{list}");
    let list_query = format!("stream=list&list={list}");
    let list_path = format!("list?list={list}");
    let direct = format!("timeline:direct:{}", scene.alice.account_id);
    let rows: [Row; 5] = [
        ("stream=hashtag&tag=Rust", "hashtag?tag=Rust", vec!["timeline:hashtag:rust"]),
        ("stream=hashtag:local&tag=Rust", "hashtag/local?tag=Rust", vec!["timeline:hashtag:rust:local"]),
        ("stream=hashtag&tag=Rust", "hashtag?tag=Rust&only_media=true", vec!["timeline:hashtag:rust"]),
        (&list_query, &list_path, vec![&list_channel]),
        ("stream=direct", "direct", vec![&direct]),
    ];
    for row in rows {
        check(&scene, &scene.alice, row).await;
    }
}

#[tokio::test]
async fn the_home_feed_comes_with_notifications_if_the_token_may_read_them() {
    let scene = Scene::start().await;
    for (name, scopes, with_notifications) in [
        ("bob", "read", true),
        ("carol", "read:statuses", false),
        ("dora", "read:statuses read:notifications", true),
        ("emil", "write read:statuses read:notification", false),
    ] {
        let who = scene.db.person(name).scopes(scopes).await;
        let (home, notifications) = own_channels(&who);
        let channels = if with_notifications { vec![&*home, &*notifications] } else { vec![&*home] };
        check(&scene, &who, ("stream=user", "user", channels)).await;
    }
}

#[tokio::test]
async fn notifications_alone_are_one_channel() {
    let scene = Scene::start().await;
    let bob = scene.db.person("bob").scopes("read:notifications").await;
    for who in [&scene.alice, &bob] {
        let (_, notifications) = own_channels(who);
        check(&scene, who, ("stream=user:notification", "user/notification", vec![&*notifications])).await;
    }
}

fn own_channels(who: &Person) -> (String, String) {
    let account = who.account_id;
    (format!("timeline:{account}"), format!("timeline:{account}:notifications"))
}

#[tokio::test]
async fn nobody_gets_what_is_published_for_another_account() {
    let scene = Scene::start().await;
    let bob = scene.db.person("bob").await;
    let mut alices = scene.ws("/?stream=user").await;
    let mut bobs = Ws::open(&scene.server, "/?stream=user", &bob.token).await;
    let (alices_home, _) = own_channels(&scene.alice);
    let (bobs_home, bobs_notifications) = own_channels(&bob);
    for channel in [&alices_home, &bobs_home, &bobs_notifications] {
        scene.redis.wait_for_subscribers(channel, 1).await;
    }
    scene.redis.publish(&bobs_home, event("delete", "1")).await;
    scene.redis.publish(&bobs_notifications, event("notification", json!({"id": "2"}))).await;
    alices.silent_until(&scene.redis, &alices_home).await;
    assert_eq!(bobs.next_event().await.event, "delete");
    assert_eq!(bobs.next_event().await.event, "notification");
    bobs.silent_until(&scene.redis, &bobs_home).await;
}
