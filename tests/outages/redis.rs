//! Redis goes away while clients are connected.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flodgatt::config::{Config, Environment};
use flodgatt::domain::Channel;
use flodgatt::lifecycle::Lifecycle;
use flodgatt::upstream::{self, Upstream};

use crate::support::*;

const HEALTH: &str = "/api/v1/streaming/health";

/// A viewer with a stream of each kind, and what those are called at Redis.
struct Audience {
    ws: Ws,
    sse: Sse,
    /// Streams of the WebSocket, as channels.
    channels: Vec<String>,
    control: String,
    list: i64,
}

const HASHTAG: &str = "timeline:hashtag:herons";

impl Audience {
    async fn gather(server: &Server, redis: &Redis, db: &Database) -> Self {
        let alice = db.person("alice").await;
        let list = db.list(alice.account_id).await;
        let mut ws = Ws::open(server, "/api/v1/streaming?stream=user", &alice.token).await;
        ws.subscribe("public:local").await;
        let sse = Sse::open(server, "/api/v1/streaming/hashtag?tag=herons", &alice.token).await;
        let home = format!("timeline:{}", alice.account_id);
        let channels = vec![format!("{home}:notifications"), home, "timeline:public:local".to_owned()];
        let control = format!("timeline:access_token:{}", alice.token_id);
        let audience = Self { ws, sse, channels, control, list };
        audience.is_subscribed(redis).await;
        audience
    }

    fn all_channels(&self) -> Vec<&str> {
        let own = self.channels.iter().map(String::as_str);
        own.chain([HASHTAG, self.control.as_str()]).collect()
    }

    /// Everything is subscribed at Redis, and Mastodon is told.
    async fn is_subscribed(&self, redis: &Redis) {
        for channel in self.all_channels() {
            redis.wait_for_subscribers(channel, 1).await;
        }
        for channel in self.channels.iter().map(String::as_str).chain([HASHTAG]) {
            let key = format!("subscribed:{channel}");
            eventually(&key, || async { redis.get(&key).await == Some("1".to_owned()) }).await;
            let left = redis.ttl(&key).await;
            assert!(left.is_some_and(|seconds| (1_000..=1_080).contains(&seconds)), "{key} lives {left:?} s");
        }
    }

    /// Events come on every stream.
    async fn receives(&mut self, redis: &Redis) {
        for channel in &self.channels {
            self.ws.silent_until(redis, channel).await;
        }
        self.sse.silent_until(redis, HASHTAG).await;
    }

    /// The control channels are heard too.
    async fn can_be_killed(mut self, redis: &Redis) {
        redis.publish(&self.control, r#"{"event":"kill"}"#).await;
        assert_eq!(self.ws.expect_close().await, None);
        assert_eq!(self.sse.closed().await, sse::Ending::Regular);
    }
}

/// Health stays good for ten seconds, then it is not, and says why.
async fn health_turns_bad(server: &Server, redis: &Redis, since: Instant) {
    server.wait_for_log(|line| line.message().starts_with("redis cannot be used")).await;
    assert_eq!(server.get(HEALTH).await.status, 200, "a short absence is no news");
    let answer = eventually("bad health", || async {
        let answer = server.get(HEALTH).await;
        if answer.status == 503 { Ok(answer) } else { Err(answer.text()) }
    })
    .await;
    assert!(since.elapsed() > Duration::from_secs(10), "bad health after only {:?}", since.elapsed());
    let reason = answer.text();
    let beginning = format!("redis at 127.0.0.1:{} ", redis.port());
    assert!(reason.starts_with(&beginning) && reason.ends_with(" (REDIS_HOST and REDIS_PORT)"), "{reason}");
    assert!(!reason.contains("Error") && !reason.contains('{'), "words of a programming language: {reason}");
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
}

async fn health_turns_good(server: &Server) {
    eventually("good health", || async { server.get(HEALTH).await.text() == "OK" }).await;
}

#[tokio::test]
async fn a_crash_of_redis_costs_no_session_and_everything_is_as_before_once_it_is_back() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = Server::start(&redis, &db).await;
    let mut audience = Audience::gather(&server, &redis, &db).await;
    audience.receives(&redis).await;
    let subscriptions = redis.subscriptions().await.len();
    let bob = db.person("bob").await;
    let crash = Instant::now();
    redis.kill();
    health_turns_bad(&server, &redis, crash).await;
    // Who subscribes or comes meanwhile is served later.
    audience
        .ws
        .send_json(serde_json::json!({"type": "subscribe", "stream": "list", "list": audience.list.to_string()}))
        .await;
    audience.channels.push(format!("timeline:list:{}", audience.list));
    let mut late = Ws::open(&server, "/api/v1/streaming?stream=direct", &bob.token).await;
    redis.restart().await;
    health_turns_good(&server).await;
    audience.is_subscribed(&redis).await;
    let direct = format!("timeline:direct:{}", bob.account_id);
    redis.wait_for_subscribers(&direct, 1).await;
    late.silent_until(&redis, &direct).await;
    audience.receives(&redis).await;
    server.wait_for_metric("flodgatt_upstream_reconnects_total", &[], 1.0).await;
    // The list, and the newcomer's stream and two control channels.
    server.wait_for_metric("redis_subscriptions", &[], (subscriptions + 4) as f64).await;
    audience.can_be_killed(&redis).await;
}

/// Whoever receives nothing.
struct Deaf;

impl upstream::Sink for Deaf {
    fn receive(&self, _channel: &str, _message: &str, _age: std::time::Duration) {}

    fn lagged(&self, _messages: u64) {}

    fn connected(&self) {}
}

