//! While one screening is slow.

use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn events_of_one_channel_never_overtake_each_other() {
    let stage = Stage::start().await;
    let (alice, german) = (stage.db.person("alice").await, stage.db.person("german").chosen_languages(&["de"]).await);
    let (bob, lucy) = (stage.db.account("bob@remote.example").await, stage.db.account("lucy").await);
    let mut both = stage.both(&alice, "public").await;
    let mut of_german = stage.both(&german, "public").await;
    // Only the domain of a remote author is asked for there: local authors would be screened at once.
    let lock = stage.db.lock("account_domain_blocks").await;
    stage.publish("timeline:public", update(&status(1, &bob).language("de"))).await;
    lock.wait_for_waiting(1).await;
    stage.publish("timeline:public", update(&status(2, &lucy).language("de"))).await;
    stage.publish("timeline:public", event("delete", "3")).await;
    stage.publish("timeline:public", update(&status(4, &lucy).filtered(json!([])).language("de"))).await;
    stage.publish("timeline:public", event("delete", "5")).await;
    stage.publish("timeline:public", r#"{"event":"update"}"#).await;
    stage.publish("timeline:public", "no object").await;
    stage.publish("timeline:public", update(&status(6, &lucy))).await;
    lock.release().await;
    for both in [&mut both, &mut of_german] {
        for (kind, id) in [("update", "1"), ("update", "2"), ("delete", "3"), ("update", "4"), ("delete", "5")] {
            let heard = both.next().await;
            let found =
                if kind == "delete" { heard.payload.clone() } else { heard.json()["id"].as_str().unwrap().into() };
            assert_eq!((&*heard.event, &*found), (kind, id));
        }
    }
    assert_eq!(both.next().await.json()["id"], "6");
    of_german.silent_until(&stage.redis, "timeline:public").await;
}

#[tokio::test]
async fn a_slow_channel_holds_up_no_other_channel_and_no_other_stream() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let (bob, lucy) = (stage.db.account("bob@remote.example").await, stage.db.account("lucy").await);
    let list = stage.db.list(alice.account_id).await;
    let mut public = stage.both(&alice, "public").await;
    let others = [
        ("public:local".to_owned(), "timeline:public:local".to_owned()),
        ("hashtag&tag=cats".to_owned(), "timeline:hashtag:cats".to_owned()),
        ("user".to_owned(), format!("timeline:{}", alice.account_id)),
        (format!("list&list={list}"), format!("timeline:list:{list}")),
        ("direct".to_owned(), format!("timeline:direct:{}", alice.account_id)),
    ];
    let mut clients = Vec::new();
    for (stream, channel) in &others {
        clients.push((stage.both(&alice, stream).await, channel));
    }
    let lock = stage.db.lock("account_domain_blocks").await;
    stage.publish("timeline:public", update(&status(1, &bob))).await;
    stage.publish("timeline:public", event("delete", "2")).await;
    lock.wait_for_waiting(1).await;
    for (both, channel) in &mut clients {
        for id in 3..6 {
            stage.publish(channel, update(&status(id, &lucy))).await;
            assert_eq!(both.next().await.json()["id"], id.to_string());
        }
    }
    // New connections and subscriptions are served meanwhile too.
    let mut new = stage.both(&alice, "public:remote").await;
    stage.publish("timeline:public:remote", event("delete", "6")).await;
    assert_eq!(new.next().await.payload, "6");
    lock.release().await;
    assert_eq!(public.next().await.json()["id"], "1");
    assert_eq!(public.next().await.payload, "2");
}

#[tokio::test]
async fn a_client_that_went_away_during_a_screening_does_no_harm() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let (gone, mut both) = (stage.both(&alice, "public").await, stage.both(&alice, "public").await);
    let lock = stage.db.lock("blocks").await;
    stage.publish("timeline:public", update(&status(1, &bob))).await;
    lock.wait_for_waiting(1).await;
    drop(gone);
    for transport in ["websocket", "eventsource"] {
        stage.server.wait_for_metric("connected_clients", &[("type", transport)], 1.0).await;
    }
    lock.release().await;
    assert_eq!(both.next().await.json()["id"], "1");
    for transport in ["websocket", "eventsource"] {
        stage.server.wait_for_metric("messages_sent_total", &[("type", transport)], 1.0).await;
    }
}

#[tokio::test]
async fn an_event_reaches_those_who_were_subscribed_when_it_came_not_when_it_was_screened() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let mut early = stage.both(&alice, "public").await;
    let lock = stage.db.lock("blocks").await;
    stage.publish("timeline:public", update(&status(1, &bob))).await;
    lock.wait_for_waiting(1).await;
    let mut late = stage.both(&alice, "public").await;
    stage.publish("timeline:public", update(&status(2, &bob))).await;
    lock.release().await;
    assert_eq!(early.next().await.json()["id"], "1");
    assert_eq!(early.next().await.json()["id"], "2");
    assert_eq!(late.next().await.json()["id"], "2");
}
