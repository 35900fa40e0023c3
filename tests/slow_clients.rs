//! Clients that do not read: each ends alone, for a reason that is said and counted, and costs nobody else anything.

mod support;

use std::time::Duration;

use support::eventually::eventually_within;
use support::statuses::Marker;
use support::*;

const CHANNEL: &str = "timeline:public";
const MIB: usize = 1024 * 1024;

/// What the system keeps for a client that does not read. Small, so that the server has to keep the rest.
const NARROW: u32 = 4096;

/// More than the server keeps for a client, and than the system adds to that.
const TOO_MUCH: usize = 64 * MIB;

async fn narrow_web_socket(server: &Server, token: &str) -> Ws {
    let authorization = format!("Bearer {token}");
    let handshake = websocket::handshake("/api/v1/streaming?stream=public", &[("Authorization", &authorization)]);
    let wire = Wire::open_narrow(server, NARROW).await;
    Ws::open_on(wire, handshake).await.expect("it is opened")
}

async fn narrow_event_stream(server: &Server, token: &str) -> Sse {
    let authorization = format!("Bearer {token}");
    let wire = Wire::open_narrow(server, NARROW).await;
    let opened = Sse::open_on(wire, "/api/v1/streaming/public", &[("Authorization", &authorization)]).await;
    opened.expect("it is opened")
}

/// Publishes so many bytes in events of this size, whose payloads begin with their number.
async fn publish(redis: &Redis, bytes: usize, each: usize) {
    let count = bytes / each;
    // In parts, so that neither this nor Redis has to keep all of it.
    for first in (0..count).step_by(16) {
        let events = (first..count.min(first + 16))
            .map(|number| event("announcement", format!("{number:08}{}", "x".repeat(each))));
        redis.publish_all(CHANNEL, events).await;
    }
}

/// The clients that read get everything, in order.
fn reads_all(mut ws: Ws, mut sse: Sse, count: usize) -> tokio::task::JoinHandle<(Ws, Sse)> {
    tokio::spawn(async move {
        let both = async {
            for number in 0..count {
                let payload = ws.next_event().await.payload.expect("a payload");
                assert_eq!(payload.as_str().and_then(|text| text[..8].parse().ok()), Some(number));
            }
        };
        let events = async {
            for number in 0..count {
                assert_eq!(sse.next_event().await.data()[..8].parse().ok(), Some(number));
            }
        };
        tokio::join!(both, events);
        (ws, sse)
    })
}

/// Waits until so many sessions have ended for being too slow. Much has to be published and read until then.
async fn overwhelmed(server: &Server, transport: &'static str, count: usize) {
    eventually_within(Duration::from_secs(120), "sessions that were too slow", || async {
        match server.metric("flodgatt_sessions_closed_total", &closed(transport)).await {
            found if found == count as f64 => Ok(()),
            found => Err(found),
        }
    })
    .await;
}

fn closed(transport: &'static str) -> [(&'static str, &'static str); 2] {
    [("type", transport), ("reason", "outbox_full")]
}

/// Lets clients that do not read be overwhelmed beside two that do.
struct Scene {
    redis: Redis,
    /// Kept as long as the server runs.
    _db: Database,
    server: Server,
    alice: Person,
    ws: Ws,
    sse: Sse,
}

