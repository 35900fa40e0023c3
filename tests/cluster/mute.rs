//! Nodes that Redis does not permit to publish ticks, without which they cannot hold channels.

use crate::support::*;
use crate::{Audience, CHANNELS, Load, RATE, all_is_well};

/// A user of Redis who may do all that a node alone does, and not publish.
async fn forbid_publishing(cluster: &Cluster) {
    let rule = ["ACL", "SETUSER", "mute", "reset", "on", ">secret", "~*", "&*", "+@all", "-publish"];
    cluster.redis.command(&rule).await;
}

async fn take_the_permission(cluster: &Cluster) {
    cluster.redis.command(&["ACL", "SETUSER", "mute", "-publish"]).await;
}

async fn permit_publishing(cluster: &Cluster) {
    cluster.redis.command(&["ACL", "SETUSER", "mute", "+publish"]).await;
}

fn mute(options: ServerOptions) -> ServerOptions {
    options.env("REDIS_USER", "mute").env("REDIS_PASSWORD", "secret")
}

/// Waits for the line that says it, in plain words and with the rule that would change it.
async fn says_so(node: &Server) {
    let line = node.wait_for_log(|line| line.text.contains("this node cannot publish its ticks")).await;
    for words in ["user mute", "ACL SETUSER mute &timeline:*", "+publish", "REDIS_USER", "timeline:flodgatt:flodgatt"] {
        assert!(line.text.contains(words), "{words}: {}", line.text);
    }
}

#[tokio::test]
async fn a_node_that_may_not_publish_is_passed_over_and_serves_its_clients_until_it_may() {
    let mut cluster = Cluster::start(2).await;
    forbid_publishing(&cluster).await;
    let (added, starting) = cluster.begin_to_add(mute).await;
    cluster.finish_adding(added, starting).await;
    cluster.await_formed().await;
    says_so(cluster.node(added)).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, added]).await;
    // Each channel by the two others, so that none is at risk.
    cluster.await_settled().await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(1.0).await;
    permit_publishing(&cluster).await;
    load.seconds(2.0).await;
    let verdict = load.finish(&cluster, &audience, "a node that may not publish").await;
    all_is_well(&cluster, &verdict).await;
    assert_eq!(cluster.node(added).get("/api/v1/streaming/health").await.text(), "OK");
    let said = cluster.node(added).logs().into_iter().filter(|line| line.text.contains("cannot publish its ticks"));
    assert_eq!(said.count(), 1, "it is said once a minute");
}

#[tokio::test]
async fn the_last_node_that_may_publish_holds_everything_and_the_clients_of_the_other_get_it_too() {
    let mut cluster = Cluster::start(2).await;
    forbid_publishing(&cluster).await;
    let (added, starting) = cluster.begin_to_add(mute).await;
    cluster.finish_adding(added, starting).await;
    cluster.await_formed().await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, added]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(0.5).await;
    cluster.kill(1);
    load.seconds(2.0).await;
    load.finish(&cluster, &audience, "one of two may not publish").await.is_clean();
    let ticks = cluster.tick_channel();
    eventually("everything subscribed by one node, and the ticks by both", || async {
        let found = cluster.subscribers().await;
        found
            .iter()
            .all(|(channel, count)| *count == if *channel == ticks { 2 } else { 1 })
            .then_some(())
            .ok_or(format!("{found:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_node_that_loses_the_permission_gives_its_channels_to_others_without_loss() {
    let mut cluster = Cluster::start(2).await;
    forbid_publishing(&cluster).await;
    permit_publishing(&cluster).await;
    let (added, starting) = cluster.begin_to_add(mute).await;
    cluster.finish_adding(added, starting).await;
    cluster.await_formed().await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, added]).await;
    cluster.await_settled().await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(0.5).await;
    take_the_permission(&cluster).await;
    let node = cluster.node(added);
    node.wait_for_log(|line| line.text.contains("do not come back from redis")).await;
    load.seconds(1.0).await;
    let verdict = load.finish(&cluster, &audience, "a permission that is taken away").await;
    all_is_well(&cluster, &verdict).await;
    says_so(cluster.node(added)).await;
}

#[tokio::test]
async fn a_cluster_in_which_nobody_may_publish_waits_and_says_so_and_works_as_soon_as_it_may() {
    let mut cluster = Cluster::start(2).await;
    forbid_publishing(&cluster).await;
    for index in [0, 1] {
        cluster.stop(index).await;
    }
    let (added, starting) = cluster.begin_to_add(mute).await;
    starting.wait_for_log(|line| line.text.contains("this node cannot publish its ticks")).await;
    assert!(!starting.logs().iter().any(|line| line.message() == "listening"));
    permit_publishing(&cluster).await;
    cluster.finish_adding(added, starting).await;
    take_the_permission(&cluster).await;
    eventually("an unready node", || async {
        let health = cluster.node(added).get("/api/v1/streaming/health").await;
        let text = health.text();
        (health.status == 503 && text.contains("may publish ticks")).then_some(()).ok_or(text)
    })
    .await;
    permit_publishing(&cluster).await;
    eventually("a ready node", || async { cluster.node(added).get("/api/v1/streaming/health").await.status == 200 })
        .await;
}

#[tokio::test]
async fn a_connection_to_redis_that_is_made_anew_is_nothing_to_warn_of() {
    let mut cluster = Cluster::start(2).await;
    forbid_publishing(&cluster).await;
    permit_publishing(&cluster).await;
    let (added, starting) = cluster.begin_to_add(mute).await;
    cluster.finish_adding(added, starting).await;
    cluster.await_formed().await;
    let node = cluster.node(added);
    let returned = || node.metric("flodgatt_relay_tick_seconds_count", &[]);
    let more_return = || async {
        let before = returned().await;
        eventually("more ticks", || async { if returned().await > before { Ok(()) } else { Err(before) } }).await;
    };
    let breaking = async {
        loop {
            cluster.redis.command(&["CLIENT", "KILL", "USER", "mute", "TYPE", "normal"]).await;
            more_return().await;
        }
    };
    let everywhere = [0, 1, added];
    // Each of its channels needs ticks, and often the connection for them is not there.
    let _audience = tokio::select! {
        audience = Audience::gather(&cluster, CHANNELS, &everywhere) => audience,
        () = breaking => unreachable!("it breaks connections for ever"),
    };
    more_return().await;
    let warned = node.logs().into_iter().find(|line| line.text.contains("cannot publish its ticks"));
    assert!(warned.is_none(), "{:?}", warned.map(|line| line.text));
}
