//! `X-Request-Id`.

use std::collections::HashSet;

use crate::support::http::Client;
use crate::support::websocket::handshake;
use crate::support::*;

/// One that a proxy or a client may have made: a valid UUID v4 too.
const INCOMING: &str = "3f2b8c1e-5d64-4a7b-9c0d-1e2f3a4b5c6d";

/// The value of a header that must be a UUID v4 (RFC 9562), in lower case with hyphens.
#[track_caller]
fn uuid_v4(answer: &http::Response, what: &str) -> String {
    let id = answer.header("x-request-id").unwrap_or_else(|| panic!("{what}: {answer:?}"));
    let hyphens: Vec<usize> = id.match_indices('-').map(|(place, _)| place).collect();
    assert_eq!((id.len(), hyphens.as_slice()), (36, &[8, 13, 18, 23][..]), "{what}: {id}");
    let digits = id.bytes().filter(|byte| *byte != b'-');
    assert!(digits.clone().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{what}: {id}");
    assert_eq!(&id[14..15], "4", "version in {id}");
    assert!("89ab".contains(&id[19..20]), "variant in {id}");
    id.to_owned()
}

#[tokio::test]
async fn every_answer_bears_a_fresh_uuid_whatever_came_with_the_request() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let good = format!("Bearer {}", alice.token);
    let flood = "x".repeat(17 * 1024);
    let mut seen = HashSet::from([INCOMING.to_owned()]);
    for (method, path, token, status) in [
        ("GET", "/api/v1/streaming/health", "", 200),
        ("GET", "/metrics", "", 200),
        ("GET", "/favicon.ico", "", 404),
        ("GET", "/nothing", "", 400),
        ("OPTIONS", "/nothing", "", 204),
        ("HEAD", "/metrics", "", 200),
        ("GET", "/api/v1/streaming/user", "", 401),
        ("GET", "/api/v1/streaming/user", "wrong", 401),
        ("GET", "/api/v1/streaming/hashtag", &good, 400),
        ("DELETE", "/api/v1/streaming/user", &good, 405),
        ("HEAD", "/api/v1/streaming/user", &good, 200),
        ("GET", "/api/v1/streaming/health", &flood, 431),
    ] {
        for incoming in [&[("X-Request-Id", INCOMING)][..], &[]] {
            let headers = [incoming, &[("Authorization", token)]].concat();
            let answer = server.request(method, path, &headers).await;
            let what = format!("{method} {path}");
            assert_eq!(answer.status, status, "{what}");
            assert!(seen.insert(uuid_v4(&answer, &what)), "{what}: not a fresh one");
        }
    }
    let headers = [("X-Request-Id", INCOMING), ("Authorization", good.as_str())];
    let stream = Sse::try_open(&server, "/api/v1/streaming/user", &headers).await.map_err(|answer| answer.status);
    assert!(seen.insert(uuid_v4(&stream.expect("the stream opens").head, "a stream")));
    db.execute("ALTER TABLE oauth_access_tokens RENAME TO gone").await;
    let failed = server.request("GET", "/api/v1/streaming/user", &headers).await;
    assert_eq!(failed.status, 500);
    assert!(seen.insert(uuid_v4(&failed, "an internal error")));
}

#[tokio::test]
async fn requests_on_one_connection_have_different_ids() {
    let Stage { server, .. } = Stage::start().await;
    let mut client = Client::open(&server).await;
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let answer = client.request("GET", "/api/v1/streaming/health", &[], b"").await;
        assert!(seen.insert(uuid_v4(&answer, "health")));
    }
}

#[tokio::test]
async fn answers_to_websocket_handshakes_bear_one_too() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let good = format!("Bearer {}", alice.token);
    let mut seen = HashSet::from([INCOMING.to_owned()]);
    for (method, token, status) in [("GET", good.as_str(), 101), ("GET", "", 401), ("POST", &good, 405)] {
        let request = handshake("/", &[("X-Request-Id", INCOMING), ("Authorization", token)]);
        let request = String::from_utf8(request).unwrap().replacen("GET", method, 1);
        let mut client = Client::open(&server).await;
        client.wire.send(&request).await;
        let answer = http::read_head(&mut client.wire).await;
        assert_eq!(answer.status, status, "{request}");
        assert!(seen.insert(uuid_v4(&answer, &request)), "not a fresh one: {request}");
    }
}
