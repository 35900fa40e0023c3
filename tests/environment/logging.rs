//! `LOG_LEVEL`, and what a log looks like.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use tokio::net::TcpListener;

use crate::support::process::free_port;
use crate::support::*;

const LEVELS: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];

/// The levels of the lines, in the order of [`LEVELS`].
fn levels(ended: &Ended) -> Vec<&str> {
    LEVELS.into_iter().filter(|level| ended.logs.iter().any(|line| line.level() == *level)).collect()
}

/// Something on a port that takes connections and closes them, and how many so far.
async fn closing_port() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, taken) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    tokio::spawn({
        let taken = Arc::clone(&taken);
        async move {
            while listener.accept().await.is_ok() {
                taken.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (port, taken)
}

/// A server whose Redis never answers properly says so at `warn`, and of the database at `info`.
#[tokio::test]
async fn nothing_below_the_level_is_logged() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    for (level, expected) in [
        ("debug", &["INFO", "WARN"][..]),
        ("info", &["INFO", "WARN"]),
        ("warn", &["WARN"]),
        ("error", &[]),
        ("fatal", &[]),
        ("", &["INFO", "WARN"]),
    ] {
        let (port, taken) = closing_port().await;
        let options = Server::options(&redis, &db).env("REDIS_PORT", port.to_string()).env("LOG_LEVEL", level);
        let starting = options.begin();
        // Two connections are tried at first; at the sixth attempt at least one of them was given up and told.
        eventually("attempts at redis", || async { taken.load(Ordering::Relaxed) > 5 }).await;
        for level in expected {
            starting.wait_for_log(|line| line.level() == *level).await;
        }
        let ended = starting.finish().await;
        assert!(ended.status.success(), "{}", ended.text());
        assert_eq!(levels(&ended), expected, "{level}: {}", ended.text());
    }
}

#[tokio::test]
async fn sessions_are_told_at_debug_and_not_at_info() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    for (level, told) in [("trace", true), ("debug", true), ("info", false)] {
        let server = Server::options(&redis, &db).env("LOG_LEVEL", level).start().await;
        super::delivers(&server, &redis, &alice).await;
        server.wait_for_metric("connected_clients", &[("type", "websocket")], 0.0).await;
        assert!(server.terminate().await.success());
        server.wait_for_log(|line| line.message() == "stopped").await;
        assert_eq!(server.logs().iter().any(|line| line.level() == "DEBUG"), told, "{level}");
        let text = server.logs().iter().map(|line| line.text.clone()).collect::<String>();
        assert!(!text.contains(&alice.token), "{text}");
    }
}

#[tokio::test]
async fn in_production_lines_are_json_on_standard_output() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = Server::start(&redis, &db).await;
    assert!(server.terminate().await.success());
    server.wait_for_log(|line| line.message() == "stopped").await;
    for line in server.logs() {
        assert!(line.json.is_object() && !line.is_error_output, "{}", line.text);
        assert!(line.json["timestamp"].is_string() && !line.level().is_empty(), "{}", line.text);
    }
}

#[tokio::test]
async fn in_development_lines_are_for_people_and_the_level_is_debug() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    for mode in ["development", ""] {
        let server = Server::options(&redis, &db).env("NODE_ENV", mode).without("LOG_LEVEL").start().await;
        super::delivers(&server, &redis, &alice).await;
        let line = server.wait_for_log(|line| line.text.contains("session opened")).await;
        assert!(line.json.is_null() && line.text.contains("DEBUG") && !line.is_error_output, "{}", line.text);
    }
}

#[tokio::test]
async fn it_ends_well_and_at_once_on_sigterm_and_sigint() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&redis, &db).await;
        super::delivers(&server, &redis, &alice).await;
        let mut ws = Ws::open(&server, "/?stream=user", &alice.token).await;
        let mut sse = Sse::open(&server, "/api/v1/streaming/user", &alice.token).await;
        server.wait_for_metric("connected_clients", &[("type", "eventsource")], 1.0).await;
        server.signal(signal);
        assert_eq!(ws.expect_close().await.map(|(code, _)| code), Some(1012));
        assert_eq!(sse.closed().await, Ending::Regular);
        assert_eq!(server.exited().await.code(), Some(0));
        server.wait_for_log(|line| line.message() == "stopped").await;
        // Whatever did not end in time would be told at this level.
        let told: Vec<_> = server.logs().into_iter().filter(|line| ["WARN", "ERROR"].contains(&line.level())).collect();
        assert!(told.is_empty(), "{told:#?}");
    }
}

#[tokio::test]
async fn it_ends_well_while_it_waits_for_redis() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let starting = Server::options(&redis, &db).env("REDIS_PORT", free_port().to_string()).begin();
    starting.wait_for_log(|line| line.level() == "WARN").await;
    let ended = starting.finish().await;
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.logs.iter().all(|line| line.level() != "ERROR"), "{}", ended.text());
}
