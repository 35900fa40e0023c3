//! Every page of every origin may use the API.

use crate::support::http::{self, Response};
use crate::support::websocket::handshake;
use crate::support::*;

/// That an answer lets every origin read it, and says nothing else of CORS.
#[track_caller]
fn open_to_all(answer: &Response, what: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{what}: {answer:?}");
    let cors = answer.headers.iter().filter(|(name, _)| name.to_lowercase().starts_with("access-control-"));
    assert_eq!(cors.count(), 1, "{what}: {answer:?}");
    assert_eq!(answer.headers_named("vary"), [""; 0], "{what}");
    assert_eq!(answer.header("content-encoding"), None, "{what}");
}

/// What browsers send that ask for something else than they get.
const BROWSER: [(&str, &str); 3] =
    [("Origin", "https://elk.example"), ("Accept-Encoding", "gzip, br, zstd, deflate"), ("Accept", "text/html")];

#[tokio::test]
async fn every_answer_can_be_read_by_pages_of_every_origin_and_is_not_compressed() {
    let Stage { server, db, .. } = Stage::start().await;
    let (alice, bob) = (db.person("alice").await, db.person("bob").scopes("write").await);
    let (alice, bob) = (format!("Bearer {}", alice.token), format!("Bearer {}", bob.token));
    for (method, path, token, status) in [
        ("GET", "/api/v1/streaming/health", "", 200),
        ("HEAD", "/api/v1/streaming/health", "", 200),
        ("GET", "/metrics", "", 200),
        ("GET", "/favicon.ico", "", 404),
        ("GET", "/nothing", "", 400),
        ("POST", "/metrics", "", 400),
        ("GET", "/api/v1/streaming/user", "", 401),
        ("GET", "/api/v1/streaming/user", "wrong", 401),
        ("GET", "/api/v1/streaming/user", &bob, 401),
        ("GET", "/api/v1/streaming/hashtag", &alice, 400),
        ("GET", "/api/v1/streaming/list?list=x", &alice, 401),
        ("POST", "/api/v1/streaming/user", &alice, 405),
        ("HEAD", "/api/v1/streaming/user", &alice, 200),
    ] {
        let headers = [&BROWSER[..], &[("Authorization", token)]].concat();
        let answer = server.request(method, path, &headers).await;
        let what = format!("{method} {path}");
        assert_eq!(answer.status, status, "{what}");
        open_to_all(&answer, &what);
    }
    let headers = [&BROWSER[..], &[("Authorization", alice.as_str())]].concat();
    let stream = Sse::try_open(&server, "/api/v1/streaming/user", &headers).await.map_err(|answer| answer.status);
    open_to_all(&stream.expect("the stream opens").head, "a stream");
    db.execute("ALTER TABLE oauth_access_tokens RENAME TO gone").await;
    let answer = server.request("GET", "/api/v1/streaming/user", &headers).await;
    assert_eq!(answer.status, 500);
    open_to_all(&answer, "an internal error");
}

#[tokio::test]
async fn options_is_answered_on_any_path() {
    let Stage { server, .. } = Stage::start().await;
    for path in ["/api/v1/streaming/user", "/api/v1/streaming/health", "/metrics", "/favicon.ico", "/nothing", "/", "*"]
    {
        for token in ["", "Bearer wrong"] {
            let headers = [
                ("Origin", "https://elk.example"),
                ("Access-Control-Request-Method", "GET"),
                ("Access-Control-Request-Headers", "authorization, X-Any-Thing"),
                ("Authorization", token),
            ];
            let answer = server.request("OPTIONS", path, &headers).await;
            assert_eq!((answer.status, answer.body.as_slice()), (204, &b""[..]), "{path}");
            let cors = |name: &str| answer.header(&format!("access-control-{name}"));
            assert_eq!(cors("allow-origin"), Some("*"), "{path}");
            assert_eq!(cors("allow-methods"), Some("GET,HEAD,PUT,PATCH,POST,DELETE"), "{path}");
            assert_eq!(cors("allow-headers"), Some("authorization, X-Any-Thing"), "{path}");
            assert_eq!(answer.header("vary"), Some("Access-Control-Request-Headers"), "{path}");
            let others = answer.headers.iter().filter(|(name, _)| name.to_lowercase().starts_with("access-control-"));
            assert_eq!(others.count(), 3, "{path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn options_allows_no_headers_that_were_not_asked_for() {
    let Stage { server, .. } = Stage::start().await;
    let answer = server.request("OPTIONS", "/api/v1/streaming/user", &[]).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-headers"), None);
    assert_eq!(answer.header("vary"), Some("Access-Control-Request-Headers"));
}

#[tokio::test]
async fn answers_to_websocket_upgrades_say_nothing_of_cors() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let token = format!("Bearer {}", alice.token);
    let upgrade = |method: &str, version: &str, token: &str| {
        let request = handshake("/", &[("Origin", "https://elk.example"), ("Authorization", token)]);
        let request = String::from_utf8(request).unwrap();
        request.replacen("GET", method, 1).replacen("Version: 13", &format!("Version: {version}"), 1)
    };
    for (request, status) in [
        (upgrade("GET", "13", &token), vec![101]),
        (upgrade("GET", "13", ""), vec![401]),
        (upgrade("GET", "13", "wrong"), vec![401]),
        (upgrade("POST", "13", &token), vec![405]),
        (upgrade("GET", "12", &token), vec![400, 426]),
    ] {
        let mut client = http::Client::open(&server).await;
        client.wire.send(&request).await;
        let answer = http::read_head(&mut client.wire).await;
        assert!(status.contains(&answer.status), "{request}: {answer:?}");
        let cors = |(name, _): &&(String, String)| {
            let name = name.to_lowercase();
            name.starts_with("access-control-") || name == "vary"
        };
        assert_eq!(answer.headers.iter().find(cors), None, "{request}");
    }
}
