//! `REDIS_URL`, `REDIS_HOST` and so on.

use crate::support::*;
use crate::{check, delivers, delivers_in_namespace};

/// An environment that says where PostgreSQL is, and nothing of Redis.
fn without_redis(db: &Database) -> ServerOptions {
    ServerOptions::bare().envs(db.environment())
}

#[tokio::test]
async fn redis_is_reached_over_ipv4_and_ipv6_by_parts_and_by_url() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let port = redis.port().to_string();
    let parts = |host: &str| without_redis(&db).env("REDIS_HOST", host).env("REDIS_PORT", &port);
    let url = |host: &str| without_redis(&db).env("REDIS_URL", format!("redis://{host}:{port}"));
    for options in
        [parts("127.0.0.1"), parts("localhost"), parts("::1"), parts("[::1]"), url("127.0.0.1"), url("[::1]")]
    {
        let server = options.start().await;
        delivers(&server, &redis, &alice).await;
        assert!(server.terminate().await.success());
    }
}

#[tokio::test]
async fn the_host_is_local_by_default() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = without_redis(&db).env("REDIS_PORT", redis.port().to_string()).start().await;
    assert_eq!(server.get("/api/v1/streaming/health").await.status, 200);
}

#[tokio::test]
async fn a_url_is_the_only_source() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let wrong = [
        ("REDIS_HOST", "redis.invalid"),
        ("REDIS_PORT", "1"),
        ("REDIS_DB", "7"),
        ("REDIS_USER", "nobody"),
        ("REDIS_PASSWORD", "wrong"),
        ("REDIS_SENTINELS", "sentinel.invalid"),
        ("REDIS_SENTINEL_MASTER", "other"),
    ];
    let server = without_redis(&db).env("REDIS_URL", redis.url()).envs(wrong).start().await;
    let monitor = redis.monitor().await;
    delivers(&server, &redis, &alice).await;
    monitor.wait_for("[0 127.0.0.1").await;
}

#[tokio::test]
async fn a_url_may_name_a_unix_socket() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let url = format!("unix://{}?db=3", redis.unix_socket().display());
    let server = without_redis(&db).env("REDIS_URL", url).start().await;
    let monitor = redis.monitor().await;
    delivers(&server, &redis, &alice).await;
    let set = monitor.wait_for(r#""SET" "subscribed:"#).await;
    assert!(set.contains("[3 unix:"), "{set}");
}

#[tokio::test]
async fn rediss_is_tls_with_a_valid_certificate() {
    let options = RedisOptions { tls: true, password: Some("secret".into()), ..RedisOptions::default() };
    let (redis, db) = (Redis::start_with(options).await, Database::create().await);
    let alice = db.person("alice").await;
    let server = Server::options(&redis, &db).start().await;
    delivers(&server, &redis, &alice).await;
    for refused in [
        Server::options(&redis, &db).without("SSL_CERT_FILE"),
        Server::options(&redis, &db).env("REDIS_URL", redis.url().replace("rediss:", "redis:")),
        Server::options(&redis, &db).env("REDIS_URL", redis.url().replace("localhost", "127.0.0.2")),
    ] {
        let ended = check(refused).await;
        assert!(!ended.status.success() && ended.text().contains("REDIS_URL"), "{}", ended.text());
        assert!(!ended.text().contains("secret"), "{}", ended.text());
    }
}

#[tokio::test]
async fn keys_are_set_in_the_database_of_the_number() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let url = format!("{}/6", redis.url());
    for (options, number) in [
        (Server::options(&redis, &db).env("REDIS_DB", "5"), 5),
        (without_redis(&db).env("REDIS_URL", url), 6),
        (Server::options(&redis, &db).env("REDIS_DB", ""), 0),
    ] {
        let server = options.start().await;
        let monitor = redis.monitor().await;
        delivers(&server, &redis, &alice).await;
        let key = format!(r#""SET" "subscribed:timeline:{}:notifications" "1" "EX" "1080""#, alice.account_id);
        let set = monitor.wait_for(&key).await;
        assert!(set.contains(&format!("[{number} ")), "{set}");
        assert!(server.terminate().await.success());
    }
}

#[tokio::test]
async fn passwords_and_users_are_those_of_the_variables() {
    let options = RedisOptions { password: Some("of-default".into()), ..RedisOptions::default() };
    let (redis, db) = (Redis::start_with(options).await, Database::create().await);
    let alice = db.person("alice").await;
    let rule = ["ACL", "SETUSER", "streaming", "on", ">p@ss/word", "~*", "&*", "+@all"];
    redis.command(&rule).await;
    let port = redis.port();
    let streaming = || Server::options(&redis, &db).env("REDIS_USER", "streaming").env("REDIS_PASSWORD", "p@ss/word");
    let url = |url: String| without_redis(&db).env("REDIS_URL", url);
    for (options, user) in [
        (Server::options(&redis, &db), "default"),
        (streaming(), "streaming"),
        (url(format!("redis://streaming:p%40ss%2Fword@127.0.0.1:{port}")), "streaming"),
        (url(format!("redis://:of-default@127.0.0.1:{port}")), "default"),
    ] {
        let server = options.start().await;
        delivers(&server, &redis, &alice).await;
        let clients = redis.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).await.text().unwrap();
        assert!(clients.contains(&format!(" user={user} ")), "{clients}");
        assert!(server.terminate().await.success());
        eventually("no subscribers", || async { redis.subscriptions().await.is_empty() }).await;
    }
    for wrong in [streaming().env("REDIS_PASSWORD", "of-default"), streaming().env("REDIS_USER", "nobody")] {
        let text = check(wrong).await.text();
        assert!(text.contains("REDIS_HOST") && !text.contains("of-default"), "{text}");
    }
}

#[tokio::test]
async fn a_namespace_stands_before_channels_and_keys_and_clients_never_see_it() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let by_url = without_redis(&db).env("REDIS_URL", redis.url());
    for options in [Server::options(&redis, &db), by_url] {
        let server = options.env("REDIS_NAMESPACE", "social").start().await;
        delivers_in_namespace(&server, &redis, &alice, "social:").await;
        let mut ws = Ws::open(&server, "/?stream=hashtag&tag=Rust", &alice.token).await;
        redis.wait_for_subscribers("social:timeline:hashtag:rust", 1).await;
        let channels = redis.subscriptions().await;
        assert!(channels.iter().all(|channel| channel.starts_with("social:timeline:")), "{channels:?}");
        let key = "social:subscribed:timeline:hashtag:rust";
        eventually("key", || async { redis.ttl(key).await }).await;
        assert_eq!(redis.get("subscribed:timeline:hashtag:rust").await, None);
        ws.silent_until(&redis, "social:timeline:hashtag:rust").await;
        redis.publish(&format!("social:timeline:access_token:{}", alice.token_id), r#"{"event":"kill"}"#).await;
        assert_eq!(ws.expect_close().await, None);
        assert!(server.terminate().await.success());
        redis.command(&["FLUSHALL"]).await;
    }
}
