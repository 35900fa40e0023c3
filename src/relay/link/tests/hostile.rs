//! Nodes that do not keep to the rules, or programs that are no nodes.

use std::time::Duration;

use futures_util::stream::poll_fn;
use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, timeout},
};
use tonic::{Code, Request, Status, Streaming, metadata::MetadataValue};

use super::{
    super::{
        super::message::Notice,
        credential::{CHALLENGE_HEADER, PROOF_HEADER},
        proto::{
            self, EdgeMessage, HolderMessage, edge_message, holder_message, notice, order, relay_client::RelayClient,
        },
        transport::{Requests, Tasks},
    },
    support::{Log, Net, Node, PATIENCE, plan},
};

/// An edge that says what a test wants.
pub(super) struct Edge {
    out: mpsc::Sender<EdgeMessage>,
    holder: Streaming<HolderMessage>,
    _tasks: Tasks,
}

impl Edge {
    /// With these bytes in the header for a challenge; returns also what stands in those of the answer.
    pub(super) async fn challenges(
        stream: impl super::super::Wire,
        challenge: Option<&[u8]>,
    ) -> Result<(Self, [Vec<u8>; 2]), Status> {
        let tasks = Tasks::new();
        let (requests, connection) = tasks.client().handshake(TokioIo::new(stream)).await.unwrap();
        tasks.spawn(async move { drop(connection.await) });
        let (out, mut messages) = mpsc::channel(64);
        let mut request = Request::new(poll_fn(move |cx| messages.poll_recv(cx)));
        if let Some(value) = challenge {
            request.metadata_mut().insert_bin(CHALLENGE_HEADER, MetadataValue::from_bytes(value));
        }
        let origin = hyper::Uri::from_static("http://node");
        let response = RelayClient::with_origin(Requests(requests), origin).link(request).await?;
        let header =
            |name| response.metadata().get_bin(name).map_or_else(Vec::new, |value| value.to_bytes().unwrap().to_vec());
        let said = [CHALLENGE_HEADER, PROOF_HEADER].map(header);
        Ok((Self { out, holder: response.into_inner(), _tasks: tasks }, said))
    }

    pub(super) async fn connect(stream: impl super::super::Wire) -> Result<Self, Status> {
        Self::challenges(stream, None).await.map(|(edge, _)| edge)
    }

    async fn to(node: &Node) -> Self {
        Self::connect(TcpStream::connect(node.address).await.unwrap()).await.unwrap()
    }

    pub(super) async fn says(&self, kind: edge_message::Kind) {
        // Who closes the link may have done so already.
        let _ = self.out.send(EdgeMessage { kind: Some(kind) }).await;
    }

    async fn greets(&mut self) {
        self.says(edge_message::Kind::Greeting(greeting())).await;
        let answer = self.holder.message().await.unwrap().unwrap();
        assert!(matches!(answer.kind, Some(holder_message::Kind::Welcome(_))), "{answer:?}");
    }

    async fn orders(&self, orders: Vec<(u64, order::Kind)>) {
        let orders = orders.into_iter().map(|(ask, kind)| proto::Order { ask, kind: Some(kind) }).collect();
        self.says(edge_message::Kind::Orders(proto::Orders { orders })).await;
    }

    /// Waits until the link is closed; why.
    pub(super) async fn is_closed(&mut self) -> Option<Status> {
        let closed = async {
            loop {
                match self.holder.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(status) => return Some(status),
                }
            }
        };
        timeout(PATIENCE, closed).await.expect("the link is closed")
    }
}

pub(super) fn greeting() -> proto::Greeting {
    let sender = proto::Member { node: "edge".to_owned(), incarnation: 1, address: String::new() };
    let (cluster, version) = ("test".to_owned(), "1".to_owned());
    proto::Greeting { sender: Some(sender), cluster, version, port: 1, members: None, proof: Bytes::new() }
}

