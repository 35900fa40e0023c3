//! Who may open a connection, and what is said to those who may not.

use super::support::http::{Client, Response};
use super::support::websocket::handshake;
use super::support::*;

/// The answer to a request on a connection of its own, which must be closed after it.
async fn last_answer(server: &Server, method: &str, request: impl AsRef<[u8]>) -> Response {
    let mut client = Client::open(server).await;
    client.wire.send(request).await;
    let response = client.response(method).await;
    client.closed().await;
    response
}

/// A handshake with a method and the headers that are needed, but for some.
fn unusual(method: &str, target: &str, without: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let usual = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let kept = usual.into_iter().filter(|(name, _)| *name != without);
    let headers: Vec<(&str, &str)> = kept.chain(headers.iter().copied()).collect();
    http::encode(method, target, &headers, b"")
}

#[tokio::test]
async fn any_path_upgrades_and_subscribes_to_nothing() {
    let scene = Scene::start().await;
    let paths =
        ["/", "/api/v1/streaming", "/api/v1/streaming/user", "/api/v1/streaming/public/", "/metrics", "/a%20b/c"];
    let mut open = Vec::new();
    for path in paths {
        open.push(scene.ws(path).await);
    }
    for ws in &mut open {
        ws.silent_so_far().await;
    }
    let system = format!("timeline:system:{}", scene.alice.account_id);
    scene.redis.wait_for_subscribers(&system, 1).await;
    scene.wait_for_channels(&[]).await;
    let count = open.len() as f64;
    scene.server.wait_for_metric("connected_clients", &[("type", "websocket")], count).await;
    for channel in ["user", "public"] {
        let labels = [("type", "websocket"), ("channel", channel)];
        assert_eq!(scene.server.metric("connected_channels", &labels).await, 0.0);
    }
}

fn assert_refusal(response: &Response, status: u16, message: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("x-error-message"), Some(message), "{response:?}");
    assert_eq!(response.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("close"));
    assert_eq!(response.header("content-type"), Some("text/plain"));
    assert_eq!(response.header("content-length"), Some("0"));
    assert!(response.header("x-request-id").is_some_and(|id| id.len() == 36), "{response:?}");
    assert_eq!(response.header("access-control-allow-origin"), None);
    assert!(response.body.is_empty());
}

#[tokio::test]
async fn a_refused_token_is_explained_in_the_head_of_an_empty_last_answer() {
    let scene = Scene::start().await;
    let missing = last_answer(&scene.server, "GET", handshake("/api/v1/streaming", &[])).await;
    assert_refusal(&missing, 401, "Missing access token");
    for target in ["/?access_token=unknown", "/api/v1/streaming/user?access_token=%00"] {
        let invalid = last_answer(&scene.server, "GET", handshake(target, &[])).await;
        assert_refusal(&invalid, 401, "Invalid access token");
    }
}

#[tokio::test]
async fn who_is_asking_comes_before_what_is_wrong_with_the_handshake() {
    let scene = Scene::start().await;
    for wrong in [
        unusual("GET", "/", "Sec-WebSocket-Key", &[]),
        unusual("GET", "/", "Sec-WebSocket-Version", &[("Sec-WebSocket-Version", "8")]),
        unusual("POST", "/", "", &[]),
    ] {
        let response = last_answer(&scene.server, "GET", wrong).await;
        assert_refusal(&response, 401, "Missing access token");
    }
    let repeated = unusual("GET", "/", "", &[("Sec-WebSocket-Protocol", "a, a")]);
    assert_refusal(&last_answer(&scene.server, "GET", repeated).await, 401, "Invalid access token");
}

#[tokio::test]
async fn a_database_that_fails_is_told_from_one_that_cannot_be_reached() {
    let postgres = Postgres::start_own().await;
    let (redis, db) = (Redis::start().await, postgres.database().await);
    let alice = db.person("alice").await;
    let server = Server::start(&redis, &db).await;
    let request = handshake(&format!("/?access_token={}", alice.token), &[]);

    db.execute("ALTER TABLE oauth_access_tokens RENAME TO elsewhere").await;
    let failed = last_answer(&server, "GET", &request).await;
    assert_refusal(&failed, 500, "An unexpected error occurred");
    db.execute("ALTER TABLE elsewhere RENAME TO oauth_access_tokens").await;

    postgres.stop();
    let away = last_answer(&server, "GET", &request).await;
    assert_refusal(&away, 503, away.header("x-error-message").expect("a message"));
    assert!(away.header("retry-after").is_some(), "{away:?}");
    postgres.start_again().await;
    // That it refused is remembered for a moment.
    let open = async || Ws::try_open(&server, &format!("/?access_token={}", alice.token), &[]).await.ok();
    eventually("an open door", open).await.silent_so_far().await;
}

