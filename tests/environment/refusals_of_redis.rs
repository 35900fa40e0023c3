//! What operators read of a Redis that does not let the server in: what it is, in plain words, and the variables by which
//! it can be changed.

use crate::database_tls::impostor;
use crate::support::process::free_port;
use crate::support::*;
use crate::{check, delivers_in_namespace};

/// The line of `flodgatt check` that tells what is wrong with Redis, after its address.
async fn complaint(options: ServerOptions) -> String {
    let ended = check(options).await;
    let lines: Vec<&str> = ended.logs.iter().map(|line| line.text.as_str()).collect();
    let failed: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("failed   redis at ")).collect();
    let [line] = failed[..] else { panic!("one failure of redis in {}", ended.text()) };
    for junk in ["Error", "{", "os error", "kind:", "secret"] {
        assert!(!line.contains(junk), "{junk:?} is of no use in {line}");
    }
    line.split_once(' ').expect("an address, and more").1.to_owned()
}

fn by_url(db: &Database, url: impl Into<String>) -> ServerOptions {
    ServerOptions::bare().envs(db.environment()).env("REDIS_URL", url)
}

async fn locked() -> (Redis, Database) {
    let options = RedisOptions { password: Some("secret".into()), ..RedisOptions::default() };
    (Redis::start_with(options).await, Database::create().await)
}

#[tokio::test]
async fn a_wrong_password_is_told_with_its_variable() {
    let (redis, db) = locked().await;
    let wrong = || Server::options(&redis, &db).env("REDIS_PASSWORD", "wrong-secret");
    let refused = "refuses the user or its password";
    assert_eq!(complaint(wrong()).await, format!("{refused} (REDIS_PASSWORD)"));
    let user = wrong().env("REDIS_USER", "nobody");
    assert_eq!(complaint(user).await, format!("{refused} (REDIS_USER and REDIS_PASSWORD)"));
    let url = by_url(&db, redis.url().replace("secret", "wrong-secret"));
    assert_eq!(complaint(url).await, format!("{refused} (REDIS_URL)"));
}

#[tokio::test]
async fn a_missing_password_is_told_with_its_variable() {
    let (redis, db) = locked().await;
    let without = Server::options(&redis, &db).without("REDIS_PASSWORD");
    assert_eq!(complaint(without).await, "demands a password (REDIS_PASSWORD)");
    let url = by_url(&db, redis.url().replace(":secret@", ""));
    assert_eq!(complaint(url).await, "demands a password (REDIS_URL)");
}

#[tokio::test]
async fn a_database_number_that_is_too_high_is_told_with_its_variable() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let options = Server::options(&redis, &db).env("REDIS_DB", "99");
    assert_eq!(complaint(options).await, "has no database 99 (REDIS_DB)");
    let url = by_url(&db, format!("{}/99", redis.url()));
    assert_eq!(complaint(url).await, "has no database 99 (REDIS_URL)");
}

#[tokio::test]
async fn an_address_where_nothing_is_is_told_with_its_variables() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let options = || Server::options(&redis, &db);
    let parts = "REDIS_HOST and REDIS_PORT";
    for (options, cause, variables) in [
        (options().env("REDIS_PORT", free_port().to_string()), "connection refused", parts),
        (options().env("REDIS_HOST", "redis.invalid"), "the name does not resolve", parts),
        (by_url(&db, "unix:///nowhere/redis.sock"), "no such file or socket", "REDIS_URL"),
        (by_url(&db, "rediss://redis.invalid"), "the name does not resolve", "REDIS_URL"),
    ] {
        assert_eq!(complaint(options).await, format!("cannot be reached: {cause} ({variables})"));
    }
}

#[tokio::test]
async fn a_redis_that_says_nothing_is_told_as_such() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    redis.pause();
    let silent = complaint(Server::options(&redis, &db)).await;
    assert_eq!(silent, "did not answer in time (REDIS_HOST and REDIS_PORT)");
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_is_told_with_what_is_trusted() {
    let options = RedisOptions { tls: true, ..RedisOptions::default() };
    let (redis, db) = (Redis::start_with(options).await, Database::create().await);
    let untrusted = complaint(Server::options(&redis, &db).without("SSL_CERT_FILE")).await;
    let cause = "its certificate is by an authority that is not trusted";
    assert_eq!(untrusted, format!("cannot be trusted: {cause} (REDIS_URL and SSL_CERT_FILE)"));
    impostor(redis.port()).await;
    let other = Server::options(&redis, &db).env("REDIS_URL", redis.url().replace("localhost", "127.0.0.2"));
    let cause = "its certificate is not valid for 127.0.0.2";
    assert_eq!(complaint(other).await, format!("cannot be trusted: {cause} (REDIS_URL and SSL_CERT_FILE)"));
}

#[tokio::test]
async fn a_redis_that_does_not_understand_tls_is_told_as_such() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let complaint = complaint(by_url(&db, redis.url().replace("redis:", "rediss:"))).await;
    assert_eq!(complaint, "did not answer in time, by TLS (REDIS_URL)");
}

#[tokio::test]
async fn a_redis_that_demands_tls_is_told_as_such() {
    let options = RedisOptions { tls: true, ..RedisOptions::default() };
    let (redis, db) = (Redis::start_with(options).await, Database::create().await);
    let complaint = complaint(by_url(&db, redis.url().replace("rediss:", "redis:"))).await;
    // It ends the connection, which the system tells in one of two ways.
    let ways = ["closed", "reset"].map(|way| format!("cannot be reached: connection {way} (REDIS_URL)"));
    assert!(ways.contains(&complaint), "{complaint}");
}

