//! What operators can know at any time.

use std::time::Duration;

use crate::support::*;
use crate::{Audience, Load, RATE};

const CHANNELS: usize = 50;

#[tokio::test]
async fn channels_that_a_single_node_holds_are_known_to_be_at_risk_until_there_is_another_one() {
    let mut cluster = Cluster::start(2).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1]).await;
    let at_risk = "flodgatt_relay_channels_at_risk";
    // The lists, and two channels on which Mastodon says that a token or its owner's filters are not what they were.
    let watched = CHANNELS as f64 + 2.0;
    for node in [0, 1] {
        cluster.node(node).wait_for_metric("flodgatt_relay_channels", &[], watched).await;
        assert_eq!(cluster.node(node).metric(at_risk, &[]).await, 0.0);
    }
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(0.5).await;
    cluster.kill(1);
    cluster.node(0).wait_for_metric(at_risk, &[], watched).await;
    load.note("one of two nodes is dead");
    let added = cluster.add().await;
    for node in [0, added] {
        cluster.node(node).wait_for_metric(at_risk, &[], 0.0).await;
    }
    load.note(&format!("node {added} holds what was at risk"));
    load.finish(&cluster, &audience, "one of two dies, one joins").await.is_clean();
    cluster.knows_of_no_gap().await;
}

#[tokio::test]
async fn the_depth_of_the_log_and_the_way_of_ticks_are_known_and_no_mismatch_is_counted() {
    let cluster = Cluster::of(3).env("CLUSTER_LOG_SECONDS", "5").start().await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(8.0).await;
    for node in cluster.live() {
        let node = cluster.node(node);
        let (seconds, bytes) =
            (node.metric("flodgatt_relay_log_seconds", &[]).await, node.metric("flodgatt_relay_log_bytes", &[]).await);
        // It is looked at each second.
        assert!((3.5..6.5).contains(&seconds) && bytes > 0.0, "{seconds} s, {bytes} bytes");
        let ticks = node.metric("flodgatt_relay_tick_seconds_count", &[]).await;
        let mean = node.metric("flodgatt_relay_tick_seconds_sum", &[]).await / ticks;
        println!(
            "  the log has {seconds} s and {bytes} bytes; a tick comes back after {:?}",
            Duration::from_secs_f64(mean)
        );
        assert!(ticks >= 8.0 && mean > 0.0 && mean < 1.0, "{ticks} ticks, {mean} s");
        for cause in ["before_since", "evicted", "unknown_tick", "check_failed", "source_lost", "no_answer"] {
            assert_eq!(node.metric("flodgatt_relay_gaps_total", &[("cause", cause)]).await, 0.0);
        }
        assert_eq!(node.metric("flodgatt_relay_log_overrun_total", &[]).await, 0.0);
    }
    load.finish(&cluster, &audience, "a log of five seconds").await.is_clean();
    cluster.finds_no_mismatch().await;
}
