//! `filters_changed` has cached filters read anew.

use serde_json::Value;

use crate::support::*;

const FILTERS_CHANGED: &str = r#"{"event":"filters_changed"}"#;

/// The titles of the filters that match the next status that comes.
async fn titles(both: &mut Both) -> Vec<String> {
    let status = both.next().await.json();
    let results = status["filtered"].as_array().unwrap_or_else(|| panic!("no results in {status}"));
    results.iter().filter_map(|result| result["filter"]["title"].as_str().map(str::to_owned)).collect()
}

async fn publish_heron(stage: &Stage, author: &Account) {
    stage.publish("timeline:public", update(&status(1, author).content("<p>a heron</p>"))).await;
}

#[tokio::test]
async fn cached_filters_are_discarded_on_either_control_channel_with_any_payload_and_not_before() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let mut both = stage.both(&alice, "public").await;
    publish_heron(&stage, &bob).await;
    assert_eq!(titles(&mut both).await, [""; 0]);
    let system = format!("timeline:system:{}", alice.account_id);
    let token = format!("timeline:access_token:{}", alice.token_id);
    let messages = [
        (&system, FILTERS_CHANGED.to_owned()),
        (&token, FILTERS_CHANGED.to_owned()),
        (&system, event("filters_changed", "1")),
        (&token, event("filters_changed", Value::Null)),
    ];
    let mut expected = Vec::new();
    for (number, (channel, message)) in messages.into_iter().enumerate() {
        stage.db.filter(alice.account_id, &number.to_string()).keyword("heron").await;
        publish_heron(&stage, &bob).await;
        assert_eq!(titles(&mut both).await, expected, "kept until they are said to have changed");
        expected.push(number.to_string());
        stage.publish(channel, message).await;
        publish_heron(&stage, &bob).await;
        assert_eq!(titles(&mut both).await, expected);
    }
}

#[tokio::test]
async fn only_the_sessions_of_the_account_read_their_filters_anew() {
    let stage = Stage::start().await;
    let (alice, carol) = (stage.db.person("alice").await, stage.db.person("carol").await);
    let bob = stage.db.account("bob@remote.example").await;
    let token = stage.db.token(&alice, "read").await;
    let elsewhere = Person { token_id: token.id, token: token.token, ..alice.clone() };
    let mut of_alice = stage.both(&alice, "public").await;
    let mut of_elsewhere = stage.both(&elsewhere, "public").await;
    let mut of_carol = stage.both(&carol, "public").await;
    publish_heron(&stage, &bob).await;
    for both in [&mut of_alice, &mut of_elsewhere, &mut of_carol] {
        assert_eq!(titles(both).await, [""; 0]);
    }
    for person in [&alice, &carol] {
        stage.db.filter(person.account_id, "birds").keyword("heron").await;
    }
    stage.publish(&format!("timeline:system:{}", alice.account_id), FILTERS_CHANGED).await;
    publish_heron(&stage, &bob).await;
    assert_eq!(titles(&mut of_alice).await, ["birds"]);
    assert_eq!(titles(&mut of_elsewhere).await, ["birds"]);
    assert_eq!(titles(&mut of_carol).await, [""; 0]);
}

#[tokio::test]
async fn other_events_on_control_channels_discard_nothing() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let mut both = stage.both(&alice, "public").await;
    publish_heron(&stage, &bob).await;
    assert_eq!(titles(&mut both).await, [""; 0]);
    stage.db.filter(alice.account_id, "birds").keyword("heron").await;
    for name in ["Filters_changed", "filters_changed ", "filters", "update", "notifications_merged"] {
        stage.publish(&format!("timeline:system:{}", alice.account_id), event(name, "1")).await;
    }
    publish_heron(&stage, &bob).await;
    assert_eq!(titles(&mut both).await, [""; 0]);
}

#[tokio::test]
async fn filters_that_were_being_read_when_they_changed_are_not_kept() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let mut both = stage.both(&alice, "public").await;
    let lock = stage.db.lock("custom_filters").await;
    publish_heron(&stage, &bob).await;
    lock.wait_for_waiting(1).await;
    stage.publish(&format!("timeline:system:{}", alice.account_id), FILTERS_CHANGED).await;
    // An event of the same channel, so that the server has obeyed by now.
    stage.publish(&format!("timeline:system:{}", alice.account_id), "no object").await;
    stage.server.wait_for_metric("flodgatt_events_dropped_total", &[("cause", "no_json_object")], 1.0).await;
    lock.release().await;
    assert_eq!(titles(&mut both).await, [""; 0]);
    stage.db.filter(alice.account_id, "birds").keyword("heron").await;
    publish_heron(&stage, &bob).await;
    assert_eq!(titles(&mut both).await, ["birds"]);
}
