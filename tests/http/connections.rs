//! One connection: how long a header block may be, upgrades to something else, several requests one after the other.

use crate::support::http::{Body, Client, encode, read_head};
use crate::support::websocket::handshake;
use crate::support::*;

const HEALTH: &str = "/api/v1/streaming/health";

/// A request whose header block, from its first byte to the blank line, has exactly this many bytes.
fn request_of(bytes: usize) -> Vec<u8> {
    let short = encode("GET", HEALTH, &[("X-Long", "")], b"").len();
    encode("GET", HEALTH, &[("X-Long", &"x".repeat(bytes - short))], b"")
}

#[tokio::test]
async fn a_header_block_of_16_kib_is_read() {
    let Stage { server, .. } = Stage::start().await;
    let request = request_of(16 * 1024);
    assert_eq!(request.len(), 16 * 1024);
    assert_eq!(http::raw(&server, &request).await.status, 200);
    // In two parts, so that the first fills the server's buffer.
    let mut client = Client::open(&server).await;
    client.wire.send(&request[..10_000]).await;
    client.wire.send(&request[10_000..]).await;
    assert_eq!(client.response("GET").await.status, 200);
}

#[tokio::test]
async fn a_header_block_of_more_is_refused_with_431() {
    let Stage { server, .. } = Stage::start().await;
    for bytes in [16 * 1024 + 1, 20_000, 24_000, 32_000, 100_000, 1_000_000] {
        let mut client = Client::open(&server).await;
        // The server may have closed before everything is sent.
        let _ = client.wire.try_send(&request_of(bytes)).await;
        assert_eq!(read_head(&mut client.wire).await.status, 431, "{bytes} bytes");
        let _ = within("end of the connection", client.wire.rest()).await;
    }
    let many: Vec<(String, String)> = (0..400).map(|number| (format!("X-{number}"), "x".repeat(50))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(server.request("GET", HEALTH, &many).await.status, 431);
    let long_path = format!("/{}", "x".repeat(17 * 1024));
    assert_eq!(server.get(&long_path).await.status, 431);
    assert_eq!(server.get(HEALTH).await.status, 200);
}

#[tokio::test]
async fn many_short_headers_are_no_flood() {
    let Stage { server, .. } = Stage::start().await;
    let many: Vec<String> = (0..300).map(|number| format!("X-{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "x")).collect();
    assert_eq!(server.request("GET", HEALTH, &many).await.status, 200);
}

#[tokio::test]
async fn an_upgrade_to_something_else_is_answered_as_a_plain_request() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    for protocol in ["h2c", "TLS/1.0", "websockets", "web socket", "HTTP/2.0, IRC/6.9"] {
        let headers = [("Connection", "Upgrade"), ("Upgrade", protocol)];
        let answer = server.request("GET", HEALTH, &headers).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "OK"), "{protocol}");
        assert_eq!(server.request("GET", "/nothing", &headers).await.status, 400, "{protocol}");
        let authorization = format!("Bearer {}", alice.token);
        let headers = [&headers[..], &[("Authorization", &authorization)]].concat();
        let stream = Sse::try_open(&server, "/api/v1/streaming/public", &headers).await.map_err(|answer| answer.status);
        let mut stream = stream.unwrap_or_else(|status| panic!("{protocol}: {status}"));
        redis.wait_for_subscribers("timeline:public", 1).await;
        redis.publish("timeline:public", event("delete", "1")).await;
        assert_eq!(stream.next_event().await.event, "delete", "{protocol}");
    }
}

