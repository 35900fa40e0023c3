//! Nodes come and go as planned.

use std::time::Duration;

use crate::support::*;
use crate::{Audience, CHANNELS, Load, RATE, all_is_well, runs};

/// How late an event may be because its channel moves: many times what it is on a free machine, which is printed.
const PATIENCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_node_that_joins_takes_over_channels_and_nobody_misses_an_event() {
    for run in 1..=runs() {
        let mut cluster = Cluster::start(3).await;
        let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        load.further(fastrand::usize(1..RATE)).await;
        let added = cluster.add().await;
        load.note(&format!("node {added} answers"));
        load.seconds(4.0).await;
        let verdict = load.finish(&cluster, &audience, &format!("join, run {run}")).await;
        all_is_well(&cluster, &verdict).await;
        assert!(verdict.everywhere().longest < PATIENCE, "{verdict}");
        let relayed = cluster.node(added).metric("flodgatt_relay_events_sent_total", &[]).await;
        assert!(relayed > 0.0, "the new node relays nothing");
    }
}

#[tokio::test]
async fn a_node_that_leaves_hands_over_its_channels_and_nobody_elsewhere_misses_an_event() {
    for run in 1..=runs() {
        let cluster = Cluster::start(3).await;
        let leaver = cluster.random_node();
        let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        load.further(fastrand::usize(1..RATE)).await;
        load.note(&format!("SIGTERM to node {leaver}"));
        assert!(cluster.stop(leaver).await.success());
        load.note(&format!("node {leaver} has left"));
        load.seconds(3.0).await;
        let verdict = load.finish(&cluster, &audience, &format!("leave, run {run}")).await;
        all_is_well(&cluster, &verdict).await;
        assert!(verdict.everywhere().longest < PATIENCE, "{verdict}");
    }
}

#[tokio::test]
async fn nodes_are_replaced_one_after_the_other_and_nobody_else_misses_an_event() {
    let mut cluster = Cluster::start(3).await;
    // Clients stay where they are; those of the nodes that leave are gone.
    let mut audience = Audience::gather(&cluster, CHANNELS, &[2]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    for leaver in [0, 1] {
        let added = cluster.add().await;
        load.note(&format!("node {added} answers"));
        assert!(cluster.stop(leaver).await.success());
        load.note(&format!("node {leaver} has left"));
    }
    load.seconds(2.0).await;
    let verdict = load.finish(&cluster, &audience, "two of three replaced").await;
    all_is_well(&cluster, &verdict).await;
}
