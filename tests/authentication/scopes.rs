//! What a token's scopes open.

use serde_json::{Value, json};

use crate::support::*;

const SCOPES: &str = "Access token does not have the required scopes";

/// Scopes as they stand in the database, whether they open statuses, and whether they open notifications.
const TABLE: [(&str, bool, bool); 20] = [
    ("read", true, true),
    ("read:statuses", true, false),
    ("read:notifications", false, true),
    ("read:statuses read:notifications", true, true),
    ("write follow push read", true, true),
    ("write read:statuses follow", true, false),
    ("write  read", true, true),
    ("", false, false),
    ("write", false, false),
    ("write follow push", false, false),
    ("profile", false, false),
    ("Read", false, false),
    ("READ:STATUSES", false, false),
    ("read:", false, false),
    ("reads", false, false),
    ("read,write", false, false),
    ("read\twrite", false, false),
    ("read:statuses\nread", false, false),
    ("read:accounts read:lists read:search write:statuses", false, false),
    ("admin:read", false, false),
];

/// Every stream as path, and as message on a WebSocket; `L` stands for a list of the viewer. The first needs
/// `read:notifications`, all others need `read:statuses`.
fn streams(list: i64) -> Vec<(String, Value)> {
    let path = |path: &str| format!("/api/v1/streaming/{path}");
    let list_path = path(&format!("list?list={list}"));
    let mut streams = vec![
        (path("user/notification"), json!({"stream": "user:notification"})),
        (path("user"), json!({"stream": "user"})),
        (path("direct"), json!({"stream": "direct"})),
        (path("hashtag?tag=a"), json!({"stream": "hashtag", "tag": "a"})),
        (path("hashtag/local?tag=a"), json!({"stream": "hashtag:local", "tag": "a"})),
        (list_path, json!({"stream": "list", "list": list})),
    ];
    for (public, name) in [("public", "public"), ("public/local", "public:local"), ("public/remote", "public:remote")] {
        streams.push((path(public), json!({"stream": name})));
        streams.push((path(&format!("{public}?only_media=1")), json!({"stream": format!("{name}:media")})));
    }
    streams
}

#[tokio::test]
async fn each_stream_over_sse_needs_its_scope() {
    let Stage { server, db, .. } = Stage::start().await;
    for (number, (scopes, statuses, notifications)) in TABLE.into_iter().enumerate() {
        let person = db.person(&format!("person{number}")).scopes(scopes).await;
        let list = db.list(person.account_id).await;
        let headers = [("Authorization", person.token.as_str())];
        for (path, _) in streams(list) {
            let opens = if path.ends_with("notification") { notifications } else { statuses };
            match Sse::try_open(&server, &path, &headers).await {
                Ok(_) => assert!(opens, "{scopes:?} opened {path}"),
                Err(answer) => {
                    assert!(!opens, "{scopes:?} did not open {path}: {answer:?}");
                    assert_eq!((answer.status, answer.json()), (401, json!({"error": SCOPES})), "{scopes:?} {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_websocket_opens_with_any_scopes_and_each_subscription_is_checked() {
    let Stage { server, db, .. } = Stage::start().await;
    for (number, (scopes, statuses, notifications)) in TABLE.into_iter().enumerate() {
        let person = db.person(&format!("person{number}")).scopes(scopes).await;
        let list = db.list(person.account_id).await;
        let mut ws = Ws::open(&server, "/", &person.token).await;
        for (path, mut message) in streams(list) {
            message["type"] = json!("subscribe");
            ws.send_json(message).await;
            let opens = if path.ends_with("notification") { notifications } else { statuses };
            if !opens {
                ws.expect_error(SCOPES, 401).await;
            }
            // What was confirmed by silence shows itself by the next answer.
            ws.silent_so_far().await;
        }
    }
}

#[tokio::test]
async fn the_subscription_in_a_handshake_is_checked_after_it() {
    let Stage { server, db, .. } = Stage::start().await;
    let bob = db.person("bob").scopes("read:statuses").await;
    let mut ws = Ws::open(&server, "/?stream=user:notification", &bob.token).await;
    ws.expect_error(SCOPES, 401).await;
    ws.subscribe("user").await;
    ws.silent_so_far().await;
}

#[tokio::test]
async fn null_scopes_are_none() {
    let Stage { server, db, .. } = Stage::start().await;
    let bob = db.person("bob").null_scopes().await;
    let answer = server.get_as("/api/v1/streaming/user", &bob.token).await;
    assert_eq!((answer.status, answer.json()), (401, json!({"error": SCOPES})));
    let mut ws = Ws::open(&server, "/", &bob.token).await;
    ws.subscribe("user").await;
    ws.expect_error(SCOPES, 401).await;
}

#[tokio::test]
async fn scopes_come_before_names_and_parameters() {
    let Stage { server, db, .. } = Stage::start().await;
    let (bob, carol) = (db.person("bob").scopes("write").await, db.person("carol").scopes("read:notifications").await);
    for token in [&bob.token, &carol.token] {
        for path in ["hashtag", "hashtag/local?tag=", "list", "list?list=0", "list?list=x"] {
            let answer = server.get_as(&format!("/api/v1/streaming/{path}"), token).await;
            assert_eq!((answer.status, answer.json()), (401, json!({"error": SCOPES})), "{path}");
        }
        let mut ws = Ws::open(&server, "/", token).await;
        for message in [
            json!({"stream": "no such stream"}),
            json!({"stream": null}),
            json!({"stream": 7}),
            json!({}),
            json!({"stream": "hashtag"}),
            json!({"stream": "list"}),
            json!({"stream": "list", "list": "x"}),
            json!({"stream": ["public"]}),
        ] {
            let mut message = message;
            message["type"] = json!("subscribe");
            ws.send_json(message).await;
            ws.expect_error(SCOPES, 401).await;
        }
        // To leave a stream needs no scopes.
        ws.unsubscribe("public").await;
        ws.silent_so_far().await;
    }
}

#[tokio::test]
async fn a_refused_subscription_subscribes_to_nothing() {
    let Stage { server, redis, db } = Stage::start().await;
    let bob = db.person("bob").scopes("read:notifications").await;
    let mut ws = Ws::open(&server, "/?stream=public", &bob.token).await;
    ws.expect_error(SCOPES, 401).await;
    ws.subscribe("user").await;
    ws.expect_error(SCOPES, 401).await;
    ws.subscribe("user:notification").await;
    let (system, token) =
        (format!("timeline:system:{}", bob.account_id), format!("timeline:access_token:{}", bob.token_id));
    let own = format!("timeline:{}:notifications", bob.account_id);
    for channel in [&system, &token, &own] {
        redis.wait_for_subscribers(channel, 1).await;
    }
    assert_eq!(redis.subscriptions().await.len(), 3, "{:?}", redis.subscriptions().await);
}
