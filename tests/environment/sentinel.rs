//! `REDIS_SENTINELS` and its companions.

use crate::support::process::free_port;
use crate::support::resp::Reply;
use crate::support::*;
use crate::{check, delivers};

fn options(sentinel: &Sentinel, db: &Database) -> ServerOptions {
    ServerOptions::bare().envs(sentinel.environment().into_iter().chain(db.environment()))
}

#[tokio::test]
async fn after_a_fail_over_everything_goes_on_at_the_new_master() {
    let (sentinel, db) = (Sentinel::start().await, Database::create().await);
    let alice = db.person("alice").await;
    // What says where a single Redis is does not count; of several Sentinels one is enough.
    let hosts = format!("127.0.0.1:{}, 127.0.0.1:{}", free_port(), sentinel.port());
    let options = options(&sentinel, &db).env("REDIS_SENTINELS", hosts);
    let server = options.env("REDIS_HOST", "redis.invalid").env("REDIS_PORT", "1").start().await;
    let mut ws = Ws::open(&server, "/?stream=user", &alice.token).await;
    let channel = format!("timeline:{}", alice.account_id);
    let master = sentinel.master().await;
    master.wait_for_subscribers(&channel, 1).await;
    assert_eq!(master.command(&["ROLE"]).await.array()[0], Reply::Bulk(Some(b"master".to_vec())));
    ws.silent_until(master, &channel).await;
    let new = sentinel.fail_over().await;
    new.wait_for_subscribers(&channel, 1).await;
    ws.silent_until(new, &channel).await;
    eventually("key at the new master", || async { new.get(&format!("subscribed:{channel}")).await }).await;
    assert_eq!(server.get("/api/v1/streaming/health").await.status, 200);
}

#[tokio::test]
async fn sentinels_take_the_password_of_redis_unless_they_have_their_own() {
    for (of_redis, of_sentinel, variables) in [
        ("one", "one", &[("REDIS_PASSWORD", "one")][..]),
        ("one", "two", &[("REDIS_PASSWORD", "one"), ("REDIS_SENTINEL_PASSWORD", "two")]),
    ] {
        let passwords =
            SentinelOptions { redis_password: Some(of_redis.into()), sentinel_password: Some(of_sentinel.into()) };
        let (sentinel, db) = (Sentinel::start_with(passwords).await, Database::create().await);
        let alice = db.person("alice").await;
        let own = variables.iter().map(|(name, value)| (String::from(*name), String::from(*value)));
        let server = options(&sentinel, &db).envs(own).start().await;
        delivers(&server, sentinel.master().await, &alice).await;
        let wrong = options(&sentinel, &db).env("REDIS_PASSWORD", of_redis).env("REDIS_SENTINEL_PASSWORD", "three");
        let ended = check(wrong).await;
        assert!(!ended.status.success() && ended.text().contains("REDIS_SENTINELS"), "{}", ended.text());
    }
}

#[tokio::test]
async fn sentinels_may_have_a_user_of_their_own_and_a_common_port() {
    let (sentinel, db) = (Sentinel::start().await, Database::create().await);
    let alice = db.person("alice").await;
    sentinel.command(&["ACL", "SETUSER", "watcher", "on", ">watch", "allchannels", "+@all"]).await;
    sentinel.command(&["ACL", "SETUSER", "default", "off"]).await;
    let base = || {
        let options = options(&sentinel, &db).env("REDIS_SENTINELS", "127.0.0.1");
        options.env("REDIS_SENTINEL_PORT", sentinel.port().to_string()).env("REDIS_SENTINEL_PASSWORD", "watch")
    };
    let server = base().env("REDIS_SENTINEL_USERNAME", "watcher").start().await;
    delivers(&server, &sentinel.servers[0], &alice).await;
    assert!(!check(base().env("REDIS_SENTINEL_USERNAME", "default")).await.status.success());
    assert!(
        !check(base().env("REDIS_SENTINEL_USERNAME", "watcher").env("REDIS_SENTINEL_MASTER", "other"))
            .await
            .status
            .success()
    );
}
