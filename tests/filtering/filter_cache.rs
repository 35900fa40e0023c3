//! The fourth rule: when filters are read.

use serde_json::{Value, json};

use crate::support::{statuses::Status, *};

const STATEMENT: &str = "FROM custom_filters";

struct Cast {
    stage: Stage,
    alice: Person,
    heron: Status,
}

async fn cast() -> Cast {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    Cast { stage, alice, heron: status(1, &bob).content("<p>a heron</p>") }
}

impl Cast {
    /// The titles of the filters that match the heron on `public`.
    async fn titles(&self, both: &mut Both) -> Vec<Value> {
        self.stage.publish("timeline:public", update(&self.heron)).await;
        let status = both.next().await.json();
        let results = status["filtered"].as_array().expect("results");
        results.iter().map(|result| result["filter"]["title"].clone()).collect()
    }

    fn statements(&self) -> usize {
        self.stage.db.count_statements(STATEMENT)
    }
}

#[tokio::test]
async fn filters_are_read_at_the_first_event_that_gets_as_far_and_then_kept() {
    let cast = cast().await;
    let Cast { stage, alice, heron } = &cast;
    let mut both = stage.both(alice, "public").await;
    stage.db.filter(alice.account_id, "after connecting").keyword("heron").await;
    // None of these gets as far as the filters.
    stage.publish("timeline:public", event("delete", "1")).await;
    stage.publish("timeline:public", update(&heron.clone().filtered(json!([])))).await;
    stage.publish("timeline:public", update(&heron.clone().without("account"))).await;
    assert_eq!(both.next().await.event, "delete");
    assert_eq!(both.next().await.event, "update");
    both.silent_until(&stage.redis, "timeline:public").await;
    assert_eq!(cast.statements(), 0);
    stage.db.filter(alice.account_id, "before the first status").keyword("heron").await;

    let known = ["after connecting", "before the first status"];
    assert_eq!(cast.titles(&mut both).await, known);
    assert_eq!(cast.statements(), 1, "of both sessions together");
    stage.db.filter(alice.account_id, "later").keyword("heron").await;
    for _ in 0..3 {
        assert_eq!(cast.titles(&mut both).await, known);
    }
    stage.db.execute("DELETE FROM custom_filter_keywords").await;
    assert_eq!(cast.titles(&mut both).await, known);
    assert_eq!(cast.statements(), 1);
}

#[tokio::test]
async fn filters_are_kept_for_all_streams_of_a_connection() {
    let cast = cast().await;
    let Cast { stage, alice, heron } = &cast;
    let mut ws = stage.ws(alice, "public").await;
    ws.send_json(json!({"type": "subscribe", "stream": "hashtag", "tag": "cats"})).await;
    ws.silent_so_far().await;
    stage.redis.wait_for_subscribers("timeline:hashtag:cats", 1).await;
    for channel in ["timeline:public", "timeline:hashtag:cats", "timeline:public"] {
        stage.publish(channel, update(heron)).await;
        ws.next_event().await;
    }
    ws.unsubscribe("public").await;
    ws.subscribe("public").await;
    ws.silent_so_far().await;
    stage.publish("timeline:public", update(heron)).await;
    ws.next_event().await;
    assert_eq!(cast.statements(), 1);
}

#[tokio::test]
async fn a_new_connection_reads_its_filters_afresh_and_an_old_one_keeps_its_own() {
    let cast = cast().await;
    let Cast { stage, alice, .. } = &cast;
    let mut old = stage.both(alice, "public").await;
    assert_eq!(cast.titles(&mut old).await, [""; 0]);
    stage.db.filter(alice.account_id, "birds").keyword("heron").await;
    let mut new = stage.both(alice, "public").await;
    assert_eq!(cast.titles(&mut new).await, ["birds"]);
    assert_eq!(old.next().await.json()["filtered"], json!([]));
    assert_eq!(cast.statements(), 2);
}

#[tokio::test]
async fn a_kept_filter_stops_to_apply_when_it_expires() {
    let cast = cast().await;
    let Cast { stage, alice, .. } = &cast;
    let mut both = stage.both(alice, "public").await;
    stage.db.filter(alice.account_id, "for good").keyword("heron").await;
    stage.db.filter(alice.account_id, "for a moment").keyword("heron").expires_in(4.0).await;
    assert_eq!(cast.titles(&mut both).await, ["for good", "for a moment"]);
    let both = tokio::sync::Mutex::new(both);
    eventually("end of a filter", || async { cast.titles(&mut *both.lock().await).await == ["for good"] }).await;
    let expired = "SELECT count(*) FROM custom_filters WHERE expires_at <= now() AT TIME ZONE 'UTC'";
    assert_eq!(stage.db.number(expired).await, 1, "not before its time");
    assert_eq!(cast.statements(), 1, "without being read again");
}