#[tokio::test]
async fn an_invalid_handshake_is_refused_and_the_connection_closed() {
    let scene = Scene::start().await;
    let target = format!("/?access_token={}", scene.alice.token);
    let key = |key| unusual("GET", &target, "Sec-WebSocket-Key", &[("Sec-WebSocket-Key", key)]);
    let version = |version| unusual("GET", &target, "Sec-WebSocket-Version", &[("Sec-WebSocket-Version", version)]);
    let protocol = |protocol| unusual("GET", &target, "", &[("Sec-WebSocket-Protocol", protocol)]);
    let method = |method| unusual(method, &target, "", &[]);
    let cases = [
        (400, "no key", "GET", unusual("GET", &target, "Sec-WebSocket-Key", &[])),
        (400, "empty key", "GET", key("")),
        (400, "short key", "GET", key("dGhlIHNhbXBsZQ==")),
        (400, "key that is no base64", "GET", key("dGhlIHNhbXBsZSBub25jZ!==")),
        (400, "repeated protocol", "GET", protocol("a, b, a")),
        (400, "empty protocol", "GET", protocol("a,,b")),
        (400, "protocol with a space", "GET", protocol("a b")),
        (405, "POST", "POST", method("POST")),
        (405, "HEAD", "HEAD", method("HEAD")),
        (405, "OPTIONS", "OPTIONS", method("OPTIONS")),
    ];
    for (status, what, method, request) in cases {
        assert_eq!(last_answer(&scene.server, method, request).await.status, status, "{what}");
    }
    for request in [version("8"), version("14"), unusual("GET", &target, "Sec-WebSocket-Version", &[])] {
        let response = last_answer(&scene.server, "GET", request).await;
        assert!([400, 426].contains(&response.status), "{response:?}");
        assert_eq!(response.header("sec-websocket-version"), Some("13"));
    }
    assert_eq!(scene.server.metric("connected_clients", &[("type", "websocket")]).await, 0.0);
}

#[tokio::test]
async fn header_values_may_be_spelt_in_any_case_and_stand_in_a_list() {
    let scene = Scene::start().await;
    let target = format!("/?access_token={}", scene.alice.token);
    let headers = [
        ("Connection", "keep-alive, UPGRADE"),
        ("Upgrade", "WebSocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let request = http::encode("GET", &target, &headers, b"");
    let opened = Ws::open_on(Wire::open(&scene.server).await, request).await;
    opened.expect("it is accepted").silent_so_far().await;
}

#[tokio::test]
async fn the_first_subprotocol_is_echoed_whichever_way_the_token_came() {
    let scene = Scene::start().await;
    let token = scene.alice.token.as_str();
    let (bearer, in_query) = (format!("Bearer {token}"), format!("/?access_token={token}"));
    let cases = [
        ("/", vec![("Sec-WebSocket-Protocol", token)], Some(token)),
        ("/", vec![("Authorization", &*bearer), ("Sec-WebSocket-Protocol", "one, two")], Some("one")),
        (&in_query, vec![("Sec-WebSocket-Protocol", "one"), ("Sec-WebSocket-Protocol", "two")], Some("one")),
        (&in_query, vec![], None),
    ];
    for (target, headers, echoed) in cases {
        let ws = Ws::try_open(&scene.server, target, &headers).await;
        let ws = ws.unwrap_or_else(|response| panic!("{headers:?}: {response:?}"));
        assert_eq!(ws.head.header("sec-websocket-protocol"), echoed, "{headers:?}");
    }
}

#[tokio::test]
async fn the_answer_that_upgrades_bears_a_request_id_and_nothing_of_cors() {
    let scene = Scene::start().await;
    let ws = scene.ws("/").await;
    assert!(ws.head.header("x-request-id").is_some_and(|id| id.len() == 36), "{:?}", ws.head);
    let names: Vec<&str> = ws.head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(!names.iter().any(|name| name.to_ascii_lowercase().starts_with("access-control")), "{names:?}");
    assert_eq!(ws.head.header("sec-websocket-extensions"), None);
}
