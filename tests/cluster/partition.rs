//! Nodes cannot reach each other, or one of them cannot reach Redis.

use std::time::Duration;

use crate::support::*;
use crate::{Audience, CHANNELS, Load, RATE, all_is_well, runs};

/// The longest time in which events may be missed by a node that reaches no holder of a channel: until it takes its peers
/// for dead, and holds the channel itself.
const DETECTION: Duration = Duration::from_secs(6);

/// Something that is done to one node.
pub trait Act: Fn(&Cluster, usize) {}
impl<F: Fn(&Cluster, usize)> Act for F {}

/// Cuts a node off from its peers and heals the cut; requires that all others miss nothing, and that the node misses at
/// most what is published until it has noticed, and says so.
pub async fn without_peers(options: ClusterOptions, what: &str, seconds: f64, cut: impl Act, heal: impl Act) {
    for run in 1..=runs() {
        let cluster = options.clone().start().await;
        let (lonely, nodes) = (cluster.random_node(), [0, 1, 2]);
        let mut audience = Audience::gather(&cluster, CHANNELS, &nodes).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        load.newcomers(&cluster, &mut audience, &nodes).await;
        load.further(fastrand::usize(1..RATE)).await;
        cut(&cluster, lonely);
        load.note(&format!("node {lonely} is cut off from its peers"));
        load.seconds(seconds).await;
        heal(&cluster, lonely);
        load.note("healed");
        load.seconds(3.0).await;
        let verdict = load.finish(&cluster, &audience, &format!("{what}, run {run}")).await;
        cluster.await_formed().await;
        cluster.await_settled().await;
        let others = verdict.at(&cluster.others(&[lonely]));
        assert!(others.is_clean(), "{verdict}{}", others.examples());
        let (found, gaps) = (verdict.at(&[lonely]), cluster.gaps(lonely).await);
        println!("  node {lonely}: {gaps} gaps counted, lost within {:?}", found.lost_span());
        assert!(found.is_honest(), "{verdict}{}", found.examples());
        assert!(found.lost.is_empty() || gaps > 0.0, "node {lonely} knows of no gap: {verdict}");
        assert!(found.lost_span() < DETECTION, "{verdict}");
        cluster.finds_no_mismatch().await;
        cluster.nobody_panicked();

        // As if nothing had been.
        let load = Load::begin(&cluster, &mut audience, RATE);
        load.seconds(1.0).await;
        load.finish(&cluster, &audience, "afterwards").await.is_clean();
    }
}

/// With logs that are shorter than the tests wait: what a node asked for over a link that then ended is held as long.
pub fn three_nodes() -> ClusterOptions {
    Cluster::of(3).env("CLUSTER_LOG_SECONDS", "20")
}

/// The same, by what lies between the nodes.
async fn cut_off(what: &str, seconds: f64, cut: impl Act) {
    let open = |cluster: &Cluster, lonely| cluster.ways_of(lonely).iter().for_each(Gate::open);
    without_peers(three_nodes(), what, seconds, cut, open).await;
}

#[tokio::test]
async fn a_node_whose_peers_fall_silent_misses_at_most_what_it_counts_and_the_others_nothing() {
    cut_off("silent peers", 12.0, |cluster, lonely| {
        for way in cluster.ways_of(lonely) {
            way.fall_silent();
        }
    })
    .await;
}

#[tokio::test]
async fn a_node_whose_peers_refuse_it_misses_at_most_what_it_counts_and_the_others_nothing() {
    cut_off("refusing peers", 7.0, |cluster, lonely| {
        for way in cluster.ways_of(lonely) {
            way.refuse();
        }
    })
    .await;
}

/// The links of a pair of nodes are two, one in each direction: a link may be up that carries nothing back.
#[tokio::test]
async fn a_node_that_is_heard_and_does_not_hear_misses_at_most_what_it_counts_and_the_others_nothing() {
    cut_off("half-silent peers", 7.0, |cluster, lonely| {
        for other in cluster.others(&[lonely]) {
            // Nothing comes to the lonely node, on links of either direction.
            cluster.way(lonely, other).fall_half_silent(false);
            cluster.way(other, lonely).fall_half_silent(true);
        }
    })
    .await;
}

#[tokio::test]
async fn two_nodes_that_cannot_reach_each_other_but_a_third_lose_nothing_unsaid() {
    let cluster = Cluster::start(3).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.newcomers(&cluster, &mut audience, &[0, 1, 2]).await;
    let ways = [cluster.way(0, 1), cluster.way(1, 0)];
    ways.iter().for_each(Gate::fall_silent);
    load.note("nodes 0 and 1 do not hear each other");
    load.seconds(6.0).await;
    ways.iter().for_each(Gate::open);
    load.note("healed");
    load.seconds(3.0).await;
    let verdict = load.finish(&cluster, &audience, "a triangle without one side").await;
    // Owner and standby of a channel are two of the three: each node reaches one of them, itself perhaps.
    all_is_well(&cluster, &verdict).await;
}

/// Cuts a node off for some seconds, but so that everything can be had elsewhere at once or later, and requires that nobody
/// misses anything.
pub async fn cut_off_from(options: ClusterOptions, from: &str, seconds: f64, cut: impl Act, heal: impl Act) {
    for run in 1..=runs() {
        let cluster = options.clone().start().await;
        let (victim, nodes) = (cluster.random_node(), [0, 1, 2]);
        let mut audience = Audience::gather(&cluster, CHANNELS, &nodes).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        load.newcomers(&cluster, &mut audience, &nodes).await;
        load.further(fastrand::usize(1..RATE)).await;
        cut(&cluster, victim);
        load.note(&format!("node {victim} is cut off"));
        load.seconds(seconds).await;
        heal(&cluster, victim);
        load.note("healed");
        load.seconds(3.0).await;
        let verdict = load.finish(&cluster, &audience, &format!("cut off from {from}, run {run}")).await;
        all_is_well(&cluster, &verdict).await;
    }
}

/// Cuts a node off from Redis alone; its peers have everything that it lacks.
async fn without_redis(what: &str, cut: impl Fn(&Gate)) {
    let cut = |cluster: &Cluster, victim| cut(cluster.way_to_redis(victim));
    let open = |cluster: &Cluster, victim| cluster.way_to_redis(victim).open();
    cut_off_from(Cluster::of(3), what, 7.0, cut, open).await;
}

#[tokio::test]
async fn a_node_that_redis_refuses_is_passed_over_and_nobody_misses_anything() {
    without_redis("redis, which refuses", Gate::refuse).await;
}

#[tokio::test]
async fn a_node_for_which_redis_falls_silent_is_passed_over_and_nobody_misses_anything() {
    without_redis("redis, which falls silent", Gate::fall_silent).await;
}

/// A firewall that has forgotten the connection: Redis answers a new one at once.
#[tokio::test]
async fn a_node_whose_connection_to_redis_is_forgotten_is_passed_over_and_nobody_misses_anything() {
    without_redis("redis, whose connection is forgotten", Gate::forget_connections).await;
}
