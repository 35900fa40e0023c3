//! The parameters of hashtags and lists, and what is said to wrong ones.

use serde_json::{Value, json};

use super::support::*;

const NO_STREAM: (&str, u16) = ("Unknown stream type", 400);
const NO_TAG: (&str, u16) = ("Missing tag name parameter", 400);
const NO_LIST: (&str, u16) = ("Missing list name parameter", 400);
const FOREIGN_LIST: (&str, u16) = ("Not authorized to stream this list", 401);

/// Sends subscriptions of one stream with different values of one parameter (null stands for a missing one too) and expects
/// the same error for each.
async fn refused(ws: &mut Ws, stream: &str, parameter: &str, values: &[Value], (message, status): (&str, u16)) {
    ws.send_json(json!({"type": "subscribe", "stream": stream, parameter: null})).await;
    assert!(ws.next_json().await["status"].is_number(), "{stream} without {parameter}");
    for value in values {
        ws.send_json(json!({"type": "subscribe", "stream": stream, parameter: value})).await;
        assert_eq!(ws.next_json().await, json!({"error": message, "status": status}), "{parameter} = {value}");
    }
}

#[tokio::test]
async fn a_stream_that_does_not_exist_is_unknown() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    for name in [
        json!(null),
        json!(""),
        json!("nonsense"),
        json!("Public"),
        json!("public "),
        json!("public:"),
        json!("public:remote:local"),
        json!("user:notifications"),
        json!("hashtag:remote"),
        json!("timeline:public"),
        json!("system"),
        json!(0),
        json!(1),
        json!(true),
        json!({}),
        json!({"0": "public"}),
    ] {
        ws.send_json(json!({"type": "subscribe", "stream": name})).await;
        ws.expect_error(NO_STREAM.0, NO_STREAM.1).await;
    }
    ws.send_json(json!({"type": "subscribe"})).await;
    ws.expect_error(NO_STREAM.0, NO_STREAM.1).await;
}

#[tokio::test]
async fn a_tag_that_is_missing_empty_or_no_string_is_a_missing_tag() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let values = [
        json!(null),
        json!(""),
        json!(0),
        json!(7),
        json!(false),
        json!(true),
        json!([]),
        json!(["a"]),
        json!({"a": 1}),
    ];
    for stream in ["hashtag", "hashtag:local"] {
        refused(&mut ws, stream, "tag", &values, NO_TAG).await;
    }
    for path in ["hashtag", "hashtag/local"] {
        for query in ["", "?tag=", "?tag", "?Tag=a", "?tag=a&tag=b", "?tag=a&tag=a", "?tag[]=a"] {
            let response = scene.server.get_as(&format!("/api/v1/streaming/{path}{query}"), &scene.alice.token).await;
            assert_eq!((response.status, response.json()), (NO_TAG.1, json!({"error": NO_TAG.0})), "{path}{query}");
        }
    }
}

#[tokio::test]
async fn a_list_that_is_missing_empty_null_or_zero_is_a_missing_list() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    refused(&mut ws, "list", "list", &[json!(null), json!(""), json!(0), json!(0.0)], NO_LIST).await;
    ws.subscribe("list").await;
    ws.expect_error(NO_LIST.0, NO_LIST.1).await;
    for query in ["", "?list=", "?list", "?tag=1"] {
        let response = scene.server.get_as(&format!("/api/v1/streaming/list{query}"), &scene.alice.token).await;
        assert_eq!((response.status, response.json()), (NO_LIST.1, json!({"error": NO_LIST.0})), "{query}");
    }
}

