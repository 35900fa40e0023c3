use std::io::ErrorKind;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::Instant,
};

use super::*;
use crate::{
    domain::{Frame, Viewer},
    http::{Parts as ServiceParts, TrustedProxies},
    hub::{Hub, SessionHandle},
    store::{Embedded, Store},
    upstream::LinkState,
};

const TOKEN: &str = "a token";

fn service(hub: &Arc<Hub>) -> Service {
    let accounts = Embedded::new(vec![(TOKEN.to_owned(), Viewer::in_tests(1, "read"))], Vec::new());
    Service::new(ServiceParts {
        hub: Arc::clone(hub),
        store: Arc::new(Store::Embedded(accounts)),
        metrics: Arc::default(),
        upstream: tokio::sync::watch::channel(LinkState::Up).1,
        holders: None,
        lifecycle: Lifecycle::new(),
        trusted_proxies: TrustedProxies::default(),
        compression: false,
        pages: None,
    })
}

/// The client's end of a connection that is being served.
fn connect() -> UnixStream {
    let (client, server) = UnixStream::pair().expect("a pair of sockets can be made");
    let hub = Arc::new(Hub::new(Arc::default()));
    tokio::spawn(serve(Socket::Unix(server), None, service(&hub), Lifecycle::new()));
    client
}

/// When the server closes, and what it says until then.
async fn end(client: &mut UnixStream) -> (Instant, String) {
    let mut said = String::new();
    client.read_to_string(&mut said).await.expect("the end is no error");
    (Instant::now(), said)
}

#[tokio::test(start_paused = true)]
async fn who_does_not_finish_the_headers_in_time_is_cut_off() {
    let mut client = connect();
    let began = Instant::now();
    client.write_all(b"GET /metrics HTTP/1.1\r\n").await.expect("it is read");
    for _ in 0..5 {
        tokio::time::sleep(HEADER_TIMEOUT / 6).await;
        client.write_all(b"X-Slow: yes\r\n").await.expect("it is read");
    }
    let (ended, said) = end(&mut client).await;
    assert!(ended - began >= HEADER_TIMEOUT && ended - began < HEADER_TIMEOUT * 2, "{:?}", ended - began);
    assert!(!said.contains("200"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn who_finishes_them_in_time_is_answered() {
    let mut client = connect();
    client.write_all(b"GET /metrics HTTP/1.1\r\n").await.expect("it is read");
    tokio::time::sleep(HEADER_TIMEOUT * 9 / 10).await;
    client.write_all(b"Connection: close\r\n\r\n").await.expect("it is read");
    let (_, said) = end(&mut client).await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_is_asked_any_more_is_closed() {
    let mut client = connect();
    client.write_all(b"GET /favicon.ico HTTP/1.1\r\n\r\n").await.expect("it is read");
    let (_, said) = end(&mut client).await;
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
    assert!(said.starts_with("HTTP/1.1 404 "), "{said}");
}

/// A connection with a request for a stream, and no room to answer; how many bytes are in the way.
async fn request_without_room(hub: &Arc<Hub>) -> (UnixStream, usize) {
    let (mut client, server) = UnixStream::pair().expect("a pair of sockets can be made");
    server.writable().await.expect("it is connected");
    let mut in_the_way = 0;
    loop {
        match server.try_write(&[b'x'; 1_000]) {
            Ok(written) => in_the_way += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    tokio::spawn(serve(Socket::Unix(server), None, service(hub), Lifecycle::new()));
    let request =
        format!("GET /api/v1/streaming/user?access_token={TOKEN} HTTP/1.1\r\n\r\n").replace("a token", "a%20token");
    client.write_all(request.as_bytes()).await.expect("it is read");
    while hub.sessions() == 0 {
        tokio::task::yield_now().await;
    }
    (client, in_the_way)
}

/// The only session.
fn session(hub: &Hub) -> Arc<SessionHandle> {
    let audience = hub.audience("timeline:1").expect("somebody watches");
    Arc::clone(&audience.watchers[0].session)
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_behind_its_head_however_late_that_is_written() {
    let hub = Arc::new(Hub::new(Arc::default()));
    let (mut client, in_the_way) = request_without_room(&hub).await;
    let session = session(&hub);
    session.outbox.offer(Frame::chunk(b"an event"));
    session.outbox.write();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    client.read_exact(&mut vec![0; in_the_way]).await.expect("it is there");
    session.outbox.close(CloseReason::Killed);
    let (_, said) = end(&mut client).await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert!(said.ends_with("\r\n\r\n3\r\n:)\n\r\n8\r\nan event\r\n0\r\n\r\n"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_too_slow_before_its_head_is_written_is_given_up() {
    let hub = Arc::new(Hub::new(Arc::default()));
    let (mut client, in_the_way) = request_without_room(&hub).await;
    session(&hub).outbox.close(CloseReason::OutboxFull);
    while hub.sessions() > 0 {
        tokio::task::yield_now().await;
    }
    let (_, said) = end(&mut client).await;
    assert!(said.len() == in_the_way && said.bytes().all(|byte| byte == b'x'), "nothing comes behind it");
}
