//! Every kind of event, with the payload that Mastodon gives it.

use serde_json::{Value, json};

use crate::support::*;

fn announcement() -> Value {
    json!({
        "id": "8", "content": "<p>The server <em>moves</em> on Sunday.</p>", "starts_at": null, "ends_at": null,
        "all_day": false, "published_at": "2026-03-14T08:15:26.535Z", "updated_at": "2026-03-14T08:15:26.535Z",
        "mentions": [], "statuses": [], "tags": [], "emojis": [], "reactions": [{"name": "🦆", "count": 2}],
    })
}

#[tokio::test]
async fn every_kind_of_event_reaches_the_user_stream_on_both_transports() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    let home = format!("timeline:{}", alice.account_id);
    let own = status(1, &alice).filtered(json!([]));
    let kinds = [
        ("update", own.value().clone()),
        ("status.update", own.clone().with("edited_at", "2026-03-14T09:00:00.000Z").into()),
        ("delete", json!("107946650784398271")),
        ("notification", json!({"id": "5", "type": "mention", "account": {"id": "6"}, "status": own.value()})),
        ("notifications_merged", json!("1")),
        ("conversation", json!({"id": "7", "unread": true, "accounts": [], "last_status": null})),
        ("announcement", announcement()),
        ("announcement.reaction", json!({"name": "🦆", "count": 3, "announcement_id": "8"})),
        ("announcement.delete", json!("8")),
        ("encrypted_message", json!({"id": "9"})),
        ("an event of tomorrow", json!([1, {"two": 3}])),
        ("UPDATE", json!("is not `update`")),
        ("\"quoted\" \\ und ümläut 🦆", json!("text")),
    ];
    for (name, payload) in kinds {
        stage.publish(&home, event(name, payload.clone())).await;
        let heard = both.next().await;
        assert_eq!(heard.event, name);
        match payload {
            Value::String(text) => assert_eq!(heard.payload, text),
            other => assert_eq!(heard.json(), other),
        }
    }
}

#[tokio::test]
async fn direct_and_list_streams_deliver_their_events_on_both_transports() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let list = stage.db.list(alice.account_id).await;
    let streams = [
        ("direct".to_owned(), format!("timeline:direct:{}", alice.account_id), "conversation"),
        (format!("list&list={list}"), format!("timeline:list:{list}"), "update"),
    ];
    for (stream, channel, name) in streams {
        let mut both = stage.both(&alice, &stream).await;
        stage.publish(&channel, event(name, status(1, &alice))).await;
        let heard = both.next().await;
        assert_eq!((&*heard.event, heard.json()), (name, status(1, &alice).into()));
    }
}

#[tokio::test]
async fn filters_changed_reaches_the_user_stream_without_payload() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    let channels = [format!("timeline:{}", alice.account_id), format!("timeline:{}:notifications", alice.account_id)];
    for channel in channels {
        for payload in ["", r#","payload":null"#, r#","payload":false"#, r#","payload":0"#, r#","payload":"""#] {
            stage.publish(&channel, format!(r#"{{"event":"filters_changed"{payload}}}"#)).await;
            assert_eq!(both.ws.next_json().await, json!({"stream": ["user"], "event": "filters_changed"}));
            let block = both.sse.next_block().await.expect("the stream goes on");
            assert_eq!(block.lines, ["event: filters_changed", "data: undefined"]);
        }
    }
    stage.publish(&format!("timeline:{}", alice.account_id), event("filters_changed", "1")).await;
    assert_eq!(both.next().await.payload, "1");
}

#[tokio::test]
async fn filters_changed_without_payload_reaches_no_other_stream() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let list = stage.db.list(alice.account_id).await;
    let account = alice.account_id;
    let streams = [
        ("user:notification".to_owned(), format!("timeline:{account}:notifications")),
        ("direct".to_owned(), format!("timeline:direct:{account}")),
        (format!("list&list={list}"), format!("timeline:list:{list}")),
        ("public".to_owned(), "timeline:public".to_owned()),
        ("hashtag&tag=cats".to_owned(), "timeline:hashtag:cats".to_owned()),
    ];
    for (stream, channel) in streams {
        let mut both = stage.both(&alice, &stream).await;
        stage.publish(&channel, r#"{"event":"filters_changed"}"#).await;
        both.silent_until(&stage.redis, &channel).await;
    }
}
