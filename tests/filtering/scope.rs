//! What is screened at all, and in which order the rules apply.

use crate::support::*;

#[tokio::test]
async fn other_streams_are_not_screened() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").chosen_languages(&[]).await;
    let bob = stage.db.account("bob@remote.example").await;
    let me = alice.account_id;
    stage.db.block(me, bob.account_id).await;
    stage.db.mute(me, bob.account_id).await;
    stage.db.block(bob.account_id, me).await;
    stage.db.block_domain(me, "remote.example").await;
    stage.db.filter(me, "birds").keyword("heron").await;
    let list = stage.db.list(me).await;
    let streams = [
        ("user".to_owned(), format!("timeline:{me}")),
        ("user:notification".to_owned(), format!("timeline:{me}:notifications")),
        ("direct".to_owned(), format!("timeline:direct:{me}")),
        (format!("list&list={list}"), format!("timeline:list:{list}")),
    ];
    let status = status(1, &bob).content("<p>a heron</p>");
    for (stream, channel) in streams {
        let mut both = stage.both(&alice, &stream).await;
        for kind in ["update", "status.update"] {
            stage.publish(&channel, event(kind, status.clone())).await;
            assert_eq!(both.next().await.json(), *status.value(), "as it was published on {stream}");
            // What screening could not read passes too.
            stage.publish(&channel, event(kind, "no status")).await;
            assert_eq!(both.next().await.payload, "no status");
        }
    }
}

#[tokio::test]
async fn all_eight_filtered_streams_are_screened() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let (bob, carol) = (stage.db.account("bob@remote.example").await, stage.db.account("carol").await);
    stage.db.block(alice.account_id, bob.account_id).await;
    stage.db.filter(alice.account_id, "birds").keyword("heron").await;
    let hashtags = ["hashtag&tag=cats", "hashtag:local&tag=cats"];
    let public =
        ["public", "public:local", "public:remote", "public:media", "public:local:media", "public:remote:media"];
    for stream in public.into_iter().chain(hashtags) {
        let channel = match stream {
            "hashtag&tag=cats" => "timeline:hashtag:cats".to_owned(),
            "hashtag:local&tag=cats" => "timeline:hashtag:cats:local".to_owned(),
            other => format!("timeline:{other}"),
        };
        let mut ws = stage.ws(&alice, stream).await;
        stage.publish(&channel, update(&status(1, &bob))).await;
        stage.publish(&channel, update(&status(2, &carol).content("heron"))).await;
        let seen = ws.next_event().await.json();
        assert_eq!((&seen["id"], &seen["filtered"][0]["filter"]["title"]), (&"2".into(), &"birds".into()), "{stream}");
    }
}

#[tokio::test]
async fn a_rule_is_not_asked_when_one_before_it_has_dropped_the_event() {
    let stage = Stage::start().await;
    let german = stage.db.person("german").chosen_languages(&["de"]).await;
    let ordinary = stage.db.person("ordinary").await;
    let (bob, lucy) = (stage.db.account("bob@remote.example").await, stage.db.account("lucy").await);
    stage.db.setting("local_live_feed_access", "--- disabled\n").await;
    let mut both = stage.both(&german, "public").await;
    let mut of_ordinary = stage.both(&ordinary, "public").await;
    // Closed to both by the first rule, in a language that one of them reads.
    stage.publish("timeline:public", update(&status(1, &lucy).language("de"))).await;
    both.silent_until(&stage.redis, "timeline:public").await;
    of_ordinary.silent_until(&stage.redis, "timeline:public").await;
    assert_eq!(stage.db.count_statements("FROM blocks"), 0, "nobody is left whose relations matter");
    // Closed to one of them by the second rule.
    stage.publish("timeline:public", update(&status(2, &bob).language("en"))).await;
    assert_eq!(of_ordinary.next().await.json()["id"], "2");
    both.silent_until(&stage.redis, "timeline:public").await;
    let asked =
        |part: &str| stage.db.statements().into_iter().rfind(|one| one.text.contains(part)).expect("it was asked");
    for part in ["FROM blocks", "FROM custom_filters"] {
        let text = asked(part).text;
        assert!(text.contains(&ordinary.account_id.to_string()), "{text}");
        assert!(!text.contains(&german.account_id.to_string()), "{text}");
    }
    of_ordinary.silent_until(&stage.redis, "timeline:public").await;
    // Closed to one of them by the third rule: the filters of one are still unread.
    stage.db.block(german.account_id, bob.account_id).await;
    let filters = stage.db.count_statements("FROM custom_filters");
    stage.publish("timeline:public", update(&status(3, &bob).language("de"))).await;
    assert_eq!(of_ordinary.next().await.json()["id"], "3");
    both.silent_until(&stage.redis, "timeline:public").await;
    assert_eq!(stage.db.count_statements("FROM custom_filters"), filters);
}
