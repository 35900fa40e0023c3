//! Nodes that are set up in ways that do not go together.

use std::time::Duration;

use tokio::time::Instant;

use super::support::{Log, Net, Node, Plan, plan};

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_and_told_why() {
    let (log, _logging) = Log::start();
    let mut other = plan("b");
    other.config.name = "other".parse().unwrap();
    let (a, b) = (Node::start(plan("a")).await, Node::start(other).await);
    a.finds(&[b.address]);
    log.says(&["WARN", "no link to a node", "CLUSTER_NAME", "other"]).await;
    log.says(&["WARN", "CLUSTER_BIND is of no use", "CLUSTER_NAME"]).await;
    a.has_closed("refused", 1).await;
    assert!(a.linked.borrow().is_empty() && b.linked.borrow().is_empty());
}

#[tokio::test]
async fn two_nodes_of_the_same_name_are_told_so() {
    let (log, _logging) = Log::start();
    let mut other = plan("a");
    other.incarnation = 2_000;
    let (a, b) = (Node::start(plan("a")).await, Node::start(other).await);
    a.finds(&[b.address]);
    log.says(&["WARN", "no link to a node", "CLUSTER_NODE_ID"]).await;
    log.says(&["WARN", "CLUSTER_BIND is of no use", "CLUSTER_NODE_ID"]).await;
    assert!(a.linked.borrow().is_empty() && b.linked.borrow().is_empty());
}

#[tokio::test]
async fn a_node_that_claims_the_name_of_a_living_one_is_refused() {
    let (log, _logging) = Log::start();
    let (mut a, b) = (Node::start(plan("a")).await, Node::start(plan("b")).await);
    a.finds(&[b.address]);
    let link = a.link().await;
    a.takes(&link, 1, "timeline:public").await;
    for incarnation in [500, 2_000] {
        let impostor = Node::start(Plan { incarnation, ..plan("a") }).await;
        impostor.finds(&[b.address]);
        log.says(&["WARN", "no link to a node", "CLUSTER_NODE_ID"]).await;
        impostor.has_closed("refused", 1).await;
    }
    b.bus.publish("timeline:public", "still there");
    a.hears(|notice| matches!(notice, super::super::super::message::Notice::Event { .. })).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_process_takes_the_place_of_one_that_fell_silent() {
    let net = Net::default();
    let (old, mut b) = (Node::start(plan("a").on(&net)).await, Node::start(plan("b").on(&net)).await);
    b.finds(&[old.address]);
    b.link().await;
    let since = Instant::now();
    net.loses(old.address);
    // Sooner, it would be refused; later, nothing would be left to replace.
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    let new = Node::start(Plan { incarnation: 2_000, ..plan("a").on(&net) }).await;
    new.finds(&[b.address]);
    assert_eq!(b.link().await.node.as_str(), "a");
    assert!(since.elapsed() < Duration::from_millis(2_500), "{:?}", since.elapsed());
    assert_eq!(b.linked.borrow().values().map(|incarnation| incarnation.0).collect::<Vec<_>>(), [2_000]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_by_the_address_of_another_is_told_of() {
    let (log, _logging) = Log::start();
    let net = Net::default();
    let (mut a, b) = (Node::start(plan("a").on(&net)).await, Node::start(plan("b").on(&net)).await);
    a.finds(&[b.address]);
    a.is_linked_to(&["b"]).await;
    let mut mistaken = plan("c").on(&net);
    mistaken.config.advertise = Some(b.address.into());
    let c = Node::start(mistaken).await;
    c.finds(&[a.address]);
    log.says(&["WARN", "asked for c, b answered (CLUSTER_ADVERTISE of c)", &b.address.to_string()]).await;
    assert!(log.count(&["asked for c, b answered"]) == 1 && !a.linked.borrow().contains_key(&"c".parse().unwrap()));
}