#[tokio::test]
async fn an_upgrade_to_websocket_is_one_in_any_case() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    for protocol in ["websocket", "WebSocket", "WEBSOCKET"] {
        let request = handshake("/", &[("Authorization", &alice.token)]);
        let request = String::from_utf8(request).unwrap().replacen(": websocket", &format!(": {protocol}"), 1);
        let opened = Ws::open_on(Wire::open(&server).await, request).await;
        assert!(opened.is_ok(), "{protocol}: {:?}", opened.err());
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other_whatever_the_answers() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let authorization = format!("Bearer {}", alice.token);
    let mut client = Client::open(&server).await;
    for (method, path, body, status) in [
        ("GET", HEALTH, "", 200),
        ("GET", "/nothing", "", 400),
        ("POST", "/nothing", "a body that nobody reads", 400),
        ("GET", "/favicon.ico", "", 404),
        ("OPTIONS", "/", "", 204),
        ("GET", "/api/v1/streaming/hashtag", "", 400),
        ("POST", "/api/v1/streaming/user", "a body that nobody reads", 405),
        ("HEAD", "/metrics", "", 200),
        ("GET", "/metrics", "", 200),
    ] {
        let headers = [("Authorization", authorization.as_str())];
        let answer = client.request(method, path, &headers, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_ne!(answer.header("connection"), Some("close"), "{method} {path}");
    }
    // The last one may be a stream.
    let headers = [("Authorization", authorization.as_str())];
    let stream = Sse::open_on(client.wire, "/api/v1/streaming/user", &headers).await;
    assert!(stream.is_ok(), "{:?}", stream.err());
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_their_order() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let authorization = format!("Bearer {}", alice.token);
    let headers = [("Authorization", authorization.as_str())];
    // The second needs the database; the third does not, and still waits for its turn.
    let requests = [
        encode("GET", "/favicon.ico", &[], b""),
        encode("GET", "/api/v1/streaming/hashtag", &headers, b""),
        encode("GET", HEALTH, &[], b""),
        encode("POST", "/nothing", &[], b"with a body"),
        handshake("/?stream=public", &headers),
    ];
    let mut client = Client::open(&server).await;
    client.wire.send(requests.concat()).await;
    for status in [404, 400, 200, 400] {
        assert_eq!(client.response("GET").await.status, status);
    }
    assert_eq!(read_head(&mut client.wire).await.status, 101);
}

#[tokio::test]
async fn a_stream_is_the_last_answer_on_its_connection_as_its_head_says() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let headers = [("Authorization", alice.token.as_str())];
    let home = format!("timeline:{}", alice.account_id);
    let mut client = Client::open(&stage.server).await;
    // All that comes before the stream is answered before it; the last one is read by half with it.
    let before = [encode("GET", "/favicon.ico", &[], b""), encode("GET", HEALTH, &[], b"")];
    let stream = encode("GET", "/api/v1/streaming/user", &headers, b"");
    client.wire.send([&before.concat()[..], &stream, b"GET /metr"].concat()).await;
    for status in [404, 200] {
        assert_eq!(client.response("GET").await.status, status);
    }
    let head = read_head(&mut client.wire).await;
    assert_eq!((head.status, head.header("connection")), (200, Some("close")));
    within("first bytes", client.wire.until(b"\r\n:)\n\r\n")).await.unwrap();
    stage.redis.wait_for_subscribers(&home, 1).await;
    // Whole ones, halves, and one after which the connection would speak another protocol.
    let late = [encode("GET", "/favicon.ico", &[], b""), handshake("/", &headers), b"\0\xff rubbish".to_vec()];
    for (number, part) in late.concat().chunks(50).enumerate() {
        client.wire.send(part).await;
        stage.publish(&home, event("delete", number.to_string())).await;
        let block = format!("\r\nevent: delete\ndata: {number}\n\n\r\n");
        within("event", client.wire.until(block.as_bytes())).await.unwrap();
    }
    stage.publish(&format!("timeline:access_token:{}", alice.token_id), event("kill", "")).await;
    let rest = within("end of the connection", client.wire.rest()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&rest), "0\r\n\r\n");
}

#[tokio::test]
async fn a_request_that_comes_in_pieces_is_answered() {
    let Stage { server, .. } = Stage::start().await;
    let mut client = Client::open(&server).await;
    for byte in encode("GET", HEALTH, &[("X-Slow", "yes")], b"") {
        client.wire.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.response("GET").await.status, 200);
}

#[tokio::test]
async fn a_connection_is_closed_if_the_client_wants_it() {
    let Stage { server, .. } = Stage::start().await;
    let mut client = Client::open(&server).await;
    let answer = client.request("GET", HEALTH, &[("Connection", "close")], b"").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    client.closed().await;
}

#[tokio::test]
async fn http_1_0_gets_a_stream_that_ends_with_the_connection() {
    let Stage { server, redis, db } = Stage::start().await;
    let alice = db.person("alice").await;
    let mut wire = Wire::open(&server).await;
    wire.send(format!("GET /api/v1/streaming/public?access_token={} HTTP/1.0\r\n\r\n", alice.token)).await;
    let head = within("answer", read_head(&mut wire)).await;
    assert_eq!((head.status, Body::of(&head, "GET")), (200, Body::UntilClosed));
    redis.wait_for_subscribers("timeline:public", 1).await;
    redis.publish("timeline:public", event("delete", "1")).await;
    let body = within("event", wire.until(b"\n\n")).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&body), ":)\nevent: delete\ndata: 1\n\n");
}

#[tokio::test]
async fn a_stream_over_http_1_0_that_is_killed_ends_after_what_was_published_before() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let home = format!("timeline:{}", alice.account_id);
    let mut wire = Wire::open(&stage.server).await;
    wire.send(format!("GET /api/v1/streaming/user?access_token={} HTTP/1.0\r\n\r\n", alice.token)).await;
    within("first bytes", wire.until(b":)\n")).await.unwrap();
    stage.redis.wait_for_subscribers(&home, 1).await;
    stage.publish(&home, event("delete", "1")).await;
    stage.publish(&format!("timeline:access_token:{}", alice.token_id), event("kill", "")).await;
    let rest = within("end of the connection", wire.rest()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&rest), "event: delete\ndata: 1\n\n");
}

#[tokio::test]
async fn a_connection_on_which_a_streams_head_was_asked_for_can_be_used_again() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let headers = [("Authorization", alice.token.as_str())];
    let mut client = Client::open(&server).await;
    let head = client.request("HEAD", "/api/v1/streaming/user", &headers, b"").await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(server.metric("connected_clients", &[("type", "eventsource")]).await, 0.0);
    assert_eq!(client.request("GET", HEALTH, &[], b"").await.status, 200);
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_disturbs_nobody() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let mut ws = Ws::open(&server, "/", &alice.token).await;
    for rubbish in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"G\xffT / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = Client::open(&server).await;
        client.wire.send(rubbish).await;
        let said = within("end of the connection", client.wire.rest()).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said} to {rubbish:?}");
    }
    ws.silent_so_far().await;
}
