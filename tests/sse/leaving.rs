//! Clients that go away are noticed at once, not at the next write: the first heartbeat comes after 15 seconds.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::http::encode;
use crate::support::*;
use crate::{KIND, home};

/// Well before the first heartbeat.
const AT_ONCE: Duration = Duration::from_secs(8);

/// Waits until no session is left, and no channel subscribed: so many clients have gone until now.
async fn all_gone(server: &Server, redis: &Redis, clients: u32) {
    eventually_within(AT_ONCE, "end of all sessions", || async {
        match server.metric("connected_clients", &[KIND]).await {
            0.0 => Ok(()),
            some => Err(some),
        }
    })
    .await;
    let gone = [KIND, ("reason", "client_gone")];
    server.wait_for_metric("flodgatt_sessions_closed_total", &gone, f64::from(clients)).await;
    eventually("end of all subscriptions", || async {
        let channels = redis.subscriptions().await;
        if channels.is_empty() { Ok(()) } else { Err(format!("{channels:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_closes_is_noticed_at_once() {
    let stage = Stage::start().await;
    let (stream, _) = home(&stage).await;
    assert_eq!(stage.server.metric("connected_clients", &[KIND]).await, 1.0);
    drop(stream);
    all_gone(&stage.server, &stage.redis, 1).await;
}

#[tokio::test]
async fn a_client_that_resets_is_noticed_at_once() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let Address::Tcp(address) = stage.server.address() else { panic!("the server listens on TCP") };
    let socket = TcpStream::connect(address).await.unwrap();
    let abort = reset_when_closed(&socket);
    let headers = [("Authorization", alice.token.as_str())];
    let stream = Sse::open_on(Wire::over(socket), "/api/v1/streaming/user", &headers).await;
    abort.expect("the socket takes the option");
    drop(stream.map_err(|answer| answer.status).expect("the stream opens"));
    all_gone(&stage.server, &stage.redis, 1).await;
}

/// Closing this socket will send a TCP reset.
fn reset_when_closed(socket: &TcpStream) -> std::io::Result<()> {
    rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO)).map_err(std::io::Error::from)
}

#[tokio::test]
async fn a_client_behind_a_unix_socket_is_noticed_at_once() {
    let (redis, db) = tokio::join!(Redis::start(), Database::create());
    let server = Server::options(&redis, &db).unix_socket().start().await;
    let alice = db.person("alice").await;
    let stream = Sse::open(&server, "/api/v1/streaming/user", &alice.token).await;
    assert_eq!(server.metric("connected_clients", &[KIND]).await, 1.0);
    drop(stream);
    all_gone(&server, &redis, 1).await;
}

/// It could still read; but so looks one that is gone, until something is written to it.
#[tokio::test]
async fn a_client_that_will_send_nothing_more_has_left() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut wire = Wire::open(&stage.server).await;
    wire.send(encode("GET", "/api/v1/streaming/user", &[("Authorization", &alice.token)], b"")).await;
    within("first bytes", wire.until(b":)\n\r\n")).await.unwrap();
    wire.finish_sending().await;
    let rest = within("end of the connection", wire.rest()).await.unwrap();
    assert!(rest.is_empty(), "it is no regular end: {rest:?}");
    all_gone(&stage.server, &stage.redis, 1).await;
}

#[tokio::test]
async fn a_client_that_had_already_sent_something_more_is_noticed_at_once() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let request = encode("GET", "/api/v1/streaming/user", &[("Authorization", &alice.token)], b"");
    for (clients, more) in [(1, &b"\r\n"[..]), (2, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")] {
        let mut wire = Wire::open(&stage.server).await;
        wire.send([&request[..], more].concat()).await;
        within("first bytes", wire.until(b":)\n")).await.unwrap();
        assert_eq!(stage.server.metric("connected_clients", &[KIND]).await, 1.0);
        drop(wire);
        all_gone(&stage.server, &stage.redis, clients).await;
    }
}

#[tokio::test]
async fn a_client_that_sent_something_while_it_was_served_is_noticed_at_once() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let home = format!("timeline:{}", alice.account_id);
    let request = encode("GET", "/api/v1/streaming/user", &[("Authorization", &alice.token)], b"");
    let mut wire = Wire::open(&stage.server).await;
    wire.send(request).await;
    within("first bytes", wire.until(b":)\n")).await.unwrap();
    // Each of these is seen by a turn of its own: the event comes back after it.
    for number in 1..=5 {
        wire.send([b'x'; 1_000]).await;
        stage.redis.wait_for_subscribers(&home, 1).await;
        stage.redis.publish(&home, event("delete", number.to_string())).await;
        within("event", wire.until(format!("data: {number}\n\n").as_bytes())).await.unwrap();
    }
    drop(wire);
    all_gone(&stage.server, &stage.redis, 1).await;
}

#[tokio::test]
async fn a_client_that_sends_without_end_while_it_is_served_is_cut_off() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut wire = Wire::open(&stage.server).await;
    wire.send(encode("GET", "/api/v1/streaming/user", &[("Authorization", &alice.token)], b"")).await;
    within("first bytes", wire.until(b":)\n")).await.unwrap();
    let flood = [b'x'; 64 * 1024];
    within("end of the connection", async { while wire.try_send(&flood).await.is_ok() {} }).await;
    all_gone(&stage.server, &stage.redis, 1).await;
}

#[tokio::test]
async fn a_client_whose_request_had_a_body_is_noticed_at_once() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut wire = Wire::open(&stage.server).await;
    wire.send(encode("GET", "/api/v1/streaming/user", &[("Authorization", &alice.token)], b"a body")).await;
    within("first bytes", wire.until(b":)\n")).await.unwrap();
    assert_eq!(stage.server.metric("connected_clients", &[KIND]).await, 1.0);
    drop(wire);
    all_gone(&stage.server, &stage.redis, 1).await;
}

#[tokio::test]
async fn one_that_goes_does_not_take_others_along() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let channel = format!("timeline:{}", alice.account_id);
    let mut staying = Sse::open(&stage.server, "/api/v1/streaming/user", &alice.token).await;
    let going = Sse::open(&stage.server, "/api/v1/streaming/user", &alice.token).await;
    stage.redis.wait_for_subscribers(&channel, 1).await;
    drop(going);
    stage.server.wait_for_metric("connected_clients", &[KIND], 1.0).await;
    stage.redis.publish(&channel, event("delete", "1")).await;
    assert_eq!(staying.next_event().await.data(), "1");
}

/// A look-up that takes long is under way, and the client does not wait for its result.
#[tokio::test]
async fn a_client_that_goes_during_a_look_up_leaves_nothing() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let lock = stage.db.lock("oauth_access_tokens").await;
    let mut wire = Wire::open(&stage.server).await;
    let headers = [("Authorization", alice.token.as_str())];
    wire.send(encode("GET", "/api/v1/streaming/user", &headers, b"")).await;
    lock.wait_for_waiting(1).await;
    let files = stage.server.open_files();
    drop(wire);
    eventually_within(AT_ONCE, "end of the connection", || async { stage.server.open_files() < files }).await;
    lock.release().await;
    // Another one comes after it and is answered: the look-up of the first is over.
    let _other = home(&stage).await;
    assert_eq!(stage.server.metric("connected_clients", &[KIND]).await, 1.0);
    let closed = stage.server.metric("flodgatt_sessions_closed_total", &[KIND, ("reason", "client_gone")]).await;
    assert_eq!(closed, 0.0);
    assert_eq!(stage.redis.subscribers(&format!("timeline:{}", alice.account_id)).await, 0);
}
