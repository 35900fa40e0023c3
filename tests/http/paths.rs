//! Which path answers what.

use serde_json::json;

use crate::support::*;

const UNKNOWN: &str = "Unknown channel requested";

#[tokio::test]
async fn health_is_plain_text_in_any_case_with_or_without_a_trailing_slash() {
    let Stage { server, .. } = Stage::start().await;
    for path in [
        "/api/v1/streaming/health",
        "/api/v1/streaming/health/",
        "/API/V1/Streaming/HEALTH",
        "/Api/v1/streaming/Health/",
        "/api/v1/streaming/health?access_token=wrong",
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "OK"), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/plain"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("private, no-store"), "{path}");
    }
}

#[tokio::test]
async fn metrics_are_prometheus_text_for_everybody() {
    let Stage { server, .. } = Stage::start().await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert!(answer.text().contains("connected_clients{"), "{}", answer.text());
}

#[tokio::test]
async fn there_is_no_favicon_and_nothing_is_said_of_it() {
    let Stage { server, .. } = Stage::start().await;
    let answer = server.get("/favicon.ico").await;
    assert_eq!((answer.status, answer.body.as_slice()), (404, &b""[..]));
}

/// Each path under `/api/v1/streaming/` with the channel that it means; `A` stands for the account's id, `L` for a list's.
const STREAMS: [(&str, &str); 18] = [
    ("user", "timeline:A"),
    ("user/notification", "timeline:A:notifications"),
    ("public", "timeline:public"),
    ("public/local", "timeline:public:local"),
    ("public/remote", "timeline:public:remote"),
    ("public?only_media=true", "timeline:public:media"),
    ("public/local?only_media=true", "timeline:public:local:media"),
    ("public/remote?only_media=true", "timeline:public:remote:media"),
    ("hashtag?tag=Herons", "timeline:hashtag:herons"),
    ("hashtag/local?tag=Herons", "timeline:hashtag:herons:local"),
    ("hashtag?tag=terns&only_media=true", "timeline:hashtag:terns"),
    ("hashtag/local?tag=terns&only_media=true", "timeline:hashtag:terns:local"),
    ("hashtag?tag=%C3%A4+%26b", "timeline:hashtag:ab"),
    ("list?list=L", "timeline:list:L"),
    ("list?list=L&only_media=true", "timeline:list:L"),
    ("direct", "timeline:direct:A"),
    ("direct?only_media=true", "timeline:direct:A"),
    ("user?only_media=true&tag=x&list=y&stream=public", "timeline:A"),
];

#[tokio::test]
async fn each_stream_path_opens_its_stream() {
    let Stage { server, redis, db } = Stage::start().await;
    for (path, channel) in STREAMS {
        // Everybody is new, so that no channel is left over from another path.
        let viewer = db.person(&format!("viewer{}", fastrand::u64(..))).await;
        let list = db.list(viewer.account_id).await;
        let path = format!("/api/v1/streaming/{}", path.replace('L', &list.to_string()));
        let channel = channel.replace('A', &viewer.account_id.to_string()).replace('L', &list.to_string());
        redis.wait_for_subscribers(&channel, 0).await;
        let mut stream = Sse::open(&server, &path, &viewer.token).await;
        redis.wait_for_subscribers(&channel, 1).await;
        redis.publish(&channel, event("delete", path.as_str())).await;
        assert_eq!(stream.next_event().await.data(), path, "{channel}");
    }
}

/// What looks like a stream, or like one of the other three, and is none of them.
const NOTHING: [&str; 31] = [
    "/",
    "/api/v1/streaming",
    "/api/v1/streaming/",
    "/api/v1/streaming?stream=public",
    "/api/v1/streaming/public/",
    "/api/v1/streaming/Public",
    "/API/v1/streaming/public",
    "/api/v1/streaming/p%75blic",
    "/api/v1/streaming/public%2Flocal",
    "/api/v1/streaming//public",
    "//api/v1/streaming/public",
    "/api/v1/streaming/./public",
    "/api/v1/streaming/public/media",
    "/api/v1/streaming/public/local/media",
    "/api/v1/streaming/public:local",
    "/api/v1/streaming/user/",
    "/api/v1/streaming/user/notifications",
    "/api/v1/streaming/user/notification/",
    "/api/v1/streaming/hashtag/remote?tag=a",
    "/api/v1/streaming/hashtag/?tag=a",
    "/api/v1/streaming/list/1",
    "/api/v1/streaming/direct/",
    "/api/v2/streaming/public",
    "/api/v1/streaming/health//",
    "/api/v1/streaming/healthy",
    "/api/v1/streaming/he%61lth",
    "/Metrics",
    "/metrics/",
    "/favicon.ico/",
    "/Favicon.ico",
    "/nothing%20at%20all",
];

#[tokio::test]
async fn anything_else_is_an_unknown_channel_before_any_look_at_the_token() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let good = format!("Bearer {}", alice.token);
    for path in NOTHING {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            for token in [None, Some("Bearer wrong"), Some(good.as_str())] {
                let headers: Vec<_> = token.iter().map(|token| ("Authorization", *token)).collect();
                let answer = server.request(method, path, &headers).await;
                assert_eq!(answer.status, 400, "{method} {path} {token:?}");
                assert_eq!(answer.json(), json!({"error": UNKNOWN}), "{method} {path} {token:?}");
                assert_eq!(answer.header("content-type"), Some("application/json"), "{method} {path}");
            }
        }
    }
    assert_eq!(token_look_ups(&db), 0, "a token was looked up");
}

/// How often servers have asked the database for a token.
fn token_look_ups(db: &Database) -> usize {
    db.statements().iter().filter(|statement| statement.text.contains("oauth_access_tokens")).count()
}

#[tokio::test]
async fn health_metrics_and_favicon_look_up_no_token() {
    let Stage { server, db, .. } = Stage::start().await;
    for path in ["/api/v1/streaming/health", "/metrics", "/favicon.ico"] {
        server.get_as(path, "wrong").await;
    }
    assert_eq!(token_look_ups(&db), 0);
    // The same way of counting sees one that there is.
    assert_eq!(server.get_as("/api/v1/streaming/user", "wrong").await.status, 401);
    assert_eq!(token_look_ups(&db), 1);
}
