//! Which messages mean something, and which are met with silence.

use serde_json::json;

use super::support::*;

#[tokio::test]
async fn what_is_no_request_is_met_with_silence() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let request = r#"{"type":"subscribe","stream":"nonsense"}"#;
    let messages = [
        String::new(),
        " ".into(),
        "nonsense".into(),
        "{".into(),
        format!("\u{feff}{request}"),
        format!("{request}{request}"),
        format!("{request} //"),
        format!("[{request}]"),
        format!("{request:?}"),
        request.replace('"', "'"),
        request.replace('}', ",}"),
        request.replace("nonsense", "non\u{1}sense"),
        request.replace("nonsense", "non\nsense"),
        request.replace("nonsense", r"non\xsense"),
        "null".into(),
        "17".into(),
        "NaN".into(),
        r#""subscribe""#.into(),
        "[]".into(),
        "{}".into(),
        r#"{"stream":"nonsense"}"#.into(),
        r#"{"type":null,"stream":"nonsense"}"#.into(),
        r#"{"type":"Subscribe","stream":"nonsense"}"#.into(),
        r#"{"type":" subscribe","stream":"nonsense"}"#.into(),
        r#"{"type":"ping"}"#.into(),
        r#"{"type":["subscribe"],"stream":"nonsense"}"#.into(),
        r#"{"type":1,"stream":"nonsense"}"#.into(),
        r#"{"Type":"subscribe","stream":"nonsense"}"#.into(),
    ];
    for message in messages {
        ws.send_text(&message).await;
        // Each by itself: what was wrongly answered is seen with the message that caused it.
        eprintln!("after {message:?}");
        ws.silent_so_far().await;
    }
    scene.wait_for_channels(&[]).await;
}

#[tokio::test]
async fn subscribing_twice_and_unsubscribing_in_vain_is_met_with_silence() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    ws.subscribe("public").await;
    ws.subscribe("public").await;
    // The same channel under another name is the same subscription.
    ws.subscribe("public:allow_local_only").await;
    ws.unsubscribe("public:local").await;
    ws.send_json(json!({"type": "unsubscribe", "stream": "hashtag", "tag": "a"})).await;
    ws.silent_so_far().await;
    scene.wait_for_channels(&["timeline:public"]).await;
    scene.redis.publish("timeline:public", event("delete", "1")).await;
    assert_eq!(ws.next_event().await.stream, json!(["public"]));
    ws.silent_until(&scene.redis, "timeline:public").await;
    ws.unsubscribe("public").await;
    ws.unsubscribe("public").await;
    ws.silent_so_far().await;
    scene.wait_for_channels(&[]).await;
}

#[tokio::test]
async fn success_is_not_confirmed() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let list = scene.db.list(scene.alice.account_id).await;
    for request in [
        json!({"type": "subscribe", "stream": "public"}),
        json!({"type": "subscribe", "stream": "list", "list": list}),
        json!({"type": "unsubscribe", "stream": "public"}),
        json!({"type": "unsubscribe", "stream": "list", "list": list}),
    ] {
        ws.send_json(request).await;
    }
    ws.silent_so_far().await;
}

#[tokio::test]
async fn of_an_array_as_stream_the_first_element_counts() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    ws.send_json(json!({"type": "subscribe", "stream": ["public", "user"]})).await;
    ws.send_json(json!({"type": "subscribe", "stream": ["hashtag"], "tag": "a"})).await;
    scene.wait_for_channels(&["timeline:public", "timeline:hashtag:a"]).await;
    scene.redis.publish("timeline:public", event("delete", "1")).await;
    assert_eq!(ws.next_event().await.stream, json!(["public"]));
    ws.send_json(json!({"type": "unsubscribe", "stream": ["public"]})).await;
    scene.wait_for_channels(&["timeline:hashtag:a"]).await;
    for stream in [json!([]), json!([["public"]]), json!([null, "public"]), json!([1])] {
        ws.send_json(json!({"type": "subscribe", "stream": stream})).await;
        ws.expect_error("Unknown stream type", 400).await;
    }
}

#[tokio::test]
async fn json_is_accepted_as_ecmascript_accepts_it() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let nested = format!("{}{}", "[".repeat(400), "]".repeat(400));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(400), "}".repeat(400));
    let requests = [
        ("twice", r#"{"type":"nonsense","tag":"b","type":"subscribe","stream":"hashtag","tag":"twice"}"#.to_owned()),
        ("huge", r#"{"type":"subscribe","stream":"hashtag","tag":"huge","n":1e999,"m":-1E+999}"#.into()),
        ("digits", format!(r#"{{"n":{},"type":"subscribe","stream":"hashtag","tag":"digits"}}"#, "9".repeat(5_000))),
        ("lone", r#"{"type":"subscribe","stream":"hashtag","tag":"lone","s":"\ud800","\udfff":"\udc00\ud800"}"#.into()),
        ("escaped", r#"{"\u0074ype":"sub\u0073cribe","stream":"hashtag","tag":"esca\u0070ed"}"#.into()),
        ("spaced", "\r\n\t {\"type\" :\n\"subscribe\",\t\"stream\":\"hashtag\", \"tag\":\"spaced\"}\r\n ".into()),
        ("arrays", format!(r#"{{"deep":{nested},"type":"subscribe","stream":"hashtag","tag":"arrays"}}"#)),
        ("objects", format!(r#"{{"deep":{objects},"type":"subscribe","stream":"hashtag","tag":"objects"}}"#)),
        ("proto", r#"{"__proto__":{"type":"x"},"type":"subscribe","stream":"hashtag","tag":"proto","":0}"#.into()),
    ];
    for (tag, request) in requests {
        ws.send_text(request).await;
        scene.redis.wait_for_subscribers(&format!("timeline:hashtag:{tag}"), 1).await;
    }
    ws.silent_so_far().await;
}
