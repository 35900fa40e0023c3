//! Nodes come and go as planned.

use std::time::Duration;

use crate::support::*;
use crate::{Audience, CHANNELS, Load, RATE, all_is_well, runs};

/// By how much a change may lengthen the longest pause that clients see, in addition to what they see without it.
const NOTICED: Duration = Duration::from_millis(100);

/// Other processes share the machine, and a pause of theirs may fall into the time of the change alone: of so many attempts,
/// each with a cluster of its own, one has to show that the change is not noticed. That nothing is lost, doubled or swapped
/// has to hold in all.
const ATTEMPTS: usize = 3;

/// Runs a load with clients at these nodes, first while an unrelated process starts, then while the cluster changes, and
/// compares what the clients see. Returns the cluster after the last attempt.
async fn is_not_noticed(what: &str, clients: &[usize], change: impl AsyncFn(&mut Cluster, &Load)) -> Cluster {
    let mut seen = Vec::new();
    for _ in 0..ATTEMPTS {
        let mut cluster = Cluster::start(3).await;
        let mut audience = Audience::gather(&cluster, CHANNELS, clients).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        load.newcomers(&cluster, &mut audience, clients).await;
        let begin = load.now();
        let unrelated = Server::start(&cluster.redis, &cluster.database).await;
        load.seconds(3.0).await;
        drop(unrelated);
        load.further(fastrand::usize(1..RATE)).await;
        let middle = load.now();
        change(&mut cluster, &load).await;
        load.seconds(3.0).await;
        let end = load.now();
        let verdict = load.finish(&cluster, &audience, what).await;
        all_is_well(&cluster, &verdict).await;
        let all = verdict.everywhere();
        let (before, during) = (all.longest_in(begin..middle), all.longest_in(middle..end));
        println!("  longest pause before the change {before:?}, with it {during:?}");
        if during < before + NOTICED {
            return cluster;
        }
        seen.push((before, during));
    }
    panic!("{what} is noticed; longest pauses before and with it: {seen:?}");
}

#[tokio::test]
async fn a_node_that_joins_takes_over_channels_and_nobody_notices() {
    for run in 1..=runs() {
        let cluster = is_not_noticed(&format!("join, run {run}"), &[0, 1, 2], async |cluster, load| {
            let added = cluster.add().await;
            load.note(&format!("node {added} answers"));
        })
        .await;
        let relayed = cluster.node(3).metric("flodgatt_relay_events_sent_total", &[]).await;
        assert!(relayed > 0.0, "the new node relays nothing");
    }
}

#[tokio::test]
async fn a_node_that_leaves_hands_over_its_channels_and_nobody_elsewhere_notices() {
    for run in 1..=runs() {
        is_not_noticed(&format!("leave, run {run}"), &[0, 1, 2], async |cluster, load| {
            let leaver = cluster.random_node();
            load.note(&format!("SIGTERM to node {leaver}"));
            assert!(cluster.stop(leaver).await.success());
            load.note(&format!("node {leaver} has left"));
        })
        .await;
    }
}

/// Clients stay where they are; those of the nodes that leave would be gone.
#[tokio::test]
async fn nodes_are_replaced_one_after_the_other_and_nobody_else_notices() {
    is_not_noticed("two of three replaced", &[2], async |cluster, load| {
        for leaver in [0, 1] {
            let added = cluster.add().await;
            load.note(&format!("node {added} answers"));
            assert!(cluster.stop(leaver).await.success());
            load.note(&format!("node {leaver} has left"));
        }
    })
    .await;
}
