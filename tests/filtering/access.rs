//! The first rule: feeds that the instance closed.

use crate::support::*;

const LIVE: [&str; 2] = ["local_live_feed_access", "remote_live_feed_access"];
const TOPIC: [&str; 2] = ["local_topic_feed_access", "remote_topic_feed_access"];
const DISABLED: &str = "--- disabled\n";

const STREAMS: [(&str, &str, bool); 8] = [
    ("public", "timeline:public", false),
    ("public:local", "timeline:public:local", false),
    ("public:remote", "timeline:public:remote", false),
    ("public:media", "timeline:public:media", false),
    ("public:local:media", "timeline:public:local:media", false),
    ("public:remote:media", "timeline:public:remote:media", false),
    ("hashtag&tag=cats", "timeline:hashtag:cats", true),
    ("hashtag:local&tag=cats", "timeline:hashtag:cats:local", true),
];

/// Publishes a local and a remote status; tells which of them came.
async fn seen(stage: &Stage, ws: &mut Ws, channel: &str) -> (bool, bool) {
    let local = Account { account_id: 11, username: "lucy".into(), domain: None };
    let remote = Account { account_id: 12, username: "rob".into(), domain: Some("remote.example".into()) };
    for (author, kind) in [(local, "update"), (remote, "status.update")] {
        stage.publish(channel, event(kind, status(author.account_id, &author).filtered(0))).await;
    }
    stage.publish(channel, event("end", "1")).await;
    let mut seen = (false, false);
    loop {
        let event = ws.next_event().await;
        match &*event.event {
            "update" => seen.0 = true,
            "status.update" => seen.1 = true,
            _ => return seen,
        }
    }
}

#[tokio::test]
async fn each_setting_closes_its_part_of_live_or_topic_feeds() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    for closed in [LIVE, TOPIC].concat() {
        stage.db.execute("DELETE FROM settings").await;
        stage.db.setting(closed, DISABLED).await;
        for (stream, channel, is_topic) in STREAMS {
            let mut ws = stage.ws(&alice, stream).await;
            let is_closed = |settings: [&str; 2], place: usize| settings[place] == closed;
            let settings = if is_topic { TOPIC } else { LIVE };
            let expected = (!is_closed(settings, 0), !is_closed(settings, 1));
            assert_eq!(seen(&stage, &mut ws, channel).await, expected, "{closed} and {stream}");
        }
    }
}

#[tokio::test]
async fn closed_feeds_are_closed_to_event_streams_too() {
    let stage = Stage::start().await;
    let (alice, lucy) = (stage.db.person("alice").await, stage.db.account("lucy").await);
    stage.db.setting("local_live_feed_access", DISABLED).await;
    let mut sse = stage.sse(&alice, "public").await;
    stage.publish("timeline:public", update(&status(1, &lucy))).await;
    sse.silent_until(&stage.redis, "timeline:public").await;
}

#[tokio::test]
async fn only_the_exact_value_closes_a_feed() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let open =
        ["--- authenticated\n", "--- public\n", "--- disabled", "disabled", "--- disabled\n\n", "--- Disabled\n", ""];
    for value in open {
        for setting in LIVE {
            stage.db.setting(setting, value).await;
        }
        let mut ws = stage.ws(&alice, "public").await;
        assert_eq!(seen(&stage, &mut ws, "timeline:public").await, (true, true), "{value:?}");
    }
    stage.db.execute("UPDATE settings SET value = NULL").await;
    let mut ws = stage.ws(&alice, "public").await;
    assert_eq!(seen(&stage, &mut ws, "timeline:public").await, (true, true));
}

#[tokio::test]
async fn closed_feeds_stay_open_to_administrators_and_roles_that_view_feeds() {
    let stage = Stage::start().await;
    for setting in [LIVE, TOPIC].concat() {
        stage.db.setting(setting, DISABLED).await;
    }
    let roles = [
        (None, false),
        (Some(0), false),
        (Some(!(1 | 1 << 20)), false),
        (Some(1 << 19 | 1 << 21 | 1 << 16), false),
        (Some(1 << 20), true),
        (Some(1), true),
        (Some(1 | 1 << 20 | 1 << 5), true),
    ];
    for (number, (permissions, opens)) in roles.into_iter().enumerate() {
        let person = stage.db.person(&format!("person{number}"));
        let person = match permissions {
            Some(permissions) => person.role(permissions).await,
            None => person.await,
        };
        for (stream, channel, _) in [STREAMS[0], STREAMS[6]] {
            let mut ws = stage.ws(&person, stream).await;
            assert_eq!(seen(&stage, &mut ws, channel).await, (opens, opens), "{permissions:?} on {stream}");
        }
    }
}

#[tokio::test]
async fn a_status_is_local_if_username_and_acct_are_equal() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    stage.db.setting("local_live_feed_access", DISABLED).await;
    let mut ws = stage.ws(&alice, "public").await;
    let authors = [
        (serde_json::json!({"id": "1", "username": "bob", "acct": "bob"}), true),
        (serde_json::json!({"id": "1", "username": "Bob", "acct": "bob"}), false),
        (serde_json::json!({"id": "1", "username": "bob", "acct": "bob@local.example"}), false),
        (serde_json::json!({"id": "1", "acct": "bob"}), false),
        (serde_json::json!({"id": "1", "username": null, "acct": "bob"}), false),
    ];
    for (account, is_local) in authors {
        let bob = Account { account_id: 1, username: "bob".into(), domain: None };
        let message = update(&status(1, bob).with("account", account.clone()).filtered(0));
        stage.publish("timeline:public", message).await;
        if !is_local {
            assert_eq!(ws.next_event().await.json()["account"], account);
        }
        ws.silent_until(&stage.redis, "timeline:public").await;
    }
}

#[tokio::test]
async fn deletions_pass_closed_feeds() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    for setting in LIVE {
        stage.db.setting(setting, DISABLED).await;
    }
    let mut both = stage.both(&alice, "public").await;
    stage.publish("timeline:public", event("delete", "1")).await;
    assert_eq!(both.next().await.payload, "1");
}

#[tokio::test]
async fn settings_are_read_at_each_subscription_and_the_role_at_connect() {
    let stage = Stage::start().await;
    let (alice, admin) = (stage.db.person("alice").await, stage.db.person("admin").role(1).await);
    let mut old = stage.ws(&alice, "public").await;
    let mut of_admin = stage.ws(&admin, "public:local").await;
    for setting in LIVE {
        stage.db.setting(setting, DISABLED).await;
    }
    stage.db.execute("UPDATE user_roles SET permissions = 0").await;
    assert_eq!(seen(&stage, &mut old, "timeline:public").await, (true, true), "an open subscription stays as it was");
    assert_eq!(seen(&stage, &mut of_admin, "timeline:public:local").await, (true, true));
    old.unsubscribe("public").await;
    old.subscribe("public").await;
    old.silent_so_far().await;
    assert_eq!(seen(&stage, &mut old, "timeline:public").await, (false, false), "a new one knows the new settings");
    of_admin.subscribe("public").await;
    of_admin.silent_so_far().await;
    old.unsubscribe("public").await;
    old.silent_so_far().await;
    assert_eq!(seen(&stage, &mut of_admin, "timeline:public").await, (true, true), "the role is as it was at connect");
}
