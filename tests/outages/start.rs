//! What is not there yet when the server starts is waited for.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::support::process::free_port;
use crate::support::*;

/// Whether a line warns of something at an address and names the variable it comes from.
fn names(line: &LogLine, address: &str, variable: &str) -> bool {
    line.level() == "WARN" && line.text.contains(address) && line.text.contains(variable)
}

/// How many lines of the log have this message.
fn said(server: &Server, message: &str) -> usize {
    server.logs().iter().filter(|line| line.message() == message).count()
}

#[tokio::test]
async fn a_server_started_before_redis_says_where_it_looks_and_works_once_redis_is_there() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    redis.kill();
    let starting = Server::options(&redis, &db).begin();
    let address = format!("127.0.0.1:{}", redis.port());
    let line = starting.wait_for_log(|line| names(line, &address, "REDIS_HOST and REDIS_PORT")).await;
    let reason = format!("redis at {address} cannot be reached: connection refused (REDIS_HOST and REDIS_PORT)");
    assert_eq!(line.field("reason"), reason.as_str());
    assert!(line.field("down_s").is_u64(), "{}", line.text);
    assert!(!starting.logs().iter().any(|line| line.message() == "listening"), "it listens before it can serve");
    redis.restart().await;
    let server = starting.answering().await;
    assert_eq!(said(&server, "connected to redis"), 1);
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
    let bare = || ServerOptions::bare().envs(db.environment());
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
    let line = starting.wait_for_log(|line| names(line, &address, "DB_HOST and DB_PORT")).await;
    let reason = format!("the database at {address} cannot be reached: connection refused (DB_HOST and DB_PORT)");
    assert_eq!(line.field("reason"), reason.as_str());
    assert!(line.field("down_s").is_u64(), "{}", line.text);
    assert!(started.elapsed() < Duration::from_secs(10), "the first word came after {:?}", started.elapsed());
    let by_url = ServerOptions::bare().env("DATABASE_URL", db.url()).env("REDIS_URL", redis.url()).begin();
    by_url.wait_for_log(|line| names(line, &address, "(DATABASE_URL)")).await;
    assert!(by_url.terminate().await.success(), "a server that waits can be told to stop");
    assert!(!starting.logs().iter().any(|line| line.message() == "listening"), "it listens before it can serve");
    postgres.start_again().await;
    let server = starting.answering().await;
    assert_eq!(said(&server, "connected to postgresql"), 1);
    Sse::open(&server, "/api/v1/streaming/user", &alice.token).await;
}

#[tokio::test]
async fn attempts_to_reach_postgresql_come_less_and_less_often_and_are_not_told_one_by_one() {
    let redis = Redis::start().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let options = ServerOptions::bare().env("DB_HOST", "127.0.0.1").env("DB_PORT", port);
    let options = redis.environment().into_iter().fold(options, |options, (name, value)| options.env(&name, value));
    let starting = options.begin();
    let mut times = Vec::new();
    while times.len() < 5 {
        let (connection, _) = within("attempt", listener.accept()).await.unwrap();
        times.push(Instant::now());
        drop(connection);
    }
    let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.is_sorted() && pauses[3] > 4 * pauses[0], "{pauses:?}");
    let ended = starting.finish().await;
    let reasons: Vec<String> = (ended.logs.iter())
        .filter(|line| line.message().starts_with("postgresql cannot be used yet"))
        .map(|line| line.field("reason").to_string())
        .collect();
    // A connection that ends at once is told as closed or as reset, each once.
    assert!((1..=2).contains(&reasons.len()), "{reasons:?}");
}

#[tokio::test]
async fn a_wrong_password_of_postgresql_is_waited_out_like_an_outage_and_named() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let starting = Server::options(&redis, &db).env("DB_PASS", "no such password").begin();
    let line = starting.wait_for_log(|line| names(line, "127.0.0.1", "DB_USER and DB_PASS")).await;
    assert!(line.text.contains("password authentication failed"), "{}", line.text);
    assert!(!line.text.contains("DB_HOST"), "{}", line.text);
    assert!(!line.text.contains("no such password"), "a secret in the log: {}", line.text);
    assert!(starting.terminate().await.success());
}

#[tokio::test]
async fn attempts_to_reach_redis_come_less_and_less_often() {
    let db = Database::create().await;
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let options = ServerOptions::bare().envs(db.environment());
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
