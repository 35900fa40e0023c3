//! Links of nodes that mean well.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::{
    super::super::{
        door::Letter,
        message::{LARGEST_EVENT, Notice, Order},
    },
    support::{Log, Net, Node, plan, until},
};
use crate::domain::Channel;

#[tokio::test]
async fn a_node_that_is_found_is_linked_in_both_directions() {
    let (mut a, mut b) = (Node::start(plan("a")).await, Node::start(plan("b")).await);
    a.finds(&[b.address]);
    assert_eq!(a.link().await.node.as_str(), "b");
    assert_eq!(b.link().await.node.as_str(), "a");
    a.is_linked_to(&["b"]).await;
    b.is_linked_to(&["a"]).await;
}

#[tokio::test]
async fn nodes_learn_of_each_other_from_a_third() {
    let (mut a, mut b, mut c) =
        (Node::start(plan("a")).await, Node::start(plan("b")).await, Node::start(plan("c")).await);
    a.finds(&[b.address]);
    a.is_linked_to(&["b"]).await;
    c.finds(&[b.address]);
    a.is_linked_to(&["b", "c"]).await;
    b.is_linked_to(&["a", "c"]).await;
    c.is_linked_to(&["a", "b"]).await;
}

#[tokio::test]
async fn what_is_taken_arrives_in_order() {
    let (mut a, b) = (Node::start(plan("a")).await, Node::start(plan("b")).await);
    a.finds(&[b.address]);
    let link = a.link().await;
    a.takes(&link, 7, "timeline:public").await;
    for number in 0..2_000 {
        b.bus.publish("timeline:public", &number.to_string());
    }
    let last = |notice: &Notice| matches!(notice, Notice::Event { message, .. } if &**message == "1999");
    let heard = a.hears(last).await;
    let event = |number: u32| Notice::Event { ask: 7, age: Duration::ZERO, message: number.to_string().into() };
    assert_eq!(heard, (0..2_000).map(event).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_much_larger_than_a_batch_arrives() {
    let (mut a, b) = (Node::start(plan("a")).await, Node::start(plan("b")).await);
    a.finds(&[b.address]);
    let link = a.link().await;
    a.takes(&link, 1, "timeline:public").await;
    let large = "x".repeat(31 * 1024 * 1024);
    b.bus.publish("timeline:public", &large);
    let heard = a.hears(|notice| matches!(notice, Notice::Event { .. })).await;
    assert!(matches!(&heard[..], [Notice::Event { message, .. }] if **message == *large));
}

#[tokio::test]
async fn an_event_too_large_for_a_link_is_missing_in_its_place_and_does_not_harm_the_link() {
    let (mut a, b) = (Node::start(plan("a")).await, Node::start(plan("b")).await);
    a.finds(&[b.address]);
    let link = a.link().await;
    a.takes(&link, 1, "timeline:public").await;
    let largest = "x".repeat(LARGEST_EVENT);
    for message in [&largest, &format!("{largest}x"), "", "last"] {
        b.bus.publish("timeline:public", message);
    }
    let heard = a.hears(|notice| matches!(notice, Notice::Event { message, .. } if &**message == "last")).await;
    let lengths: Vec<_> = heard
        .iter()
        .map(|notice| if let Notice::Event { message, .. } = notice { message.len() } else { usize::MAX })
        .collect();
    assert_eq!(lengths, [LARGEST_EVENT, 0, 1, 4]);
}

#[tokio::test]
async fn many_channels_with_long_names_are_asked_for_in_several_messages() {
    let (mut a, b) = (Node::start(plan("a")).await, Node::start(plan("b")).await);
    a.finds(&[b.address]);
    let link = a.link().await;
    // Together more than a message may have.
    for ask in 0..100 {
        let name = format!("timeline:hashtag:{ask}{}", "x".repeat(100_000));
        link.orders.put(ask, Order::Hold(Channel::named(&name)));
    }
    let mut held = 0;
    while held < 100 {
        let heard = a.hears(|notice| matches!(notice, Notice::Held { .. })).await;
        held += heard.len();
    }
}

#[tokio::test]
async fn a_channel_that_cannot_be_asked_for_does_not_harm_the_link() {
    let (log, _logging) = Log::start();
    let (mut a, b) = (Node::start(plan("a")).await, Node::start(plan("b")).await);
    a.finds(&[b.address]);
    let link = a.link().await;
    for (ask, name) in
        ["timeline:flodgatt:test", "elsewhere", &format!("timeline:{}", "x".repeat(3 << 20))].into_iter().enumerate()
    {
        link.orders.put(ask as u64, Order::Hold(Channel::named(name)));
    }
    a.takes(&link, 9, "timeline:public").await;
    log.says(&["WARN", "cannot be asked for"]).await;
}

#[tokio::test]
async fn clients_that_ask_for_too_many_long_names_do_not_harm_the_link() {
    let (log, _logging) = Log::start();
    let (mut a, b) = (Node::start(plan("a")).await, Node::start(plan("b")).await);
    a.finds(&[b.address]);
    let link = a.link().await;
    let long = "x".repeat(2 * 1024 * 1024 - 100);
    for ask in 0..10 {
        link.orders.put(ask, Order::Hold(Channel::named(&format!("timeline:hashtag:{ask}{long}"))));
    }
    a.takes(&link, 1_000, "timeline:public").await;
    log.says(&["WARN", "cannot be asked for", "too many long names"]).await;
    assert_eq!(log.count(&["link to a node lost"]), 0);
}

#[tokio::test]
async fn a_link_that_is_lost_is_made_again() {
    let (mut a, b) = (Node::start(plan("a")).await, Node::start(plan("b")).await);
    let address = b.address;
    a.finds(&[address]);
    a.link().await;
    drop(b);
    a.closed().await;
    let mut again = plan("b");
    again.config.bind = address.to_string().parse().unwrap();
    again.incarnation = 2_000;
    until(|| std::net::TcpListener::bind(address).is_ok()).await;
    let mut b = Node::start(again).await;
    assert_eq!(a.link().await.node.as_str(), "b");
    b.is_linked_to(&["a"]).await;
}

#[tokio::test]
async fn a_node_leaves_its_own_address_alone() {
    let (log, _logging) = Log::start();
    let net = Net::default();
    let mut a = Node::start(plan("a").on(&net)).await;
    let b = Node::start(plan("b").on(&net)).await;
    a.finds(&[a.address, b.address]);
    a.is_linked_to(&["b"]).await;
    log.says(&["the address of this node itself"]).await;
    assert_eq!(log.count(&["WARN"]), 0);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_left_alone_is_looked_at_again_when_discovery_finds_something_else() {
    let (log, _logging) = Log::start();
    let net = Net::default();
    let a = Node::start(plan("a").on(&net)).await;
    a.finds(&[a.address]);
    log.says(&["the address of this node itself"]).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(net.connections.load(Ordering::SeqCst), 1);
    a.finds(&[a.address, ([10, 0, 0, 99], 1).into()]);
    until(|| log.count(&["the address of this node itself"]) == 2).await;
}

/// Something in between may lead elsewhere by then.
#[tokio::test(start_paused = true)]
async fn an_address_that_led_back_to_this_node_is_looked_at_again_after_a_minute_or_so() {
    let (log, _logging) = Log::start();
    let net = Net::default();
    let a = Node::start(plan("a").on(&net)).await;
    a.finds(&[a.address]);
    log.says(&["the address of this node itself"]).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert!((2..=7).contains(&net.connections.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn several_addresses_of_a_node_make_one_link() {
    let (log, _logging) = Log::start();
    let mut everywhere = plan("b");
    everywhere.config.bind = "0.0.0.0:0".parse().unwrap();
    let (mut a, b) = (Node::start(plan("a")).await, Node::start(everywhere).await);
    let at = |ip: [u8; 4]| (ip, b.address.port()).into();
    a.finds(&[at([127, 0, 0, 1]), at([127, 0, 0, 2])]);
    a.link().await;
    log.says(&["another address of a node"]).await;
    a.is_linked_to(&["b"]).await;
    assert_eq!(log.count(&["linked to a node", "node=b"]), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_is_lost_within_four_seconds() {
    let net = Net::default();
    let (mut a, b) = (Node::start(plan("a").on(&net)).await, Node::start(plan("b").on(&net)).await);
    a.finds(&[b.address]);
    let link = a.link().await;
    a.takes(&link, 1, "timeline:public").await;
    net.goes_silent(true);
    let since = Instant::now();
    a.closed().await;
    let took = since.elapsed();
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
    net.goes_silent(false);
    a.link().await;
}

#[tokio::test(start_paused = true)]
async fn a_listed_address_where_nobody_answers_is_tried_for_ever_and_told_once_a_minute_whatever_is_wrong() {
    let (log, _logging) = Log::start();
    let net = Net::default();
    let a = Node::start(plan("a").on(&net)).await;
    a.finds(&[([10, 0, 0, 99], 4_500).into()]);
    for second in 0..200 {
        // Refused at one time, without an answer at another.
        net.goes_silent(second / 10 % 2 == 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(log.count(&["no node answers", "10.0.0.99:4500"]), 4);
    let tried = net.connections.load(Ordering::SeqCst);
    assert!((50..150).contains(&tried), "{tried} times");
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_that_was_only_told_of_is_forgotten_after_a_minute() {
    let net = Net::default();
    let mut a = Node::start(plan("a").on(&net)).await;
    let mut b = Node::start(plan("b").on(&net)).await;
    let c = Node::start(plan("c").on(&net)).await;
    a.finds(&[b.address]);
    c.finds(&[b.address]);
    a.is_linked_to(&["b", "c"]).await;
    b.is_linked_to(&["a", "c"]).await;
    drop(c);
    a.is_linked_to(&["b"]).await;
    let tried = || net.connections.load(Ordering::SeqCst);
    let lost = tried();
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(tried() > lost + 20, "it may come back");
    let forgotten = tried();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(tried(), forgotten);
}

#[tokio::test(start_paused = true)]
async fn a_link_without_events_stays() {
    let net = Net::default();
    let (mut a, b) = (Node::start(plan("a").on(&net)).await, Node::start(plan("b").on(&net)).await);
    a.finds(&[b.address]);
    a.link().await;
    let until = Instant::now() + Duration::from_secs(120);
    while Instant::now() < until {
        assert!(matches!(a.letter().await, Letter::Notices { .. }));
    }
}

#[tokio::test]
async fn a_node_that_stops_ends_its_links_at_once() {
    let (mut a, b) = (Node::start(plan("a")).await, Node::start(plan("b")).await);
    a.finds(&[b.address]);
    a.link().await;
    b.lifecycle.stop();
    a.closed().await;
    assert!(b.lifecycle.ended(super::support::PATIENCE).await);
    assert!(!b.lifecycle.has_failed());
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_the_variable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string().parse().unwrap();
    let error = super::super::Listener::bind(&address).await.unwrap_err().to_string();
    assert!(error.contains("CLUSTER_BIND") && error.contains("another process"), "{error}");
}