fn hold(channel: &str) -> order::Kind {
    order::Kind::Hold(proto::Hold { channel: channel.to_owned() })
}

fn take(from: Option<proto::Position>) -> order::Kind {
    order::Kind::Take(proto::Take { channel: "timeline:public".to_owned(), round: 1, from, strict: false })
}

/// A link on which all is well stays so, whatever happens on others.
struct Bystander {
    node: Node,
}

impl Bystander {
    async fn of(holder: &Node) -> Self {
        let mut node = Node::start(plan("bystander")).await;
        node.finds(&[holder.address]);
        let link = node.link().await;
        node.takes(&link, 1, "timeline:1").await;
        Self { node }
    }

    async fn still_hears(mut self, holder: &Node) {
        holder.bus.publish("timeline:1", "hello");
        let heard = self.node.hears(|notice| matches!(notice, Notice::Event { .. })).await;
        assert_eq!(heard.len(), 1);
    }
}

/// What is said after the greeting closes the link, with this in the reason and in the log.
async fn is_a_fault(kinds: Vec<edge_message::Kind>, reason: &str) {
    let (log, _logging) = Log::start();
    let holder = Node::start(plan("holder")).await;
    let bystander = Bystander::of(&holder).await;
    let mut edge = Edge::to(&holder).await;
    edge.greets().await;
    for kind in kinds {
        edge.says(kind).await;
    }
    let status = edge.is_closed().await.expect("there is a reason");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains(reason), "{status:?}");
    log.says(&["WARN", "node=edge", reason]).await;
    holder.has_closed("protocol", 1).await;
    bystander.still_hears(&holder).await;
}

fn orders(orders: Vec<(u64, order::Kind)>) -> edge_message::Kind {
    let orders = orders.into_iter().map(|(ask, kind)| proto::Order { ask, kind: Some(kind) }).collect();
    edge_message::Kind::Orders(proto::Orders { orders })
}

#[tokio::test]
async fn a_second_greeting_closes_the_link() {
    is_a_fault(vec![edge_message::Kind::Greeting(greeting())], "greeting").await;
}

#[tokio::test]
async fn an_order_for_something_that_is_no_channel_for_events_closes_the_link() {
    is_a_fault(vec![orders(vec![(1, hold("__keyspace@0__:*"))])], "order.hold.channel").await;
    is_a_fault(vec![orders(vec![(1, hold("timeline:flodgatt:test"))])], "order.hold.channel").await;
    is_a_fault(vec![orders(vec![(1, hold(""))])], "order.hold.channel").await;
}

#[tokio::test]
async fn a_position_without_a_tick_closes_the_link() {
    let position = proto::Position { tick: None, count: 1, check: None };
    is_a_fault(vec![orders(vec![(1, take(Some(position)))])], "order.take.from.tick").await;
}

