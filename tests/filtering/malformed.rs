//! Statuses that lack what screening needs, or have something else in its place.

use serde_json::{Value, json};

use crate::support::*;

fn account(account: Value) -> Value {
    json!({"id": "1", "content": "<p>a heron</p>", "account": account})
}

fn mentions(mentions: Value) -> Value {
    json!({"id": "1", "account": {"id": "5", "acct": "bob"}, "mentions": mentions})
}

/// Payloads that lack what screening needs.
fn malformed() -> Vec<Value> {
    let mut malformed = vec![
        json!("a string"),
        json!(5),
        json!(true),
        json!([1]),
        json!({"id": "1"}),
        json!({}),
        account(Value::Null),
        account(json!("5")),
        account(json!(["5"])),
        account(json!({})),
        account(json!({"id": "5"})),
        account(json!({"id": "5", "acct": null})),
        account(json!({"id": "5", "acct": 5})),
        account(json!({"acct": "bob"})),
        account(json!({"id": null, "acct": "bob"})),
    ];
    let no_ids = [
        json!("x"),
        json!(""),
        json!("5x"),
        json!("0x5"),
        json!("5.0"),
        json!("1e3"),
        json!("9223372036854775808"),
        json!("-9223372036854775809"),
        json!(9_223_372_036_854_775_808_u64),
        json!(1e300),
        json!(5.5),
        json!(true),
        json!(["5"]),
        json!({"id": "5"}),
        json!("5; DROP TABLE blocks"),
        json!("５"),
        Value::Null,
    ];
    malformed.extend(no_ids.iter().map(|id| account(json!({"id": id, "username": "bob", "acct": "bob"}))));
    malformed.extend(no_ids.iter().map(|id| mentions(json!([{"id": "7"}, {"id": id}]))));
    malformed.extend([mentions(json!([{}])), mentions(json!(["7"])), mentions(json!([null])), mentions(json!([7]))]);
    malformed
}

#[tokio::test]
async fn a_status_that_cannot_be_screened_is_dropped_for_all_viewers_and_counted() {
    let stage = Stage::start().await;
    let (alice, admin) = (stage.db.person("alice").await, stage.db.person("admin").role(1).await);
    let mut of_alice = stage.both(&alice, "public").await;
    let mut of_admin = stage.both(&admin, "public").await;
    let malformed = malformed();
    for (number, payload) in malformed.iter().enumerate() {
        let kind = ["update", "status.update"][number % 2];
        stage.publish("timeline:public", event(kind, payload.clone())).await;
        of_alice.silent_until(&stage.redis, "timeline:public").await;
        assert_eq!(stage.dropped_events("malformed_status").await, (number + 1) as f64, "{payload}");
    }
    for _ in &malformed {
        assert_eq!(of_admin.next().await.event, "marker");
    }
    assert_eq!(stage.failed_screenings().await, 0.0);
}

#[tokio::test]
async fn ids_are_64_bit_integers_as_strings_or_json_numbers() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "public").await;
    for id in ["5", "-5", "0", "9223372036854775807", "-9223372036854775808", "5.0", "5e0", "50e-1"] {
        for id in [id.to_owned(), format!("\"{id}\"")] {
            if id.starts_with('"') && id.contains(['.', 'e']) {
                continue;
            }
            let payload =
                format!(r#"{{"account":{{"id":{id},"acct":"bob"}},"mentions":[{{"id":{id}}}],"filtered":0}}"#);
            stage.publish("timeline:public", format!(r#"{{"event":"update","payload":{payload}}}"#)).await;
            assert_eq!(both.next().await.payload, payload);
        }
    }
}

#[tokio::test]
async fn what_is_missing_or_mistyped_counts_as_none_and_fails_nothing() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    stage.db.filter(alice.account_id, "birds").keyword("heron").keyword("null").keyword("5").keyword("object").await;
    let mut both = stage.both(&alice, "public").await;
    let bare = json!({"account": {"id": "5", "acct": "bob"}});
    let with = |key: &str, value: Value| {
        let mut status = bare.clone();
        status[key] = value;
        status
    };
    let mut table = vec![bare.clone()];
    for odd in [Value::Null, json!(5), json!(true), json!({}), json!({"length": 1}), json!([]), json!([[]]), json!("x")]
    {
        let keys = ["spoiler_text", "content", "poll", "media_attachments", "language", "reblog", "tags"];
        table.extend(keys.map(|key| with(key, odd.clone())));
        table.push(with("poll", json!({"options": odd})));
        table.push(with("poll", json!({"options": [{"title": odd}]})));
        table.push(with("poll", json!({"options": [odd]})));
        table.push(with("media_attachments", json!([{"description": odd}])));
        table.push(with("media_attachments", json!([odd])));
        if !odd.is_array() {
            table.push(with("mentions", odd.clone()));
        }
    }
    for status in table {
        stage.publish("timeline:public", event("update", status.clone())).await;
        let mut expected = status;
        expected["filtered"] = json!([]);
        assert_eq!(both.next().await.json(), expected);
    }
    // One mistyped text does not hide the others.
    let status = json!({
        "account": {"id": "5", "acct": "bob"}, "content": 5, "spoiler_text": null, "poll": {"options": [null, {"title": 1}]},
        "media_attachments": [7, {"description": {}}, {"description": "a heron"}],
    });
    stage.publish("timeline:public", event("update", status)).await;
    assert_eq!(both.next().await.json()["filtered"][0]["keyword_matches"], json!(["heron"]));
    assert_eq!(stage.dropped_events("malformed_status").await, 0.0);
}
