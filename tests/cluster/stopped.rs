//! Nodes stand still (SIGSTOP) and go on: suspended machines, swapping, a debugger.

use crate::support::*;
use crate::{Audience, CHANNELS, Load, RATE, all_is_well, long, runs};

/// How long a node stands still, in seconds: longer than it takes to be thought dead.
const PAUSE: f64 = 10.0;

/// A node stands still and goes on; the clients are at these nodes. Returns what the test needs to look at.
async fn stand_still(what: &str, cluster: &Cluster, stopped: usize, edges: &[usize], seconds: f64) -> crate::Verdict {
    let mut audience = Audience::gather(cluster, CHANNELS, edges).await;
    let load = Load::begin(cluster, &mut audience, RATE);
    load.newcomers(cluster, &mut audience, edges).await;
    load.further(fastrand::usize(1..RATE)).await;
    cluster.pause(stopped);
    load.note(&format!("node {stopped} stands still"));
    load.seconds(seconds).await;
    cluster.resume(stopped);
    load.note(&format!("node {stopped} goes on"));
    load.seconds(4.0).await;
    load.finish(cluster, &audience, what).await
}

#[tokio::test]
async fn an_owner_that_stands_still_and_goes_on_relays_nothing_twice() {
    for run in 1..=runs() {
        let cluster = Cluster::start(3).await;
        let stopped = cluster.random_node();
        let edges = cluster.others(&[stopped]);
        let verdict = stand_still(&format!("owner stopped, run {run}"), &cluster, stopped, &edges, PAUSE).await;
        all_is_well(&cluster, &verdict).await;
    }
}

#[tokio::test]
async fn the_clients_of_a_node_that_stands_still_get_everything_afterwards() {
    for run in 1..=runs() {
        let cluster = Cluster::start(3).await;
        let stopped = cluster.random_node();
        let verdict = stand_still(&format!("edge stopped, run {run}"), &cluster, stopped, &[0, 1, 2], PAUSE).await;
        all_is_well(&cluster, &verdict).await;
    }
}

#[tokio::test]
async fn who_stands_still_for_longer_than_the_log_lasts_says_that_there_is_a_gap() {
    let (seconds, log_seconds) = if long() { (90.0, "60") } else { (12.0, "5") };
    let cluster = Cluster::of(3).env("CLUSTER_LOG_SECONDS", log_seconds).start().await;
    let stopped = cluster.random_node();
    let what = format!("stopped for {seconds} s with a log of {log_seconds} s");
    let verdict = stand_still(&what, &cluster, stopped, &[0, 1, 2], seconds).await;
    let others = verdict.at(&cluster.others(&[stopped]));
    assert!(others.is_clean(), "{verdict}{}", others.examples());
    let (found, gaps) = (verdict.at(&[stopped]), cluster.gaps(stopped).await);
    println!("  node {stopped}: {gaps} gaps counted, lost within {:?}", found.lost_span());
    assert!(found.is_honest(), "{verdict}{}", found.examples());
    assert!(gaps > 0.0, "node {stopped} knows of no gap: {verdict}");
    // Only of what was in a log it is certain that it was missed.
    let told = |line: &LogLine| line.message().starts_with("events of channels ");
    let line = cluster.node(stopped).wait_for_log(told).await;
    let is_certain = ["evicted", "too_large"].contains(&line.field("cause").as_str().unwrap_or_default());
    assert_eq!(line.message().contains(" may have been missed"), !is_certain, "{}", line.text);
    cluster.await_formed().await;
    cluster.await_settled().await;
    cluster.finds_no_mismatch().await;
    cluster.nobody_panicked();
}