#[tokio::test]
async fn sentinels_that_do_not_help_are_told_with_their_variables() {
    let passwords = SentinelOptions { redis_password: Some("secret".into()), sentinel_password: Some("secret".into()) };
    let (sentinel, db) = (Sentinel::start_with(passwords).await, Database::create().await);
    let bare = || ServerOptions::bare().envs(sentinel.environment().into_iter().chain(db.environment()));
    let locked = || bare().env("REDIS_PASSWORD", "secret");
    let away = format!("127.0.0.1:{}", free_port());
    for (options, expected) in [
        (bare(), "demands a password (REDIS_PASSWORD or REDIS_SENTINEL_PASSWORD)"),
        (bare().env("REDIS_SENTINELS", &away), "cannot be found: no sentinel answers (REDIS_SENTINELS)"),
        (
            locked().env("REDIS_SENTINEL_PASSWORD", "wrong-secret"),
            "cannot be found: no sentinel answers and takes the password (REDIS_SENTINELS and REDIS_SENTINEL_PASSWORD)",
        ),
        (
            locked().env("REDIS_SENTINEL_MASTER", "other"),
            "is not known to the sentinels by this name (REDIS_SENTINEL_MASTER)",
        ),
        (
            locked().env("REDIS_SENTINEL_PASSWORD", "secret").env("REDIS_PASSWORD", "wrong-secret"),
            "refuses the user or its password (REDIS_PASSWORD or REDIS_SENTINEL_PASSWORD)",
        ),
    ] {
        let complaint = complaint(options).await;
        assert!(complaint.ends_with(expected), "{complaint}, not {expected}");
    }
}

#[tokio::test]
async fn a_replica_that_takes_no_keys_is_told_with_its_variable() {
    let (master, db) = (Redis::start().await, Database::create().await);
    let options = RedisOptions { replica_of: Some(master.port()), ..RedisOptions::default() };
    let replica = Redis::start_with(options).await;
    let cause = "is a replica and takes no keys; the server needs its master";
    assert_eq!(complaint(Server::options(&replica, &db)).await, format!("{cause} (REDIS_HOST)"));
    assert_eq!(complaint(by_url(&db, replica.url())).await, format!("{cause} (REDIS_URL)"));
}

#[tokio::test]
async fn keys_that_may_not_be_set_are_told_with_the_rule_that_lets_them() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    for (rights, namespace) in [(["+@all", "-set", "~*"], ""), (["+@all", "~other:*", "~cache:*"], "social")] {
        let user = ["ACL", "SETUSER", "narrow", "reset", "on", ">secret", "&*"];
        redis.command(&[&user[..], &rights[..]].concat()).await;
        let options = Server::options(&redis, &db).env("REDIS_USER", "narrow").env("REDIS_PASSWORD", "secret");
        let complaint = complaint(options.env("REDIS_NAMESPACE", namespace)).await;
        assert!(complaint.starts_with("does not permit enough to the user narrow: "), "{complaint}");
        let prefix = if namespace.is_empty() { "" } else { "social:" };
        assert!(complaint.contains(&format!(" ~{prefix}subscribed:* ")) && complaint.contains(" +set "), "{complaint}");
    }
}

#[tokio::test]
async fn the_key_that_is_set_to_try_is_of_the_namespace_and_soon_gone() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let ended = check(Server::options(&redis, &db).env("REDIS_NAMESPACE", "social")).await;
    assert!(ended.status.success(), "{}", ended.text());
    assert!(redis.ttl("subscribed:flodgatt:check").await.is_none());
    eventually("end of the key", || async {
        let ttl = redis.ttl("social:subscribed:flodgatt:check").await;
        assert!(ttl.is_none_or(|seconds| seconds <= 5), "{ttl:?}");
        ttl.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn permissions_that_are_missing_are_told_and_those_that_are_told_are_enough() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    for namespace in ["", "social"] {
        let narrow = ["ACL", "SETUSER", "narrow", "reset", "on", ">secret"];
        redis.command(&[&narrow[..], &["+@all", "~*", "&other:*"]].concat()).await;
        let options = || {
            let options = Server::options(&redis, &db).env("REDIS_USER", "narrow").env("REDIS_PASSWORD", "secret");
            options.env("REDIS_NAMESPACE", namespace)
        };
        let complaint = complaint(options()).await;
        assert!(complaint.starts_with("does not permit enough to the user narrow: "), "{complaint}");
        assert!(complaint.ends_with(" (REDIS_USER)"), "{complaint}");
        let (_, rule) = complaint.split_once("ACL SETUSER narrow ").expect("it says how to change it");
        let (rule, _) = rule.split_once(" would").expect("it says how to change it");
        redis.command(&narrow.into_iter().chain(rule.split(' ')).collect::<Vec<_>>()).await;
        let server = options().start().await;
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}:") };
        delivers_in_namespace(&server, &redis, &alice, &prefix).await;
        let key = format!("{prefix}subscribed:timeline:{}:notifications", alice.account_id);
        eventually("a key", || async { redis.get(&key).await.is_some() }).await;
        redis.command(&["FLUSHALL"]).await;
    }
}
