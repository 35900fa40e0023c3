//! Nothing happens to the nodes; and what happens to a node alone is seen, so that these tests can fail.

use std::time::Duration;

use crate::support::*;
use crate::{Audience, CHANNELS, Load, RATE};

#[tokio::test]
async fn a_node_alone_loses_and_doubles_nothing() {
    let cluster = Cluster::start(1).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(2.0).await;
    load.finish(&cluster, &audience, "one node").await.is_clean();
}

#[tokio::test]
async fn a_node_alone_that_is_parted_from_redis_loses_events_and_one_that_is_held_up_is_late() {
    let cluster = Cluster::start(1).await;
    let mut audience = Audience::gather(&cluster, 20, &[0]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(0.2).await;
    cluster.way_to_redis(0).refuse();
    load.seconds(0.5).await;
    cluster.way_to_redis(0).open();
    let verdict = load.finish(&cluster, &audience, "one node cut off from redis").await.everywhere();
    assert!(verdict.lost.len() > 200 && verdict.is_honest(), "{verdict}");
    let unheard = verdict.lost.iter().filter(|fault| fault.published.is_some_and(|event| event.receivers == 0));
    assert!(unheard.count() > 200, "{verdict}");

    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(0.2).await;
    cluster.way_to_redis(0).fall_silent();
    load.seconds(1.0).await;
    cluster.way_to_redis(0).open();
    let verdict = load.finish(&cluster, &audience, "one node held up").await;
    verdict.is_clean();
    assert!(verdict.everywhere().longest > Duration::from_millis(900), "{verdict}");
}

#[tokio::test]
async fn who_comes_during_a_load_gets_nothing_older_from_a_node_alone() {
    let cluster = Cluster::start(1).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(1.0).await;
    load.newcomers(&cluster, &mut audience, &[0]).await;
    load.seconds(1.0).await;
    load.finish(&cluster, &audience, "newcomers at one node").await.is_clean();
}

/// The three nodes serve everybody, and Redis serves each channel to two of them only.
#[tokio::test]
async fn each_channel_is_subscribed_by_owner_and_standby_however_many_nodes_have_clients() {
    let cluster = Cluster::start(3).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
    let mut ticks = cluster.redis.subscribe(&cluster.tick_channel()).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(2.0).await;
    load.finish(&cluster, &audience, "three nodes").await.is_clean();
    // It stays so: three nodes' ticks later nobody has subscribed or left anything.
    for _ in 0..9 {
        ticks.next().await;
    }
    drop(ticks);
    cluster.await_settled().await;
    let counts = cluster.subscribers().await;
    let channels = audience.channels();
    let watched: Vec<_> = counts.iter().filter(|(channel, _)| channels.contains(channel)).collect();
    assert_eq!(watched.len(), CHANNELS);
    assert!(watched.iter().all(|(_, count)| *count == 2), "{watched:?}");
    assert!(counts.contains(&(cluster.tick_channel(), 3)), "{counts:?}");
    cluster.knows_of_no_gap().await;
    cluster.nobody_panicked();
}