#[tokio::test]
async fn a_list_that_is_foreign_unknown_or_no_integer_is_not_authorised() {
    let scene = Scene::start().await;
    let (own, bob) = (scene.db.list(scene.alice.account_id).await, scene.db.person("bob").await);
    let foreign = scene.db.list(bob.account_id).await;
    let mut ws = scene.ws("/").await;
    let values = [
        json!(foreign),
        json!(foreign.to_string()),
        json!(4711),
        json!("0"),
        json!("-0"),
        json!(-1),
        json!("abc"),
        json!(format!("{own}x")),
        json!(format!("{own} OR 1=1")),
        json!(format!("{own}.0")),
        json!(format!("{own}\u{0}")),
        json!(format!("0x{own:x}")),
        json!(" "),
        json!(own as f64 + 0.5),
        json!([own]),
        json!({"id": own}),
        json!(true),
        json!("9223372036854775808"),
        json!("-9223372036854775809"),
        json!("99999999999999999999999999999999999999"),
        json!(1e300),
        json!(u64::MAX),
    ];
    refused(&mut ws, "list", "list", &values, FOREIGN_LIST).await;
    for query in [
        format!("list={foreign}"),
        "list=4711".into(),
        "list=0".into(),
        "list=abc".into(),
        "list=1.5".into(),
        "list=%00".into(),
        "list=9223372036854775808".into(),
        format!("list={own}&list={own}"),
    ] {
        let response = scene.server.get_as(&format!("/api/v1/streaming/list?{query}"), &scene.alice.token).await;
        let expected = (FOREIGN_LIST.1, json!({"error": FOREIGN_LIST.0}));
        assert_eq!((response.status, response.json()), expected, "{query}");
    }
    scene.wait_for_channels(&[]).await;
}

#[tokio::test]
async fn list_ids_are_compared_as_64_bit_numbers_and_echoed_as_given() {
    let scene = Scene::start().await;
    let owner = scene.alice.account_id;
    // Neighbours that a 64-bit floating point number cannot tell apart, of which one is somebody else's.
    let bob = scene.db.person("bob").await;
    let insert = |id: i64, owner: i64| {
        format!(
            "INSERT INTO lists (id, account_id, title, created_at, updated_at) VALUES ({id}, {owner}, '', now(), now())"
        )
    };
    for (id, owner) in
        [(123, owner), (9_007_199_254_740_993, owner), (9_007_199_254_740_992, bob.account_id), (i64::MAX, owner)]
    {
        scene.db.execute(insert(id, owner)).await;
    }
    let mut ws = scene.ws("/").await;
    for (given, id) in [
        (r#""123""#, 123),
        (r#""0123""#, 123),
        (r#"" 123 ""#, 123),
        (r#""\t123\n""#, 123),
        (r#""+123""#, 123),
        ("123", 123),
        ("1.23e2", 123),
        ("9007199254740993", 9_007_199_254_740_993),
        (r#""9007199254740993""#, 9_007_199_254_740_993),
        ("9223372036854775807", i64::MAX),
        (r#""9223372036854775807""#, i64::MAX),
    ] {
        let channel = format!("timeline:list:{id}");
        ws.send_text(format!(r#"{{"type":"subscribe","stream":"list","list":{given}}}"#)).await;
        scene.redis.wait_for_subscribers(&channel, 1).await;
        scene.redis.publish(&channel, event("delete", "1")).await;
        let label: Value = serde_json::from_str(given).expect("it is JSON");
        assert_eq!(ws.next_event().await.stream, json!(["list", label]));
        ws.send_text(format!(r#"{{"type":"unsubscribe","stream":"list","list":"{id}"}}"#)).await;
        scene.wait_for_channels(&[]).await;
    }
    ws.send_text(r#"{"type":"subscribe","stream":"list","list":9007199254740992}"#).await;
    ws.expect_error(FOREIGN_LIST.0, FOREIGN_LIST.1).await;
    let _sse = scene.sse("/api/v1/streaming/list?list=%200123%20").await;
    scene.wait_for_channels(&["timeline:list:123"]).await;
}

#[tokio::test]
async fn two_spellings_of_a_list_are_one_subscription() {
    let scene = Scene::start().await;
    let list = scene.db.list(scene.alice.account_id).await;
    let channel = format!("timeline:list:{list}");
    let mut ws = scene.ws(&format!("/?stream=list&list={list}")).await;
    ws.send_json(json!({"type": "subscribe", "stream": "list", "list": list})).await;
    ws.send_json(json!({"type": "subscribe", "stream": "list", "list": format!("0{list}")})).await;
    ws.silent_so_far().await;
    scene.wait_for_channels(&[&channel]).await;
    scene.redis.publish(&channel, event("delete", "1")).await;
    assert_eq!(ws.next_event().await.stream, json!(["list", list.to_string()]));
    ws.silent_until(&scene.redis, &channel).await;
}
