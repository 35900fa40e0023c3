//! Statuses on filtered streams that lack something, have too much of it, or have it in the wrong form.

use serde_json::{Value, json};

use super::siege::Siege;
use super::support::*;

/// Mallory on the public feed, with a custom filter that makes the server look at every text.
async fn screened(siege: &Siege) -> Ws {
    siege.scene.db.filter(siege.mallory.account_id, "cats").keyword("cats").await;
    let ws = siege.attacker("/?stream=public").await;
    siege
        .scene
        .server
        .wait_for_metric("connected_channels", &[("type", "websocket"), ("channel", "public")], 1.0)
        .await;
    ws
}

/// The status, with one of its fields changed (`/account/id`), or removed.
fn changed(siege: &Siege, pointer: &str, value: Option<Value>) -> String {
    let mut status: Value = status(1, &siege.scene.alice).mention(&siege.scene.alice).into();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer has a slash");
    let parent = status.pointer_mut(parent).and_then(Value::as_object_mut).expect("the parent is an object");
    match value {
        Some(value) => parent.insert(key.to_owned(), value),
        None => parent.remove(key),
    };
    event("update", status)
}

#[tokio::test]
async fn a_status_whose_people_are_unknown_reaches_nobody_is_counted_and_logged_once() {
    let mut siege = Siege::start().await;
    let mut ws = screened(&siege).await;
    let beyond = "9223372036854775808";
    let mut messages = vec![changed(&siege, "/account", None), changed(&siege, "/account/acct", None)];
    for account in [Value::Null, json!([]), json!("alice"), json!({}), json!(1)] {
        messages.push(changed(&siege, "/account", Some(account)));
    }
    for acct in [Value::Null, json!(1), json!([])] {
        messages.push(changed(&siege, "/account/acct", Some(acct)));
    }
    for id in [
        None,
        Some(json!(beyond)),
        Some(json!("99999999999999999999999999")),
        Some(json!("1.5")),
        Some(json!("")),
        Some(json!("1' OR '1'='1")),
    ] {
        messages.push(changed(&siege, "/account/id", id.clone()));
        let mention = id.map_or(json!({"username": "x"}), |id| json!({"id": id}));
        messages.push(changed(&siege, "/mentions", Some(json!([{"id": "1"}, mention]))));
    }
    messages.push(changed(&siege, "/account/id", Some(Value::Null)).replace(r#""id":null"#, r#""id":1e999"#));
    messages.push(changed(&siege, "/mentions", Some(json!([null]))));
    for payload in ["[]", "17", "true", r#""text""#] {
        messages.push(format!(r#"{{"event":"update","payload":{payload}}}"#));
    }
    for message in &messages {
        siege.scene.redis.publish("timeline:public", message).await;
    }
    siege.wait_for_dropped("malformed_status", messages.len() as f64).await;
    siege.unharmed_with_public_marker(&mut ws).await;
    siege.told_once("a status was dropped for all viewers", |line| line.level() == "WARN").await;
}

#[tokio::test]
async fn whatever_else_is_missing_or_of_the_wrong_kind_does_not_matter() {
    let mut siege = Siege::start().await;
    let mut ws = screened(&siege).await;
    let mut fields = Vec::new();
    for pointer in [
        "/id",
        "/spoiler_text",
        "/content",
        "/poll",
        "/media_attachments",
        "/mentions",
        "/tags",
        "/language",
        "/visibility",
        "/created_at",
        "/account/username",
        "/account/note",
    ] {
        for value in
            [None, Some(Value::Null), Some(json!(7)), Some(json!({"a": [1]})), Some(json!([])), Some(json!(true))]
        {
            fields.push((pointer, value));
        }
    }
    fields.push(("/poll", Some(json!({"options": [null, 1, {"title": []}, {"title": "x"}, "y"]}))));
    fields.push(("/media_attachments", Some(json!([null, "x", {"description": 7}, {"description": "x"}]))));
    for (pointer, value) in fields {
        siege.scene.redis.publish("timeline:public", changed(&siege, pointer, value.clone())).await;
        let event = ws.next_event().await;
        assert_eq!(event.json()["filtered"], json!([]), "{pointer} = {value:?}");
        siege.discard_public_event().await;
    }
    assert_eq!(siege.dropped("malformed_status").await, 0.0);
    siege.unharmed_with_public_marker(&mut ws).await;
}

#[tokio::test]
async fn deep_nesting_in_a_status_harms_nobody() {
    let mut siege = Siege::start().await;
    let mut ws = screened(&siege).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for pointer in ["/card", "/media_attachments", "/poll", "/tags", "/content"] {
        let message = changed(&siege, pointer, Some(json!("DEEP"))).replace(r#""DEEP""#, &deep);
        siege.scene.redis.publish("timeline:public", message).await;
        assert!(ws.next_text().await.contains("[[[["), "{pointer}");
        siege.discard_public_event().await;
    }
    siege.unharmed_with_public_marker(&mut ws).await;
}

#[tokio::test]
async fn html_of_any_depth_is_read_in_time() {
    let mut siege = Siege::start().await;
    let mut ws = screened(&siege).await;
    for (open, close, is_text) in [
        ("<div>", "</div>", true),
        ("<b>", "</b>", true),
        ("<a href=x><p>", "", true),
        ("<table><tr><td>", "", true),
        ("<!--", "", false),
        ("& ", ";", true),
    ] {
        let html = format!("{}cats{}", open.repeat(100_000), close.repeat(100_000));
        siege.scene.redis.publish("timeline:public", changed(&siege, "/content", Some(json!(html)))).await;
        let filtered = ws.next_event().await.json()["filtered"].take();
        assert_eq!(filtered.as_array().map(Vec::len), Some(usize::from(is_text)), "{open}: {filtered}");
        siege.discard_public_event().await;
    }
    siege.unharmed_with_public_marker(&mut ws).await;
}

#[tokio::test]
async fn one_viewers_filters_do_not_leak_into_anothers_stream() {
    let mut siege = Siege::start().await;
    let mut ws = screened(&siege).await;
    let status = status(1, &siege.scene.alice).content("<p>cats \"},{\\\u{0}</p>");
    siege.scene.redis.publish("timeline:public", update(&status)).await;
    let event = ws.next_event().await.json();
    assert_eq!(event["filtered"][0]["filter"]["title"], "cats");
    assert_eq!(siege.discard_public_event().await["filtered"], json!([]));
    siege.unharmed_with_public_marker(&mut ws).await;
}
