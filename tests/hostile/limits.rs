//! Too much of everything.

use serde_json::json;

use super::siege::Siege;
use super::support::*;

const MOST: usize = 1_000;

fn subscribe(tag: usize) -> String {
    json!({"type": "subscribe", "stream": "hashtag", "tag": format!("t{tag}")}).to_string()
}

#[tokio::test]
async fn one_connection_may_have_a_thousand_subscriptions_and_no_more() {
    let mut siege = Siege::start().await;
    let mut ws = siege.attacker_at_home().await;
    // Its home feed is the first.
    for tag in 1..MOST + 5 {
        ws.send_text(subscribe(tag)).await;
    }
    for _ in MOST..MOST + 5 {
        ws.expect_error("Too many subscriptions on this connection", 429).await;
    }
    let last = format!("timeline:hashtag:t{}", MOST - 1);
    siege.scene.redis.wait_for_subscribers(&last, 1).await;
    siege.scene.redis.publish(&last, event("delete", "1")).await;
    assert_eq!(ws.next_event().await.payload, Some(json!("1")));
    let beyond = format!("timeline:hashtag:t{MOST}");
    assert_eq!(siege.scene.redis.subscribers(&beyond).await, 0);
    // What is there already is no further subscription, and what is left makes room.
    ws.send_text(subscribe(1)).await;
    ws.silent_so_far().await;
    ws.send_json(json!({"type": "unsubscribe", "stream": "hashtag", "tag": "t1"})).await;
    ws.send_text(subscribe(MOST)).await;
    siege.scene.redis.wait_for_subscribers(&beyond, 1).await;
    siege.unharmed_by(&mut ws).await;
    siege.told_once("a client's request was refused", |_| true).await;
    drop(ws);
    siege
        .scene
        .wait_for_channels(&[
            "timeline:public",
            &format!("timeline:{}", siege.scene.alice.account_id),
            &format!("timeline:{}:notifications", siege.scene.alice.account_id),
        ])
        .await;
}

/// The head of a request with these lines of headers.
fn head(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// Heads that are far too large, each in its own way.
fn floods() -> [(&'static str, String); 5] {
    let filler = "x".repeat(1_000);
    let many = (0..2_000).map(|number| format!("X-{number}: {filler}\r\n")).collect::<String>();
    let health = "/api/v1/streaming/health";
    [
        ("many headers", head(health, &many)),
        ("one long header", head(health, &format!("X-Long: {}\r\n", "x".repeat(2 << 20)))),
        ("a long name", head(health, &format!("{}: x\r\n", "x".repeat(100_000)))),
        ("many small ones", head(health, &"a:b\r\n".repeat(20_000))),
        ("a long path", head(&format!("/{}", "x".repeat(100_000)), "")),
    ]
}

/// What the server says until it closes: status line and headers, but for the date, and the body.
async fn last_words(client: &mut http::Client) -> std::io::Result<String> {
    let said = within("end of the connection", client.wire.rest()).await?;
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok(said.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect())
}

const TOO_LARGE: &str =
    "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// If the end of the path was read together with what made it too large.
const TOO_LONG: &str = "HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_head_that_is_far_too_large_is_refused_before_its_end_and_the_connection_closed() {
    let mut siege = Siege::start().await;
    for (what, head) in floods() {
        // So much is read before it is refused, and what was read cannot turn the end into a reset. Of small headers there
        // are too many before.
        let lines = head.split_inclusive("\r\n").take(1 + 1_001);
        let most = (64 * 1024).min(lines.map(str::len).sum());
        let mut client = http::Client::open(&siege.scene.server).await;
        client.wire.send(&head.as_bytes()[..most]).await;
        assert_eq!(last_words(&mut client).await.unwrap(), TOO_LARGE, "{what}");
    }
    siege.unharmed().await;
}

#[tokio::test]
async fn a_flood_of_headers_disturbs_nobody() {
    let mut siege = Siege::start().await;
    for (what, head) in floods() {
        let mut client = http::Client::open(&siege.scene.server).await;
        // The server answers, and closes, before everything was sent.
        let _ = client.wire.try_send(head.as_bytes()).await;
        match last_words(&mut client).await {
            Ok(said) if what == "a long path" => assert!([TOO_LARGE, TOO_LONG].contains(&&*said), "{said}"),
            Ok(said) => assert_eq!(said, TOO_LARGE, "{what}"),
            // What was still under way turned the end into a reset, which destroys the answer.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{what}"),
        }
    }
    siege.unharmed().await;
}

#[tokio::test]
async fn a_head_of_just_below_16_kibibytes_is_read() {
    let siege = Siege::start().await;
    for header in [format!("X-Long: {}\r\n", "x".repeat(15_500)), format!("A: {}\r\n", "x".repeat(160)).repeat(90)] {
        let head = format!("GET /api/v1/streaming/health HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
        let response = http::raw(&siege.scene.server, &head).await;
        assert_eq!((response.status, head.len() < 16 * 1024), (200, true), "{} bytes", head.len());
    }
}

#[tokio::test]
async fn rubbish_in_place_of_http_is_refused_and_logged_once() {
    let mut siege = Siege::start().await;
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let rubbish: [&[u8]; 6] = [
        b"\0\0\0\0\r\n\r\n",
        tls,
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n",
    ];
    for bytes in rubbish {
        let mut wire = Wire::open(&siege.scene.server).await;
        wire.send(bytes).await;
        wire.finish_sending().await;
        let answer = within("end of the connection", wire.rest()).await.unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    siege.unharmed().await;
    let logs = siege.scene.server.logs();
    let told = logs.iter().filter(|line| line.message().contains("a connection ended with an error")).count();
    assert!((1..=rubbish.len()).contains(&told), "{told} lines for {} connections", rubbish.len());
}

#[tokio::test]
async fn a_body_that_is_announced_and_never_comes_keeps_nobody() {
    let mut siege = Siege::start().await;
    let token = siege.mallory.token.clone();
    for (method, headers) in [
        ("POST", vec![("Content-Length", "99999999999")]),
        ("POST", vec![("Content-Length", "99999999999999999999999")]),
        ("POST", vec![("Transfer-Encoding", "chunked")]),
        ("GET", vec![("Content-Length", "-1")]),
        ("GET", vec![("Content-Length", "1"), ("Content-Length", "2")]),
    ] {
        let mut client = http::Client::open(&siege.scene.server).await;
        let target = format!("/api/v1/streaming/user?access_token={token}");
        client.wire.send(http::encode(method, &target, &headers, b"")).await;
        let status = client.response(method).await.status;
        assert!((400..500).contains(&status), "{method} with {headers:?}: {status}");
    }
    siege.unharmed().await;
}