#[tokio::test]
async fn too_many_orders_in_a_message_close_the_link() {
    is_a_fault(vec![orders((0..10_001).map(|ask| (ask, hold("timeline:1"))).collect())], "too many entries").await;
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_the_link() {
    let large = "x".repeat(5 * 1024 * 1024);
    is_a_fault(vec![orders(vec![(1, hold(&format!("timeline:{large}")))])], "too large").await;
}

#[tokio::test]
async fn an_ask_that_is_open_for_another_channel_closes_the_link() {
    let again = vec![(1, hold("timeline:1")), (1, hold("timeline:1")), (1, hold("timeline:2"))];
    is_a_fault(vec![orders(again)], "is open for another channel").await;
}

#[tokio::test]
async fn too_many_bytes_of_names_close_the_link() {
    let long = "x".repeat(2 * 1024 * 1024 - 100);
    let name = |ask| format!("timeline:hashtag:{ask}{long}");
    is_a_fault((0..10).map(|ask| orders(vec![(ask, hold(&name(ask)))])).collect(), "too many long names").await;
}

#[tokio::test]
async fn orders_before_the_greeting_close_the_connection() {
    let (log, _logging) = Log::start();
    let holder = Node::start(plan("holder")).await;
    let mut edge = Edge::to(&holder).await;
    edge.orders(vec![(1, hold("timeline:public"))]).await;
    assert_eq!(edge.is_closed().await.expect("there is a reason").code(), Code::InvalidArgument);
    log.says(&["WARN", "before the greeting"]).await;
}

#[tokio::test]
async fn a_greeting_that_makes_no_sense_closes_the_connection() {
    let holder = Node::start(plan("holder")).await;
    let bystander = Bystander::of(&holder).await;
    let member = |node: &str, address: &str| proto::Member {
        node: node.to_owned(),
        incarnation: 1,
        address: address.to_owned(),
    };
    let members = |member| Some(proto::Members { members: vec![member] });
    for (greeting, reason) in [
        (proto::Greeting { sender: None, ..greeting() }, "greeting.sender"),
        (proto::Greeting { sender: Some(member("", "")), ..greeting() }, "member.node"),
        (proto::Greeting { sender: Some(member("a b", "")), ..greeting() }, "member.node"),
        (
            proto::Greeting { sender: Some(proto::Member { incarnation: 0, ..member("a", "") }), ..greeting() },
            "member.incarnation",
        ),
        (proto::Greeting { sender: Some(member("a", "nowhere")), ..greeting() }, "member.address"),
        (proto::Greeting { members: members(member("a", "nowhere")), ..greeting() }, "member.address"),
        (proto::Greeting { port: 70_000, ..greeting() }, "greeting.port"),
        (proto::Greeting { cluster: "x".repeat(1_000), ..greeting() }, "greeting.cluster"),
        (proto::Greeting { cluster: "x".repeat(100_000), ..greeting() }, "too large"),
    ] {
        let mut edge = Edge::to(&holder).await;
        edge.says(edge_message::Kind::Greeting(greeting)).await;
        let status = edge.is_closed().await.expect("there is a reason");
        assert!(status.message().contains(reason), "{status:?} is not about {reason}");
    }
    bystander.still_hears(&holder).await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_greet_is_dropped_after_five_seconds() {
    let net = Net::default();
    let holder = Node::start(plan("holder").on(&net)).await;
    let since = Instant::now();
    let mut edge = Edge::connect(net.connect(holder.address).await.unwrap()).await.unwrap();
    edge.is_closed().await;
    assert!((4..7).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
}

#[tokio::test]
async fn what_is_no_http_2_is_dropped() {
    let holder = Node::start(plan("holder")).await;
    let bystander = Bystander::of(&holder).await;
    for rubbish in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\0\0\0\0\0\0",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish that is no frame",
    ] {
        let mut stream = TcpStream::connect(holder.address).await.unwrap();
        stream.write_all(rubbish.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let reading = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
        let _ = timeout(PATIENCE, reading).await.expect("the connection is closed");
    }
    bystander.still_hears(&holder).await;
}

#[tokio::test]
async fn an_edge_that_never_reads_loses_its_link_and_nobody_else_does() {
    let (log, _logging) = Log::start();
    let holder = Node::start(plan("holder")).await;
    let bystander = Bystander::of(&holder).await;
    let mut edge = Edge::to(&holder).await;
    edge.greets().await;
    edge.orders(vec![(1, take(None))]).await;
    while !matches!(
        edge.holder.message().await.unwrap().unwrap().kind,
        Some(holder_message::Kind::Notices(notices))
            if notices.notices.iter().any(|one| matches!(one.kind, Some(notice::Kind::Taken(_))))
    ) {}
    let large = "x".repeat(1024 * 1024);
    for _ in 0..64 {
        holder.bus.publish("timeline:public", &large);
        tokio::task::yield_now().await;
    }
    holder.has_closed("too_slow", 1).await;
    log.says(&["WARN", "node=edge", "does not take events"]).await;
    bystander.still_hears(&holder).await;
}

#[tokio::test]
async fn kinds_of_messages_from_a_newer_version_are_skipped() {
    let holder = Node::start(plan("holder")).await;
    let mut edge = Edge::to(&holder).await;
    edge.out.send(EdgeMessage { kind: None }).await.unwrap();
    edge.greets().await;
    edge.out.send(EdgeMessage { kind: None }).await.unwrap();
    edge.says(edge_message::Kind::Orders(proto::Orders {
        orders: vec![proto::Order { ask: 1, kind: None }, proto::Order { ask: 2, kind: Some(hold("timeline:public")) }],
    }))
    .await;
    let is_held = |message: HolderMessage| match message.kind {
        Some(holder_message::Kind::Notices(notices)) => {
            notices.notices.iter().any(|one| matches!(&one.kind, Some(notice::Kind::Held(held)) if held.ask == 2))
        }
        _ => false,
    };
    while !is_held(edge.holder.message().await.unwrap().unwrap()) {}
}

#[tokio::test]
async fn connections_that_have_not_greeted_do_not_delay_a_stop() {
    let (log, _logging) = Log::start();
    let holder = Node::start(plan("holder")).await;
    let _silent = TcpStream::connect(holder.address).await.unwrap();
    let mut other = TcpStream::connect(holder.address).await.unwrap();
    other.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // It was taken in when it is answered, and so was the first one.
    other.read_exact(&mut [0; 9]).await.unwrap();
    holder.lifecycle.stop();
    let since = Instant::now();
    assert!(holder.lifecycle.ended(PATIENCE).await);
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(log.count(&["no greeting"]), 0);
}

#[tokio::test]
async fn who_says_much_before_the_greeting_is_cut_off() {
    let holder = Node::start(plan("holder")).await;
    let mut edge = Edge::to(&holder).await;
    edge.orders(vec![(1, hold(&format!("timeline:{}", "x".repeat(1024 * 1024))))]).await;
    // It is not told that it should greet first: nobody has read so much.
    let status = edge.is_closed().await.expect("the connection is lost");
    assert!(!status.message().contains("before the greeting"), "{status:?}");
    let mut other = Edge::to(&holder).await;
    other.greets().await;
}

/// Who bears a node's name without being it cannot keep it out with links of its own.
#[tokio::test]
async fn of_too_many_links_of_one_node_the_oldest_ends() {
    let holder = Node::start(plan("holder")).await;
    let mut oldest = Edge::to(&holder).await;
    oldest.greets().await;
    let mut others = Vec::new();
    for _ in 0..8 {
        let mut edge = Edge::to(&holder).await;
        edge.greets().await;
        others.push(edge);
    }
    oldest.is_closed().await;
    holder.has_closed("lost", 1).await;
}

#[tokio::test]
async fn an_edge_that_is_too_slow_is_told_so() {
    let holder = Node::start(plan("holder")).await;
    let mut edge = Node::start(plan("edge")).await;
    edge.finds(&[holder.address]);
    let link = edge.link().await;
    edge.takes(&link, 1, "timeline:public").await;
    let large = "x".repeat(1024 * 1024);
    // More than fits into the mailbox, which nobody reads, and the outlet.
    for _ in 0..200 {
        holder.bus.publish("timeline:public", &large);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    holder.has_closed("too_slow", 1).await;
    edge.closed().await;
    edge.has_closed("too_slow", 1).await;
}

#[tokio::test]
async fn a_holder_learns_of_others_from_a_greeting() {
    let (mut holder, other) = (Node::start(plan("holder")).await, Node::start(plan("other")).await);
    let edge = Edge::to(&holder).await;
    let member = proto::Member { node: "other".to_owned(), incarnation: 1_000, address: other.address.to_string() };
    let members = Some(proto::Members { members: vec![member] });
    edge.says(edge_message::Kind::Greeting(proto::Greeting { members, ..greeting() })).await;
    holder.is_linked_to(&["other"]).await;
}
