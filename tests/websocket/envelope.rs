//! How events look, and whose they are when streams overlap.

use serde_json::{Value, json};

use super::support::*;

/// Subscribes, publishes one event on the channel, and compares the whole message that comes.
async fn check(scene: &Scene, ws: &mut Ws, request: Value, channel: &str, label: Value) {
    let mut subscribe = request.clone();
    subscribe["type"] = json!("subscribe");
    ws.send_json(subscribe).await;
    scene.redis.wait_for_subscribers(channel, 1).await;
    scene.redis.publish(channel, event("delete", "17")).await;
    assert_eq!(ws.next_json().await, json!({"stream": label, "event": "delete", "payload": "17"}), "{request}");
    let mut unsubscribe = request;
    unsubscribe["type"] = json!("unsubscribe");
    ws.send_json(unsubscribe).await;
    scene.redis.wait_for_subscribers(channel, 0).await;
}

#[tokio::test]
async fn an_event_names_its_stream_as_it_was_given() {
    let scene = Scene::start().await;
    let account = scene.alice.account_id;
    let list = scene.db.list(account).await;
    let (mut ws, list_channel) = (scene.ws("/").await, format!("timeline:list:{list}"));
    for name in ["public", "public:media", "public:local", "public:local:media", "public:remote", "public:remote:media"]
    {
        check(&scene, &mut ws, json!({"stream": name}), &format!("timeline:{name}"), json!([name])).await;
    }
    let home = format!("timeline:{account}");
    check(&scene, &mut ws, json!({"stream": "user"}), &home, json!(["user"])).await;
    let notifications = format!("timeline:{account}:notifications");
    check(&scene, &mut ws, json!({"stream": "user:notification"}), &notifications, json!(["user:notification"])).await;
    let direct = format!("timeline:direct:{account}");
    check(&scene, &mut ws, json!({"stream": "direct"}), &direct, json!(["direct"])).await;
    let tag = "Grüße \"♥\"\n";
    let request = json!({"stream": "hashtag", "tag": tag});
    check(&scene, &mut ws, request, "timeline:hashtag:gruße", json!(["hashtag", tag])).await;
    let request = json!({"stream": "hashtag:local", "tag": tag});
    check(&scene, &mut ws, request, "timeline:hashtag:gruße:local", json!(["hashtag:local", tag])).await;
    for given in [json!(list), json!(list.to_string()), json!(format!("0{list}")), json!(format!(" {list} "))] {
        let request = json!({"stream": "list", "list": given});
        check(&scene, &mut ws, request, &list_channel, json!(["list", given])).await;
    }
}

#[tokio::test]
async fn two_spellings_of_a_tag_are_one_subscription_and_echo_the_first() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let spelt = |kind: &str, tag: &str| json!({"type": kind, "stream": "hashtag", "tag": tag});
    for tag in ["Café", "CAFE", "ｃａｆｅ", "cafe"] {
        ws.send_json(spelt("subscribe", tag)).await;
    }
    ws.silent_so_far().await;
    scene.wait_for_channels(&["timeline:hashtag:cafe"]).await;
    scene.redis.publish("timeline:hashtag:cafe", event("delete", "1")).await;
    assert_eq!(ws.next_event().await.stream, json!(["hashtag", "Café"]));
    ws.silent_until(&scene.redis, "timeline:hashtag:cafe").await;
    ws.send_json(spelt("unsubscribe", "cafe")).await;
    scene.wait_for_channels(&[]).await;
}

#[tokio::test]
async fn user_together_with_user_notification_delivers_a_notification_to_both() {
    let scene = Scene::start().await;
    let account = scene.alice.account_id;
    let (home, notifications) = (format!("timeline:{account}"), format!("timeline:{account}:notifications"));
    let mut ws = scene.ws("/?stream=user").await;
    ws.subscribe("user:notification").await;
    ws.silent_so_far().await;
    scene.wait_for_channels(&[&home, &notifications]).await;
    scene.redis.publish(&notifications, event("notification", json!({"id": "5"}))).await;
    let mut labels = Vec::new();
    for _ in 0..2 {
        let event = ws.next_event().await;
        assert_eq!((event.event.as_str(), event.json()), ("notification", json!({"id": "5"})));
        labels.push(event.stream.to_string());
    }
    labels.sort();
    assert_eq!(labels, [r#"["user"]"#, r#"["user:notification"]"#]);
    // What is on the home feed comes once.
    scene.redis.publish(&home, event("delete", "1")).await;
    assert_eq!(ws.next_event().await.stream, json!(["user"]));
    // One of the two can be left without the other.
    ws.unsubscribe("user").await;
    scene.wait_for_channels(&[&notifications]).await;
    scene.redis.publish(&notifications, event("notification", json!({"id": "6"}))).await;
    assert_eq!(ws.next_event().await.stream, json!(["user:notification"]));
    ws.silent_until(&scene.redis, &notifications).await;
}
