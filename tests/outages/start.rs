//! What is not there yet when the server starts is waited for.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::support::process::free_port;
use crate::support::*;

/// Whether a line warns of something at an address and names the variable it comes from.
fn names(line: &LogLine, address: &str, variable: &str) -> bool {
    line.level() == "WARN" && line.text.contains(address) && line.text.contains(variable)
}

#[tokio::test]
async fn a_server_started_before_redis_says_where_it_looks_and_works_once_redis_is_there() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    redis.kill();
    let starting = Server::options(&redis, &db).begin();
    let address = format!("127.0.0.1:{}", redis.port());
    starting.wait_for_log(|line| names(line, &address, "REDIS_HOST")).await;
    assert!(!starting.logs().iter().any(|line| line.message() == "listening"), "it listens before it can serve");
    redis.restart().await;
    let server = starting.answering().await;
    let mut sse = Sse::open(&server, "/api/v1/streaming/user", &alice.token).await;
    let channel = format!("timeline:{}", alice.account_id);
    redis.wait_for_subscribers(&channel, 1).await;
    redis.publish(&channel, event("delete", "1")).await;
    assert_eq!(sse.next_event().await.data(), "1");
}

#[tokio::test]
async fn the_variable_that_is_named_is_the_one_redis_was_configured_by() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    redis.kill();
    let port = redis.port();
    let bare =
        || db.environment().into_iter().fold(ServerOptions::bare(), |options, (name, value)| options.env(&name, value));
    for (variable, value, address) in [
        ("REDIS_URL", format!("redis://localhost:{port}/0"), format!("localhost:{port}")),
        ("REDIS_URL", "unix:///nowhere/redis.sock".to_owned(), "/nowhere/redis.sock".to_owned()),
        ("REDIS_SENTINELS", format!("127.0.0.1:{port}"), format!("127.0.0.1:{port}")),
    ] {
        let starting = bare().env("REDIS_SENTINEL_MASTER", "mymaster").env(variable, value).begin();
        starting.wait_for_log(|line| names(line, &address, variable)).await;
        assert!(starting.terminate().await.success(), "a server that waits can be told to stop");
    }
}

#[tokio::test]
async fn a_server_started_before_postgresql_says_where_it_looks_and_works_once_that_is_there() {
    let redis = Redis::start().await;
    let postgres = Postgres::start_own().await;
    let db = postgres.database().await;
    let alice = db.person("alice").await;
    postgres.stop();
    let address = format!("127.0.0.1:{}", postgres.port());
    let started = Instant::now();
    let starting = Server::options(&redis, &db).begin();
    let line = starting.wait_for_log(|line| names(line, &address, "DB_HOST")).await;
    assert!(line.text.contains("refused"), "the reason is missing: {}", line.text);
    assert!(started.elapsed() < Duration::from_secs(10), "the first word came after {:?}", started.elapsed());
    let by_url = ServerOptions::bare().env("DATABASE_URL", db.url()).env("REDIS_URL", redis.url()).begin();
    by_url.wait_for_log(|line| names(line, &address, "DATABASE_URL")).await;
    assert!(by_url.terminate().await.success(), "a server that waits can be told to stop");
    // The pauses grow: each line says how long the next one is.
    let pauses = || -> Vec<f64> {
        let lines = starting.logs();
        lines
            .iter()
            .filter(|line| names(line, &address, "DB_HOST"))
            .filter_map(|line| line.field("retry_in_s").as_f64())
            .collect()
    };
    eventually("three attempts", || async {
        if pauses().len() >= 3 { Ok(()) } else { Err(format!("{:?}", pauses())) }
    })
    .await;
    let pauses = pauses();
    assert!(pauses.is_sorted() && pauses[2] > pauses[0], "{pauses:?}");
    assert!(!starting.logs().iter().any(|line| line.message() == "listening"), "it listens before it can serve");
    postgres.start_again().await;
    let server = starting.answering().await;
    Sse::open(&server, "/api/v1/streaming/user", &alice.token).await;
}

#[tokio::test]
async fn a_wrong_password_of_postgresql_is_waited_out_like_an_outage_and_named() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let starting = Server::options(&redis, &db).env("DB_PASS", "no such password").begin();
    let line = starting.wait_for_log(|line| names(line, "127.0.0.1", "DB_HOST")).await;
    assert!(line.text.contains("password authentication failed"), "{}", line.text);
    assert!(!line.text.contains("no such password"), "a secret in the log: {}", line.text);
    assert!(starting.terminate().await.success());
}

#[tokio::test]
async fn attempts_to_reach_redis_come_less_and_less_often() {
    let db = Database::create().await;
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let options =
        db.environment().into_iter().fold(ServerOptions::bare(), |options, (name, value)| options.env(&name, value));
    let starting = options.env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", port.to_string()).begin();
    // Two connections are tried, each at 0.1 s and twice as late each time: the twelfth comes after seconds. Tried without
    // pauses it would come within milliseconds.
    let mut times = Vec::new();
    while times.len() < 12 {
        let (connection, _) = within("attempt", listener.accept()).await.unwrap();
        times.push(Instant::now());
        drop(connection);
    }
    let took = times[11] - times[0];
    assert!(took > Duration::from_millis(1500), "twelve attempts in {took:?}");
    drop(starting);
}