impl Scene {
    async fn new() -> Self {
        let (redis, db) = (Redis::start().await, Database::create().await);
        // What Redis itself may do to a subscriber is not the subject.
        redis.command(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"]).await;
        // With one connection to PostgreSQL the number of open files is known.
        let server = Server::options(&redis, &db).env("DB_POOL", "1").start().await;
        let alice = db.person("alice").await;
        let ws = Ws::open(&server, "/api/v1/streaming?stream=public", &alice.token).await;
        let sse = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
        let scene = Self { redis, _db: db, server, alice, ws, sse };
        scene.watched_by("websocket", 1).await;
        scene.watched_by("eventsource", 1).await;
        scene.redis.wait_for_subscribers(CHANNEL, 1).await;
        scene
    }

    async fn watched_by(&self, transport: &'static str, count: usize) {
        let labels = [("type", transport), ("channel", "public")];
        self.server.wait_for_metric("connected_channels", &labels, count as f64).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_end_alone_and_those_that_do_miss_nothing() {
    let scene = Scene::new().await;
    let before = scene.server.open_files();
    let mut slow = Vec::new();
    for _ in 0..5 {
        let ws = narrow_web_socket(&scene.server, &scene.alice.token).await;
        slow.push((ws, narrow_event_stream(&scene.server, &scene.alice.token).await));
    }
    scene.watched_by("websocket", 6).await;
    scene.watched_by("eventsource", 6).await;
    let each = 128 * 1024;
    let reading = reads_all(scene.ws, scene.sse, TOO_MUCH / each);
    publish(&scene.redis, TOO_MUCH, each).await;
    let (mut ws, mut sse) = reading.await.expect("the clients that read get everything");
    for transport in ["websocket", "eventsource"] {
        overwhelmed(&scene.server, transport, 5).await;
        scene.server.wait_for_metric("connected_clients", &[("type", transport)], 1.0).await;
    }
    let lost = scene.server.metric("flodgatt_deliveries_dropped_total", &[("cause", "outbox_full")]).await;
    assert_eq!(lost, 10.0, "one event too many for each of them");
    // They have not read a byte, nor closed: the server has to do it.
    eventually("closed sockets", || async {
        let now = scene.server.open_files();
        if now <= before { Ok(()) } else { Err(format!("{now} files, {before} before")) }
    })
    .await;
    let marker = Marker::publish(&scene.redis, CHANNEL).await;
    assert_eq!(ws.next_event().await.payload, Some(marker.payload().into()));
    assert_eq!(sse.next_event().await.data(), marker.payload());
    drop(slow);
}

/// What a WebSocket is told that begins to read when its session has ended for being too slow.
async fn told_when_too_slow() -> Message {
    let scene = Scene::new().await;
    // Not narrow: once it is told to end it has two seconds to catch up with what the system keeps for it.
    let mut slow = Ws::open(&scene.server, "/api/v1/streaming?stream=public", &scene.alice.token).await;
    scene.watched_by("websocket", 2).await;
    let each = 128 * 1024;
    let (redis, server) = (scene.redis, scene.server);
    let reading = reads_all(scene.ws, scene.sse, TOO_MUCH / each);
    let publishing = tokio::spawn(async move {
        publish(&redis, TOO_MUCH, each).await;
        // It has to last until the server has received everything.
        redis
    });
    overwhelmed(&server, "websocket", 1).await;
    let mut number = 0;
    let told = loop {
        match slow.next_message().await {
            Message::Text(text) => {
                assert!(text.contains(&format!("\"{number:08}")), "a gap before the end: {}", &text[..120]);
                number += 1;
            }
            other => break other,
        }
    };
    let _redis = publishing.await.expect("everything is published");
    reading.await.expect("the others get everything");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_that_was_too_slow_is_told_so_if_it_reads_on_in_time() {
    // On a busy machine this client may come too late itself; then it is cut off.
    for _ in 0..3 {
        match told_when_too_slow().await {
            Message::Cut => {}
            told => {
                let reason = "too slow: events were not read as fast as they came".to_owned();
                assert_eq!(told, Message::Close(Some((1013, reason))));
                return;
            }
        }
    }
    panic!("it was cut off three times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_that_was_too_slow_does_not_end_as_if_it_were_complete() {
    let scene = Scene::new().await;
    let mut slow = narrow_event_stream(&scene.server, &scene.alice.token).await;
    scene.watched_by("eventsource", 2).await;
    let each = 128 * 1024;
    let reading = reads_all(scene.ws, scene.sse, TOO_MUCH / each);
    publish(&scene.redis, TOO_MUCH, each).await;
    overwhelmed(&scene.server, "eventsource", 1).await;
    let ending = loop {
        match slow.next_block().await {
            Ok(block) => assert!(!block.lines.is_empty()),
            Err(ending) => break ending,
        }
    };
    assert!(matches!(ending, sse::Ending::Cut(_)), "{ending:?}");
    reading.await.expect("the others get everything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_were_too_slow_are_told_in_the_log_without_saying_who() {
    let scene = Scene::new().await;
    let slow = narrow_event_stream(&scene.server, &scene.alice.token).await;
    scene.watched_by("eventsource", 2).await;
    let each = 128 * 1024;
    let reading = reads_all(scene.ws, scene.sse, TOO_MUCH / each);
    publish(&scene.redis, TOO_MUCH, each).await;
    let line = eventually_within(Duration::from_secs(120), "line of the log", || async {
        scene.server.logs().into_iter().find(|line| line.level() == "INFO" && line.field("sessions") == 1)
    })
    .await;
    assert_eq!(line.field("reason"), "outbox_full");
    assert!(line.field("account").is_null() && line.field("address").is_null(), "{}", line.text);
    assert!(!line.text.contains("127.0.0.1") && !line.text.contains(&scene.alice.token), "{}", line.text);
    reading.await.expect("the others get everything");
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_many_slow_clients_is_kept_once() {
    const SLOW: usize = 100;
    let scene = Scene::new().await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push((
            narrow_web_socket(&scene.server, &scene.alice.token).await,
            narrow_event_stream(&scene.server, &scene.alice.token).await,
        ));
    }
    scene.watched_by("websocket", SLOW + 1).await;
    scene.watched_by("eventsource", SLOW + 1).await;
    let before = scene.server.rss_bytes();
    // Three quarters of what may wait for a client: nobody ends yet.
    let (waits, each) = (24 * MIB, 32 * 1024);
    let reading = reads_all(scene.ws, scene.sse, waits / each);
    publish(&scene.redis, waits, each).await;
    let _readers = reading.await.expect("the others get everything");
    assert_eq!(scene.server.metric("flodgatt_sessions_closed_total", &closed("websocket")).await, 0.0);
    assert_eq!(scene.server.metric("flodgatt_sessions_closed_total", &closed("eventsource")).await, 0.0);
    let grown = scene.server.rss_bytes().saturating_sub(before);
    // Once for each transport, as much again in passing, and for each client what is just being written to it.
    let bound = 4 * waits + 2 * SLOW * 192 * 1024;
    assert!(grown < bound as u64, "{} MiB for {SLOW} clients of each kind", grown / MIB as u64);
    // When they are overwhelmed and gone, so is what waited for them.
    publish(&scene.redis, TOO_MUCH, each).await;
    drop(_readers);
    scene.server.wait_for_metric("connected_clients", &[("type", "websocket")], 0.0).await;
    scene.server.wait_for_metric("connected_clients", &[("type", "eventsource")], 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_without_reading_the_answers_is_not_heard_for_ever() {
    let scene = Scene::new().await;
    let mut rude = narrow_web_socket(&scene.server, &scene.alice.token).await;
    scene.watched_by("websocket", 2).await;
    let before = scene.server.rss_bytes();
    // Each of these is answered by an error that nobody reads.
    let question = Frame::text(r#"{"type":"subscribe","stream":"no such stream"}"#).encode().repeat(1000);
    for _ in 0..100 {
        let sending = rude.wire().try_send(&question);
        if !matches!(tokio::time::timeout(Duration::from_secs(5), sending).await, Ok(Ok(()))) {
            break;
        }
    }
    overwhelmed(&scene.server, "websocket", 1).await;
    let grown = scene.server.rss_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB as u64, "{} MiB", grown / MIB as u64);
    let marker = Marker::publish(&scene.redis, CHANNEL).await;
    let (mut ws, mut sse) = (scene.ws, scene.sse);
    assert_eq!(ws.next_event().await.payload, Some(marker.payload().into()));
    assert_eq!(sse.next_event().await.data(), marker.payload());
}
