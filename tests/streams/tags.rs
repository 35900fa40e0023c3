//! Hashtags are spelt as Mastodon spells them in the names of its channels.

use serde_json::json;

use super::support::http::encode;
use super::support::*;

/// What clients write, and what Mastodon makes of it.
const TAGS: [(&str, &str); 38] = [
    ("rust", "rust"),
    ("RustLang", "rustlang"),
    ("#rust", "rust"),
    ("c++", "c"),
    ("foo bar", "foobar"),
    ("a-b.c/d:e", "abcde"),
    ("snake_case", "snake_case"),
    ("2026", "2026"),
    ("ｆｕｌｌ", "full"),
    ("Ⅳ", "iv"),
    ("x²", "x2"),
    ("ﬁn", "fin"),
    ("Café", "cafe"),
    ("cafe\u{301}s", "cafes"),
    ("ÅÄÖ", "aao"),
    ("Łódź", "lodz"),
    ("ŁÓDŹ", "lodz"),
    ("Þórður", "þordur"),
    ("Øl", "ol"),
    ("ĦĸŊŦ", "hknt"),
    ("ılık", "ilik"),
    ("İstanbul", "istanbul"),
    ("Straße", "straße"),
    ("Æsir", "æsir"),
    ("œuvre", "œuvre"),
    ("Việt", "việt"),
    ("Vie\u{302}\u{323}tNam", "việtnam"),
    ("ΟΔΟΣ", "οδοσ"),
    ("ЖУК", "жук"),
    ("한국어", "한국어"),
    ("日本語", "日本語"),
    ("ア・イ", "ア・イ"),
    ("col·lecció", "col·leccio"),
    ("می\u{200c}خواهم", "می\u{200c}خواهم"),
    ("ภาษาไทย", "ภาษาไทย"),
    ("١٢٣", "١٢٣"),
    ("🦀", ""),
    ("!?", ""),
];

#[tokio::test]
async fn a_tag_is_normalised_as_mastodon_does_it() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    let mut channels = Vec::new();
    for (tag, normalised) in TAGS {
        ws.send_json(json!({"type": "subscribe", "stream": "hashtag", "tag": tag})).await;
        ws.send_json(json!({"type": "subscribe", "stream": "hashtag:local", "tag": tag})).await;
        channels.push(format!("timeline:hashtag:{normalised}"));
        channels.push(format!("timeline:hashtag:{normalised}:local"));
    }
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    scene.wait_for_channels(&channels).await;
    ws.silent_so_far().await;
}

#[tokio::test]
async fn a_tag_in_a_query_is_decoded_and_normalised_likewise() {
    let scene = Scene::start().await;
    for (query, normalised) in [
        ("tag=Caf%C3%A9", "cafe"),
        ("tag=a+b%20C", "abc"),
        ("tag=%23Rust", "rust"),
        ("tag=%EF%BC%B2ust%2B", "rust"),
        ("tag=%F0%9F%A6%80", ""),
        ("tag=a%00b", "ab"),
        ("tag=a%FFb", "ab"),
    ] {
        let _ws = scene.ws(&format!("/?stream=hashtag&{query}")).await;
        let _sse = scene.sse(&format!("/api/v1/streaming/hashtag/local?{query}")).await;
        let (all, local) = (format!("timeline:hashtag:{normalised}"), format!("timeline:hashtag:{normalised}:local"));
        scene.wait_for_channels(&[&all, &local]).await;
    }
}

#[tokio::test]
async fn raw_bytes_of_utf8_in_a_query_are_understood_too() {
    let scene = Scene::start().await;
    let authorization = format!("Bearer {}", scene.alice.token);
    let headers = [("Authorization", authorization.as_str())];
    let mut wire = Wire::open(&scene.server).await;
    wire.send(encode("GET", "/api/v1/streaming/hashtag?tag=Café", &headers, b"")).await;
    assert_eq!(http::read_head(&mut wire).await.status, 200);
    scene.wait_for_channels(&["timeline:hashtag:cafe"]).await;
}

#[tokio::test]
async fn lone_surrogates_are_removed_from_a_tag() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    ws.send_text(r#"{"type":"subscribe","stream":"hashtag","tag":"a\ud800b\udc00\udbffc"}"#).await;
    ws.send_text(r#"{"type":"subscribe","stream":"hashtag","tag":"\ud835\udd04"}"#).await;
    scene.wait_for_channels(&["timeline:hashtag:abc", "timeline:hashtag:a"]).await;
}

#[tokio::test]
async fn a_tag_of_which_nothing_is_left_gets_what_is_published_for_the_empty_one() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/?stream=hashtag&tag=%21").await;
    scene.redis.wait_for_subscribers("timeline:hashtag:", 1).await;
    scene.redis.publish("timeline:hashtag:", event("delete", "1")).await;
    assert_eq!(ws.next_event().await.stream, json!(["hashtag", "!"]));
}
