//! The keys `subscribed:<channel>`, without which Mastodon does not publish home feeds and notifications.

use serde_json::json;

use super::support::*;

/// The keys that are there, sorted.
async fn keys(redis: &Redis) -> Vec<String> {
    let answer = redis.command(&["KEYS", "*"]).await.array();
    let mut keys: Vec<String> = answer.iter().filter_map(|key| key.text()).collect();
    keys.sort();
    keys
}

#[track_caller]
fn wait_for_keys(redis: &Redis, channels: &[String]) -> impl Future<Output = ()> {
    let mut wanted: Vec<String> = channels.iter().map(|channel| format!("subscribed:{channel}")).collect();
    wanted.sort();
    eventually(format!("exactly {wanted:?}"), move || {
        let wanted = wanted.clone();
        async move {
            let found = keys(redis).await;
            if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
        }
    })
}

fn own_channels(who: &Person) -> [String; 2] {
    let account = who.account_id;
    [format!("timeline:{account}"), format!("timeline:{account}:notifications")]
}

#[tokio::test]
async fn every_channel_of_an_open_stream_has_a_key_and_no_control_channel_has_one() {
    let scene = Scene::start().await;
    let list = scene.db.list(scene.alice.account_id).await;
    let mut ws = scene.ws("/").await;
    ws.silent_so_far().await;
    assert_eq!(keys(&scene.redis).await, [""; 0]);
    let mut channels = own_channels(&scene.alice).to_vec();
    ws.subscribe("user").await;
    wait_for_keys(&scene.redis, &channels).await;
    for (request, channel) in [
        (json!({"stream": "public:media"}), "timeline:public:media".to_owned()),
        (json!({"stream": "hashtag", "tag": "Ä b"}), "timeline:hashtag:ab".into()),
        (json!({"stream": "list", "list": list}), format!("timeline:list:{list}")),
        (json!({"stream": "direct"}), format!("timeline:direct:{}", scene.alice.account_id)),
    ] {
        let mut request = request;
        request["type"] = json!("subscribe");
        ws.send_json(request).await;
        channels.push(channel);
        wait_for_keys(&scene.redis, &channels).await;
    }
    let _sse = scene.sse("/api/v1/streaming/public/local").await;
    channels.push("timeline:public:local".into());
    wait_for_keys(&scene.redis, &channels).await;
}

#[tokio::test]
async fn a_key_is_1_and_lives_for_1080_seconds() {
    let scene = Scene::start().await;
    let monitor = scene.redis.monitor().await;
    let _ws = scene.ws("/?stream=user").await;
    for channel in own_channels(&scene.alice) {
        let key = format!("subscribed:{channel}");
        monitor.wait_for(&format!(r#""SET" "{key}" "1" "EX" "1080""#)).await;
        assert_eq!(scene.redis.get(&key).await.as_deref(), Some("1"));
        assert!(scene.redis.ttl(&key).await.is_some_and(|seconds| (1_000..=1_080).contains(&seconds)));
    }
}

#[tokio::test]
async fn a_key_is_set_also_while_the_channel_cannot_be_subscribed() {
    let scene = Scene::start().await;
    // Redis lets nobody subscribe to anything any more.
    scene.redis.command(&["ACL", "SETUSER", "default", "resetchannels"]).await;
    let _ws = scene.ws("/?stream=user").await;
    wait_for_keys(&scene.redis, &own_channels(&scene.alice)).await;
    assert_eq!(scene.redis.subscriptions().await, [""; 0]);
}

#[tokio::test]
async fn every_new_connection_renews_the_keys_of_its_streams() {
    let scene = Scene::start().await;
    let [home, notifications] = own_channels(&scene.alice).map(|channel| format!("subscribed:{channel}"));
    let _first = scene.ws("/?stream=user").await;
    wait_for_keys(&scene.redis, &own_channels(&scene.alice)).await;
    let mut others: Vec<Box<dyn Send>> = Vec::new();
    for transport in ["websocket", "eventsource"] {
        for key in [&home, &notifications] {
            scene.redis.command(&["EXPIRE", key, "100"]).await;
        }
        others.push(match transport {
            "websocket" => Box::new(scene.ws("/?stream=user").await),
            _ => Box::new(scene.sse("/api/v1/streaming/user").await),
        });
        for key in [&home, &notifications] {
            eventually(format!("renewal of {key} by {transport}"), || async {
                match scene.redis.ttl(key).await {
                    Some(seconds) if seconds > 1_000 => Ok(()),
                    found => Err(format!("{found:?}")),
                }
            })
            .await;
        }
    }
}

#[tokio::test]
async fn keys_are_left_to_expire_when_their_streams_are_closed() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/?stream=user").await;
    wait_for_keys(&scene.redis, &own_channels(&scene.alice)).await;
    ws.subscribe("public").await;
    scene.redis.wait_for_subscribers("timeline:public", 1).await;
    ws.unsubscribe("public").await;
    scene.redis.wait_for_subscribers("timeline:public", 0).await;
    drop(ws);
    scene.wait_for_nobody().await;
    let [home, notifications] = own_channels(&scene.alice);
    let channels = [home, notifications, "timeline:public".to_owned()];
    wait_for_keys(&scene.redis, &channels).await;
    for channel in channels {
        assert!(scene.redis.ttl(&format!("subscribed:{channel}")).await.is_some_and(|seconds| seconds > 1_000));
    }
}
