//! What is said of nodes that come and go.

use crate::support::*;
use crate::{Audience, CHANNELS};

/// Of whom a node has said that they have joined or left, with who is there then.
fn said(cluster: &Cluster, at: usize, message: &str) -> Vec<(String, String)> {
    let text = |line: &LogLine, field: &str| line.field(field).as_str().unwrap_or_default().to_owned();
    let logs = cluster.node(at).logs().into_iter();
    let lines = logs.filter(|line| line.message() == message && line.target().contains("::edge"));
    lines.map(|line| (text(&line, "node"), text(&line, "nodes"))).collect()
}

async fn await_said(cluster: &Cluster, at: usize, message: &str, lines: usize) -> Vec<(String, String)> {
    eventually(format!("{lines} times {message:?}"), || async {
        let said = said(cluster, at, message);
        if said.len() >= lines { Ok(said) } else { Err(format!("{said:?}")) }
    })
    .await
}

#[tokio::test]
async fn each_node_that_joins_or_leaves_is_told_once_and_a_restart_of_redis_is_no_such_thing() {
    let cluster = Cluster::start(3).await;
    let all = "node-0, node-1, node-2";
    for at in 0..3 {
        let joined = await_said(&cluster, at, "a node has joined", 2).await;
        let mut names: Vec<&str> = joined.iter().map(|(node, _)| node.as_str()).collect();
        names.sort_unstable();
        let others: Vec<String> = cluster.others(&[at]).iter().map(|other| format!("node-{other}")).collect();
        assert_eq!((names, joined.last().unwrap().1.as_str()), (others.iter().map(String::as_str).collect(), all));
    }
    let audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
    cluster.redis.restart().await;
    for at in 0..3 {
        cluster.node(at).wait_for_metric("flodgatt_upstream_reconnects_total", &[], 1.0).await;
    }
    audience.sync(&cluster).await;
    cluster.await_settled().await;
    cluster.kill(2);
    for at in 0..2 {
        let left = await_said(&cluster, at, "a node has left", 1).await;
        assert_eq!(left, [("node-2".to_owned(), "node-0, node-1".to_owned())]);
        assert_eq!(said(&cluster, at, "a node has joined").len(), 2);
    }
}

#[tokio::test]
async fn a_node_whose_port_is_taken_ends_before_others_hear_of_it() {
    let mut cluster = Cluster::start(2).await;
    let Address::Tcp(taken) = cluster.node(0).address().clone() else { panic!("a port") };
    let port = taken.to_string().rsplit(':').next().unwrap().to_owned();
    let (_, third) = cluster.begin_to_add(|options| options.env("PORT", port)).await;
    third.wait_for_log(|line| line.is_error_output && line.text.contains("BIND, PORT")).await;
    assert!(!third.finish().await.status.success());
    for at in 0..2 {
        let heard = cluster.node(at).logs().into_iter().find(|line| line.text.contains("node-2"));
        assert!(heard.is_none(), "{heard:?}");
    }
    cluster.await_formed().await;
}
