//! A node that was told to stop, while others take over what it holds.

use rustix::process::Signal;

use crate::support::*;
use crate::{Audience, CHANNELS};

#[tokio::test]
async fn a_node_that_hands_over_is_unready_at_once_and_serves_its_sessions_meanwhile() {
    let cluster = Cluster::start(2).await;
    let person = cluster.database.person("bob").await;
    let mut client = Ws::open(cluster.node(0), "/api/v1/streaming?stream=user", &person.token).await;
    let channel = format!("timeline:{}", person.account_id);
    // What the other node's clients watch has to be handed over; that node does not hear of it now.
    let _audience = Audience::gather(&cluster, CHANNELS, &[1]).await;
    cluster.redis.wait_for_subscribers(&channel, 2).await;
    cluster.way(1, 0).fall_half_silent(false);
    let node = cluster.node(0);
    node.signal(Signal::TERM);
    let health = eventually("an unready node", || async {
        let health = node.get("/api/v1/streaming/health").await;
        (health.status == 503).then(|| health.text()).ok_or(health.status)
    })
    .await;
    assert_eq!(health, "this server is about to stop");
    cluster.redis.publish(&channel, event("delete", "123")).await;
    assert!(client.next_text().await.contains("123"));
    assert!(node.is_running());
    // It is not waited for when it does not answer.
    assert!(node.exited().await.success());
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(1012));
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_twice_ends_without_a_false_alarm() {
    let cluster = Cluster::start(2).await;
    let _audience = Audience::gather(&cluster, CHANNELS, &[1]).await;
    // It would wait for this.
    cluster.way(1, 0).fall_half_silent(false);
    let node = cluster.node(0);
    node.signal(Signal::TERM);
    eventually("a node that stops", || async { node.logs().into_iter().find(|line| line.text.contains("stopping")) })
        .await;
    node.signal(Signal::TERM);
    assert!(!node.exited().await.success());
    let logs = node.logs();
    assert!(logs.iter().any(|line| line.text.contains("told to stop twice")));
    let alarm = logs.iter().find(|line| line.text.contains("ERROR") || line.text.contains("link to a node lost"));
    assert!(alarm.is_none(), "{}", alarm.map_or("", |line| &line.text));
}
