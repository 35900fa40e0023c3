//! Other methods than GET.

use serde_json::json;

use crate::support::http::{Client, Response};
use crate::support::*;

#[tokio::test]
async fn health_metrics_and_favicon_can_only_be_read() {
    let Stage { server, .. } = Stage::start().await;
    for path in ["/api/v1/streaming/health", "/metrics", "/favicon.ico"] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            let answer = server.request(method, path, &[]).await;
            assert_eq!(answer.status, 400, "{method} {path}");
            assert_eq!(answer.json(), json!({"error": "Unknown channel requested"}), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn another_method_on_a_stream_path_is_refused_after_token_and_scopes() {
    let Stage { server, db, .. } = Stage::start().await;
    let (alice, bob) = (db.person("alice").await, db.person("bob").scopes("write").await);
    let paths = ["user", "public", "hashtag?tag=a", "hashtag", "list?list=0", "list", "direct", "user/notification"];
    for path in paths {
        let path = format!("/api/v1/streaming/{path}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            let answer = async |token: &str| {
                let authorization = format!("Bearer {token}");
                let headers = [("Authorization", authorization.as_str())];
                let headers = if token.is_empty() { &[] } else { &headers[..] };
                server.request(method, &path, headers).await
            };
            let refused = |answer: Response, error: &str| {
                assert_eq!((answer.status, answer.json()), (401, json!({"error": error})), "{method} {path}");
            };
            refused(answer("").await, "Missing access token");
            refused(answer("wrong").await, "Invalid access token");
            refused(answer(&bob.token).await, "Access token does not have the required scopes");
            let allowed = answer(&alice.token).await;
            assert!([404, 405].contains(&allowed.status), "{method} {path}: {allowed:?}");
        }
    }
    let sessions = server.metric("connected_clients", &[("type", "eventsource")]).await;
    assert_eq!(sessions, 0.0);
}

#[tokio::test]
async fn head_is_answered_like_get_but_without_body() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let authorization = format!("Bearer {}", alice.token);
    let good = [("Authorization", authorization.as_str())];
    let mut client = Client::open(&server).await;
    for (path, headers, status) in [
        ("/api/v1/streaming/health", &[][..], 200),
        ("/metrics", &[], 200),
        ("/favicon.ico", &[], 404),
        ("/api/v1/streaming/public", &[], 401),
        ("/api/v1/streaming/public", &[("Authorization", "wrong")], 401),
        ("/api/v1/streaming/hashtag", &good, 400),
        ("/api/v1/streaming/list?list=0", &good, 401),
        ("/nothing", &[], 400),
    ] {
        let head = client.request("HEAD", path, headers, b"").await;
        // On the same connection: a body after the head's answer would be taken for the next answer.
        let get = client.request("GET", path, headers, b"").await;
        assert_eq!((head.status, get.status), (status, status), "{path}");
        assert!(head.body.is_empty(), "{path}");
        for name in ["content-type", "cache-control", "access-control-allow-origin"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
        // The length may be left out; one that is there is that of GET (metrics may have changed in between).
        if path != "/metrics" && head.header("content-length").is_some() {
            assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
        }
    }
}

#[tokio::test]
async fn head_on_a_stream_opens_nothing() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let authorization = format!("Bearer {}", alice.token);
    let headers = [("Authorization", authorization.as_str())];
    let monitor = redis.monitor().await;
    let mut client = Client::open(&server).await;
    for _ in 0..2 {
        let answer = client.request("HEAD", "/api/v1/streaming/public", &headers, b"").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        assert_eq!(answer.header("content-length").unwrap_or("none"), "none", "a stream has no length");
    }
    assert_eq!(server.metric("flodgatt_sessions_closed_total", CLIENT_GONE).await, 0.0);
    assert_eq!(server.metric("connected_clients", &[("type", "eventsource")]).await, 0.0);
    // What a GET does instead.
    let stream = Sse::open_on(client.wire, "/api/v1/streaming/public", &headers).await.map_err(|answer| answer.status);
    monitor.wait_for("timeline:public").await;
    let subscriptions = monitor.commands().into_iter().filter(|command| command.contains("\"SUBSCRIBE\""));
    assert_eq!(subscriptions.filter(|command| command.contains("timeline:public")).count(), 1);
    drop(stream);
    server.wait_for_metric("flodgatt_sessions_closed_total", CLIENT_GONE, 1.0).await;
}

const CLIENT_GONE: &[(&str, &str)] = &[("type", "eventsource"), ("reason", "client_gone")];
