//! Nodes die, by SIGKILL: their clients are gone, everybody else gets everything once and in order.

use std::time::Duration;

use crate::support::*;
use crate::{Audience, CHANNELS, Load, RATE, all_is_well, runs};

/// How much later than before the first event may be that comes from the standby.
const PATIENCE: Duration = Duration::from_secs(1);

/// A moment within a second from now on.
async fn some_moment(load: &Load) {
    load.further(fastrand::usize(1..RATE)).await;
}

/// A random node of three dies at a random moment; the clients are at the others.
#[tokio::test]
async fn the_death_of_an_owner_loses_doubles_and_swaps_nothing() {
    for run in 1..=runs() {
        let cluster = Cluster::start(3).await;
        let victim = cluster.random_node();
        let edges = cluster.others(&[victim]);
        let mut audience = Audience::gather(&cluster, CHANNELS, &edges).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        some_moment(&load).await;
        load.newcomers(&cluster, &mut audience, &edges).await;
        let killed = load.now();
        cluster.kill(victim);
        load.note(&format!("node {victim} is dead"));
        load.seconds(4.0).await;
        let end = load.now();
        let verdict = load.finish(&cluster, &audience, &format!("kill -9, run {run}")).await;
        all_is_well(&cluster, &verdict).await;
        let all = verdict.everywhere();
        // What is published a moment before is already on its way late.
        let (before, after) =
            (all.longest_in(Duration::ZERO..killed - PATIENCE), all.longest_in(killed - PATIENCE..end));
        println!("  longest pause before {before:?}, then {after:?}");
        assert!(after < before + PATIENCE, "{verdict}");
    }
}

#[tokio::test]
async fn a_death_within_a_second_of_a_join_loses_nothing() {
    for run in 1..=runs() {
        let mut cluster = Cluster::start(3).await;
        let victim = cluster.random_node();
        let mut audience = Audience::gather(&cluster, CHANNELS, &cluster.others(&[victim])).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        load.newcomers(&cluster, &mut audience, &cluster.others(&[victim])).await;
        some_moment(&load).await;
        let (added, starting) = cluster.begin_to_add(|options| options).await;
        load.note(&format!("node {added} starts"));
        let observer = audience_node(&cluster, victim);
        cluster.node(observer).wait_for_metric("flodgatt_cluster_nodes", &[], 4.0).await;
        load.note(&format!("node {added} has joined"));
        some_moment(&load).await;
        cluster.kill(victim);
        load.note(&format!("node {victim} is dead"));
        cluster.finish_adding(added, starting).await;
        load.seconds(4.0).await;
        let verdict = load.finish(&cluster, &audience, &format!("join and kill -9, run {run}")).await;
        all_is_well(&cluster, &verdict).await;
    }
}

/// A node at which there are clients.
fn audience_node(cluster: &Cluster, victim: usize) -> usize {
    cluster.others(&[victim])[0]
}

#[tokio::test]
async fn the_death_of_a_node_within_a_second_of_its_own_join_loses_nothing() {
    for run in 1..=runs() {
        let mut cluster = Cluster::start(3).await;
        let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        load.newcomers(&cluster, &mut audience, &[0, 1, 2]).await;
        some_moment(&load).await;
        let added = cluster.add().await;
        load.note(&format!("node {added} answers"));
        some_moment(&load).await;
        cluster.kill(added);
        load.note(&format!("node {added} is dead"));
        load.seconds(4.0).await;
        let verdict = load.finish(&cluster, &audience, &format!("join and its kill -9, run {run}")).await;
        all_is_well(&cluster, &verdict).await;
    }
}

#[tokio::test]
async fn two_deaths_five_seconds_apart_lose_nothing() {
    for run in 1..=runs() {
        let cluster = Cluster::start(4).await;
        let first = cluster.random_node();
        let second = (first + fastrand::usize(1..4)) % 4;
        let edges = cluster.others(&[first, second]);
        let mut audience = Audience::gather(&cluster, CHANNELS, &edges).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        some_moment(&load).await;
        load.newcomers(&cluster, &mut audience, &edges).await;
        cluster.kill(first);
        load.note(&format!("node {first} is dead"));
        load.seconds(5.0).await;
        cluster.kill(second);
        load.note(&format!("node {second} is dead"));
        load.seconds(4.0).await;
        let verdict = load.finish(&cluster, &audience, &format!("two kill -9, run {run}")).await;
        all_is_well(&cluster, &verdict).await;
    }
}

/// The standby of a part of the victim's channels loses its connection to Redis; what is published after that, and before
/// a third node has confirmed, only the victim has.
#[tokio::test]
async fn a_standby_cut_off_from_redis_just_before_the_death_loses_nothing_unsaid() {
    for run in 1..=runs() {
        let cluster = Cluster::start(3).await;
        let victim = cluster.random_node();
        let cut = (victim + fastrand::usize(1..3)) % 3;
        let edges = cluster.others(&[victim]);
        let mut audience = Audience::gather(&cluster, CHANNELS, &edges).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        load.newcomers(&cluster, &mut audience, &edges).await;
        cluster.way_to_redis(cut).cut();
        load.note(&format!("node {cut} lost redis"));
        load.further(fastrand::usize(1..50)).await;
        cluster.kill(victim);
        load.note(&format!("node {victim} is dead"));
        load.seconds(5.0).await;
        let what = format!("standby cut off just before kill -9, run {run}");
        let verdict = load.finish(&cluster, &audience, &what).await;
        cluster.await_formed().await;
        cluster.await_settled().await;
        for edge in edges {
            let (found, gaps) = (verdict.at(&[edge]), cluster.gaps(edge).await);
            println!("  node {edge}: {} lost, {gaps} gaps counted", found.lost.len());
            assert!(found.is_honest(), "{verdict}{}", found.examples());
            assert!(found.lost.is_empty() || gaps > 0.0, "node {edge} knows of no gap: {verdict}");
            assert!(found.lost_span() < Duration::from_secs(2), "{verdict}");
        }
        cluster.finds_no_mismatch().await;
        cluster.nobody_panicked();
    }
}

#[tokio::test]
async fn a_standby_that_came_back_to_redis_before_the_death_loses_nothing() {
    for run in 1..=runs() {
        let cluster = Cluster::start(3).await;
        let victim = cluster.random_node();
        let cut = (victim + fastrand::usize(1..3)) % 3;
        let edges = cluster.others(&[victim]);
        let mut audience = Audience::gather(&cluster, CHANNELS, &edges).await;
        let load = Load::begin(&cluster, &mut audience, RATE);
        load.newcomers(&cluster, &mut audience, &edges).await;
        cluster.way_to_redis(cut).cut();
        load.note(&format!("node {cut} lost redis"));
        cluster.node(cut).wait_for_metric("flodgatt_upstream_reconnects_total", &[], 1.0).await;
        // Nodes tell each other of it, and tick once more.
        load.seconds(2.0).await;
        cluster.await_settled().await;
        cluster.kill(victim);
        load.note(&format!("node {victim} is dead"));
        load.seconds(4.0).await;
        let what = format!("standby back before kill -9, run {run}");
        let verdict = load.finish(&cluster, &audience, &what).await;
        all_is_well(&cluster, &verdict).await;
    }
}