#[tokio::test]
async fn keys_wait_for_a_connection_that_comes_a_little_later() {
    let redis = Redis::start().await;
    let environment = Environment::from_pairs(redis.environment());
    let config = Config::read(&environment).unwrap().redis;
    let lifecycle = Lifecycle::new();
    let started = upstream::Redis::start(config, Arc::new(Deaf), Arc::default(), &lifecycle).unwrap();
    // Nothing was awaited since: the connection cannot be there yet.
    let set = Upstream::Redis(Box::new(started)).renew_keys(&[Channel::named("timeline:7")]).await;
    assert!(set.is_ok(), "{set:?}");
    assert!(redis.get("subscribed:timeline:7").await.is_some());
    lifecycle.stop();
}

#[tokio::test]
async fn a_redis_that_falls_silent_is_noticed_and_used_again_when_it_answers() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = Server::start(&redis, &db).await;
    let mut audience = Audience::gather(&server, &redis, &db).await;
    let pause = Instant::now();
    redis.pause();
    health_turns_bad(&server, &redis, pause).await;
    // The seconds in which it was found out count.
    let line = server.wait_for_log(|line| line.message().starts_with("redis cannot be used")).await;
    assert!(line.field("down_s").as_u64().is_some_and(|down_s| down_s >= 4), "{}", line.text);
    redis.resume();
    health_turns_good(&server).await;
    audience.is_subscribed(&redis).await;
    audience.receives(&redis).await;
    audience.can_be_killed(&redis).await;
}

#[tokio::test]
async fn connections_to_redis_that_fall_silent_are_replaced_those_for_keys_too() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let proxy = Proxy::to(redis.port()).await;
    let server = Server::options(&redis, &db).env("REDIS_PORT", proxy.port().to_string()).start().await;
    let mut audience = Audience::gather(&server, &redis, &db).await;
    proxy.forget_connections();
    redis.command(&["FLUSHALL"]).await;
    // The old connections are still there as far as Redis knows; the new one makes two.
    for channel in audience.all_channels() {
        redis.wait_for_subscribers(channel, 2).await;
    }
    for channel in audience.channels.iter().map(String::as_str).chain([HASHTAG]) {
        let key = format!("subscribed:{channel}");
        eventually(&key, || async { redis.get(&key).await == Some("1".to_owned()) }).await;
    }
    audience.receives(&redis).await;
}

#[tokio::test]
async fn a_subscriber_that_redis_throws_out_subscribes_again() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = Server::start(&redis, &db).await;
    let mut audience = Audience::gather(&server, &redis, &db).await;
    for times in 1..=3 {
        redis.command(&["FLUSHALL"]).await;
        redis.drop_clients().await;
        server.wait_for_metric("flodgatt_upstream_reconnects_total", &[], f64::from(times)).await;
        audience.is_subscribed(&redis).await;
        audience.receives(&redis).await;
    }
    assert_eq!(server.get(HEALTH).await.text(), "OK");
    audience.can_be_killed(&redis).await;
}

#[tokio::test]
async fn a_subscriber_that_redis_cuts_for_lagging_subscribes_again_and_says_so() {
    let redis = Redis::start().await;
    let db = Database::create().await;
    redis.command(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1"]).await;
    let server = Server::start(&redis, &db).await;
    let mut audience = Audience::gather(&server, &redis, &db).await;
    // A server that stands still lags.
    server.signal(rustix::process::Signal::STOP);
    let message = event("delete", "x".repeat(1 << 20));
    let home = audience.channels[1].clone();
    eventually("end of the lagging connection", || async {
        redis.publish(&home, &message).await;
        redis.subscribers(&home).await == 0
    })
    .await;
    server.signal(rustix::process::Signal::CONT);
    server.wait_for_metric("flodgatt_upstream_reconnects_total", &[], 1.0).await;
    assert!(server.logs().iter().any(|line| line.message().starts_with("redis cannot be used")), "nothing was said");
    audience.is_subscribed(&redis).await;
    // What was received before the cut came, whole and in order; what comes now follows it.
    let marker = statuses::Marker::publish(&redis, &home).await;
    loop {
        match audience.ws.next_event().await.payload {
            Some(payload) if payload == marker.payload() => break,
            Some(payload) => assert_eq!(payload.as_str().map(str::len), Some(1 << 20)),
            None => panic!("an event without payload"),
        }
    }
    audience.receives(&redis).await;
    audience.can_be_killed(&redis).await;
}

/// Whether something was sent to a Redis which that has not read.
fn is_asked(redis: &Redis) -> bool {
    let connections = std::fs::read_to_string("/proc/net/tcp").expect("the system tells it");
    let own = format!(":{:04X}", redis.port());
    connections.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Local address, …, state (01 is established), bytes that wait to be sent and to be read.
        fields[1].ends_with(&own) && fields[3] == "01" && !fields[4].ends_with(":00000000")
    })
}

#[tokio::test]
async fn a_server_that_could_not_run_for_a_while_does_not_blame_redis_and_misses_nothing() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = Server::start(&redis, &db).await;
    let mut audience = Audience::gather(&server, &redis, &db).await;
    // The server asks whether Redis is alive, and cannot run when the answer comes, nor long afterwards.
    redis.pause();
    eventually("question to redis", || async { is_asked(&redis) }).await;
    server.signal(rustix::process::Signal::STOP);
    let asked = Instant::now();
    redis.resume();
    let home = audience.channels[1].clone();
    redis.publish_all(&home, (0..1_000).map(|number| event("delete", number.to_string()))).await;
    eventually("end of all patience", || async { asked.elapsed() > Duration::from_secs(8) }).await;
    server.signal(rustix::process::Signal::CONT);
    for number in 0..1_000 {
        assert_eq!(audience.ws.next_event().await.payload, Some(number.to_string().into()));
    }
    assert_eq!(server.metric("flodgatt_upstream_reconnects_total", &[]).await, 0.0);
}
