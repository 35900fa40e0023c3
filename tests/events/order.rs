//! Order, bursts and large events.

use crate::support::*;

#[tokio::test]
async fn a_burst_keeps_its_order_across_the_two_channels_of_user() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    let channels = [format!("timeline:{}", alice.account_id), format!("timeline:{}:notifications", alice.account_id)];
    // Neither strictly by turns nor one after the other.
    let channel_of = |number: usize| channels[(number / 3 + number / 7) % 2].as_str();
    let burst = (0..800).map(|number| (channel_of(number), event("x", number.to_string())));
    stage.redis.publish_each(burst).await;
    for number in 0..800 {
        assert_eq!(both.next().await.payload, number.to_string());
    }
}

#[tokio::test]
async fn a_burst_of_screened_and_unscreened_events_keeps_its_order() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let mut both = stage.both(&alice, "public").await;
    let message = |number: i64| match number % 3 {
        0 => update(&status(number, &bob)),
        1 => event("delete", number.to_string()),
        _ => event("status.update", status(number, &bob).filtered(serde_json::json!([]))),
    };
    stage.redis.publish_all("timeline:public", (0..600).map(message)).await;
    for number in 0..600 {
        let heard = both.next().await;
        let id = match &*heard.event {
            "delete" => heard.payload,
            _ => heard.json()["id"].as_str().expect("a status has an id").to_owned(),
        };
        assert_eq!(id, number.to_string());
    }
}

#[tokio::test]
async fn events_of_several_mebibytes_arrive_whole() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let mut user = stage.both(&alice, "user").await;
    let mut public = stage.both(&alice, "public").await;
    let home = format!("timeline:{}", alice.account_id);
    let text = "Ein Wörtchen \"mehr\"\n".repeat(6 * 1024 * 1024 / 21);
    stage.publish(&home, event("x", &*text)).await;
    assert!(user.next().await.payload == text, "a text of {} bytes came otherwise", text.len());
    let large = status(1, &bob).content(&format!("<p>{text}</p>"));
    stage.publish(&home, event("update", large.clone())).await;
    assert!(user.next().await.json() == *large.value(), "the large status came otherwise");
    stage.publish("timeline:public", update(&large)).await;
    assert!(
        public.next().await.json() == *large.filtered(serde_json::json!([])).value(),
        "the large public status came otherwise"
    );
    user.silent_until(&stage.redis, &home).await;
}
