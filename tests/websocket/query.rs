//! What the query of a handshake subscribes to, and what comes right behind the handshake.

use serde_json::json;

use super::support::websocket::handshake;
use super::support::*;

#[tokio::test]
async fn the_query_subscribes_like_a_message() {
    let scene = Scene::start().await;
    let list = scene.db.list(scene.alice.account_id).await;
    let cases = [
        ("stream=public".to_owned(), "timeline:public".to_owned(), json!(["public"])),
        ("stream=hashtag&tag=Rust".into(), "timeline:hashtag:rust".into(), json!(["hashtag", "Rust"])),
        (format!("stream=list&list={list}"), format!("timeline:list:{list}"), json!(["list", list.to_string()])),
        ("tag=x&stream=hashtag:local".into(), "timeline:hashtag:x:local".into(), json!(["hashtag:local", "x"])),
    ];
    for (query, channel, label) in cases {
        let mut ws = scene.ws(&format!("/any/path?{query}")).await;
        scene.redis.wait_for_subscribers(&channel, 1).await;
        scene.redis.publish(&channel, event("delete", "1")).await;
        assert_eq!(ws.next_event().await.stream, label, "{query}");
    }
}

#[tokio::test]
async fn what_the_query_asks_for_in_vain_is_answered_by_a_message() {
    let scene = Scene::start().await;
    let cases = [
        ("stream=nonsense", "Unknown stream type", 400),
        ("stream=hashtag", "Missing tag name parameter", 400),
        ("stream=hashtag&tag=", "Missing tag name parameter", 400),
        ("stream=list", "Missing list name parameter", 400),
        ("stream=list&list=4711", "Not authorized to stream this list", 401),
    ];
    for (query, message, status) in cases {
        let mut ws = scene.ws(&format!("/?{query}")).await;
        ws.expect_error(message, status).await;
        ws.silent_so_far().await;
    }
}

#[tokio::test]
async fn an_empty_stream_in_the_query_is_none() {
    let scene = Scene::start().await;
    for query in ["stream=", "stream", "stream=&tag=a", "tag=a&list=1", "only_media=true"] {
        scene.ws(&format!("/?{query}")).await.silent_so_far().await;
    }
}

#[tokio::test]
async fn a_repeated_parameter_of_the_query_is_an_array() {
    let scene = Scene::start().await;
    let list = scene.db.list(scene.alice.account_id).await;
    let _first = scene.ws("/?stream=public:local&stream=public").await;
    scene.wait_for_channels(&["timeline:public:local"]).await;
    let refused = [
        ("stream=&stream=public".to_owned(), "Unknown stream type", 400),
        ("stream=hashtag&tag=a&tag=a".into(), "Missing tag name parameter", 400),
        (format!("stream=list&list={list}&list={list}"), "Not authorized to stream this list", 401),
    ];
    for (query, message, status) in refused {
        scene.ws(&format!("/?{query}")).await.expect_error(message, status).await;
    }
}

#[tokio::test]
async fn the_stream_of_the_query_is_named_and_not_modified_by_only_media() {
    let scene = Scene::start().await;
    let _plain = scene.ws("/?stream=public&only_media=true").await;
    scene.wait_for_channels(&["timeline:public"]).await;
    let _media = scene.ws("/?stream=public:media").await;
    scene.wait_for_channels(&["timeline:public", "timeline:public:media"]).await;
}

#[tokio::test]
async fn frames_that_came_with_the_request_are_processed_after_its_query() {
    let scene = Scene::start().await;
    let target = format!("/?stream=nonsense&access_token={}", scene.alice.token);
    let unsubscribe = Frame::text(r#"{"type":"unsubscribe","stream":"nonsense"}"#).encode();
    let subscribe = Frame::text(r#"{"type":"subscribe","stream":"hashtag"}"#).encode();
    let (begun, rest) = subscribe.split_at(9);
    let bytes = [&handshake(&target, &[]), &unsubscribe[..], begun].concat();
    let mut ws = Ws::open_on(Wire::open(&scene.server).await, bytes).await.expect("it is accepted");
    ws.expect_error("Unknown stream type", 400).await;
    assert_eq!(ws.next_json().await, json!({"error": "Error unsubscribing from channel"}));
    ws.wire().send(rest).await;
    ws.expect_error("Missing tag name parameter", 400).await;
}
