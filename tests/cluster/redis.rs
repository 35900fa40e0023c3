//! What happens at Redis.

use std::time::{Duration, Instant};

use crate::support::*;
use crate::{Audience, CHANNELS, Load, RATE, all_is_well, long};

#[tokio::test]
async fn after_a_restart_of_redis_everything_flows_again_by_itself() {
    let cluster = Cluster::start(3).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(1.0).await;
    load.finish(&cluster, &audience, "before the restart").await.is_clean();
    cluster.redis.restart().await;
    let back = Instant::now();
    for node in cluster.live() {
        cluster.node(node).wait_for_metric("flodgatt_upstream_reconnects_total", &[], 1.0).await;
    }
    audience.sync(&cluster).await;
    println!("  everything flows {:?} after redis is back", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(10), "it took {:?}", back.elapsed());
    cluster.await_formed().await;
    cluster.await_settled().await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(2.0).await;
    load.finish(&cluster, &audience, "after the restart").await.is_clean();
    cluster.nobody_panicked();
}

#[tokio::test]
async fn a_redis_that_throws_out_all_subscribers_is_subscribed_again_and_everything_flows() {
    let cluster = Cluster::start(3).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
    for times in 1..=3 {
        cluster.redis.drop_clients().await;
        for node in cluster.live() {
            cluster.node(node).wait_for_metric("flodgatt_upstream_reconnects_total", &[], f64::from(times)).await;
        }
        audience.sync(&cluster).await;
        cluster.await_settled().await;
    }
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(2.0).await;
    load.finish(&cluster, &audience, "after three expulsions").await.is_clean();
    cluster.nobody_panicked();
}

#[tokio::test]
async fn rubbish_on_the_channel_of_ticks_disturbs_nobody() {
    let cluster = Cluster::start(3).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
    let ticks = cluster.tick_channel();
    let load = Load::begin(&cluster, &mut audience, RATE);
    for round in 0..20 {
        load.further(25).await;
        let max = u64::MAX;
        let rubbish = [
            String::new(),
            ":".into(),
            "tick".into(),
            "-1:-1".into(),
            format!("{max}:"),
            format!(":{max}"),
            format!("{max}:{max}"),
            format!("{max}0:{max}0"),
            format!("1:{round}"),
            "0:0".into(),
            "1:1:1".into(),
            "1 : 1".into(),
            "\u{0}\u{7}\u{fffd}".into(),
            r#"{"event":"kill"}"#.into(),
            event("delete", "e 1 1 1"),
            "9".repeat(100_000),
        ];
        cluster.redis.publish_all(&ticks, rubbish).await;
        cluster.redis.publish(&ticks, b"\xff\xfe\x00:\xc3\x28").await;
    }
    load.seconds(2.0).await;
    let verdict = load.finish(&cluster, &audience, "rubbish among the ticks").await;
    all_is_well(&cluster, &verdict).await;
}

#[tokio::test]
async fn the_keys_of_open_streams_do_not_lapse_when_an_owner_dies() {
    let cluster = Cluster::start(3).await;
    let victim = cluster.random_node();
    let edges = cluster.others(&[victim]);
    let mut streams = Vec::new();
    let mut keys = Vec::new();
    for number in 0..30 {
        let person = cluster.database.person(&format!("person{number}")).await;
        let edge = edges[number % edges.len()];
        streams.push(Ws::open(cluster.node(edge), "/api/v1/streaming?stream=user", &person.token).await);
        keys.push(format!("subscribed:timeline:{}", person.account_id));
        keys.push(format!("subscribed:timeline:{}:notifications", person.account_id));
    }
    for key in &keys {
        eventually(key, || async { cluster.redis.get(key).await == Some("1".to_owned()) }).await;
    }
    cluster.await_settled().await;
    cluster.kill(victim);
    cluster.await_settled().await;
    // Set anew within six minutes of eighteen, whoever does it.
    let reading: Vec<_> = streams.into_iter().map(|ws| tokio::spawn(keep_open(ws))).collect();
    let watched = Duration::from_secs(if long() { 900 } else { 1 });
    let end = Instant::now() + watched;
    eventually_within(watched * 2, "end of the watch", || async {
        for key in &keys {
            let left = cluster.redis.ttl(key).await;
            assert!(left.is_some_and(|seconds| seconds > 1_080 - 360 - 30), "{key} lives {left:?} s");
        }
        Instant::now() > end
    })
    .await;
    assert!(reading.iter().all(|reading| !reading.is_finished()), "a stream has ended");
    reading.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Answers pings, for ever.
async fn keep_open(mut ws: Ws) {
    loop {
        ws.next_ping().await;
    }
}

#[tokio::test]
async fn of_a_redis_that_stands_still_no_node_blames_another() {
    let cluster = Cluster::start(3).await;
    let says = async |node: usize, words: &str| {
        let server = cluster.node(node);
        eventually(words, || async { server.logs().into_iter().find(|line| line.text.contains(words)) }).await;
    };
    cluster.redis.pause();
    for node in cluster.live() {
        says(node, "no ticks come from any node").await;
    }
    cluster.redis.resume();
    for node in cluster.live() {
        says(node, "ticks come again").await;
    }
    for node in cluster.live() {
        let logs = cluster.node(node).logs();
        let count = |words: &str| logs.iter().filter(|line| line.text.contains(words)).count();
        assert_eq!((count("no ticks come from any node"), count("a node is silent")), (1, 0), "node {node}");
    }
}
