//! The demo as a cluster: its nodes are killed, stopped and added while clients count what comes.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::Value;

use crate::Demo;
use crate::support::http::{Response, request};
use crate::support::*;

/// A demo with several nodes.
struct Cluster {
    demo: Demo,
    token: String,
}

impl Cluster {
    async fn start(nodes: usize) -> Self {
        let demo = Demo::start(&["--port", "0", "--nodes", &nodes.to_string()]);
        let (_, token) = demo.address_and_token().await;
        let cluster = Self { demo, token };
        cluster.address(&format!("node-{nodes}")).await;
        cluster
    }

    /// Where a node that was there from the start takes clients, as the demo printed it.
    async fn address(&self, node: &str) -> Address {
        let start = format!("  {node} at ");
        Address::parse(&self.demo.prints(node, |line| Some(line.strip_prefix(&start)?.to_owned())).await)
    }
}

async fn view(asked: &Address) -> Value {
    http::get(asked, "/demo/nodes").await.json()
}

/// What a node says of another, or of itself.
async fn node(asked: &Address, name: &str) -> Value {
    let view = view(asked).await;
    let found = view["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {view}")).clone()
}

async fn change(asked: &Address, method: &str, path: &str) -> Response {
    request(asked, method, &format!("/demo/nodes{path}"), &[], b"").await
}

async fn kill(asked: &Address, name: &str) {
    assert_eq!(change(asked, "DELETE", &format!("/{name}")).await.status, 200);
    assert_eq!(node(asked, name).await["state"], "killed");
}

/// Adds a node and returns its name and where it takes clients.
async fn add(asked: &Address) -> (String, Address) {
    let added = change(asked, "POST", "").await;
    assert_eq!(added.status, 201, "{added:?}");
    let name = added.json()["name"].as_str().unwrap().to_owned();
    let port = node(asked, &name).await["port"].as_u64().unwrap();
    (name, Address::parse(&format!("127.0.0.1:{port}")))
}

/// A client that takes the numbered events of all channels that have any.
struct Counter {
    ws: Ws,
    /// The last number of each list.
    last: BTreeMap<String, u64>,
    lists: usize,
}

impl Counter {
    async fn open(address: &Address, token: &str) -> Self {
        let lists = view(address).await["numbers"]["lists"].as_array().unwrap().clone();
        let mut ws = Ws::open(address, "/api/v1/streaming", token).await;
        for list in &lists {
            ws.send_json(serde_json::json!({ "type": "subscribe", "stream": "list", "list": list })).await;
        }
        let mut counter = Self { ws, last: BTreeMap::new(), lists: lists.len() };
        while counter.last.len() < counter.lists {
            counter.take().await;
        }
        counter
    }

    /// Takes an event, which must be the one after the last of its channel.
    async fn take(&mut self) {
        let event = self.ws.next_event().await;
        let (list, number) = (event.stream[1].as_str().unwrap().to_owned(), event.json()["number"].as_u64().unwrap());
        if let Some(before) = self.last.insert(list.clone(), number) {
            assert_eq!(number, before + 1, "on list {list}");
        }
    }

    /// Takes so many events on each channel.
    async fn take_of_each(&mut self, events: u64) {
        let aims: BTreeMap<String, u64> = self.last.iter().map(|(list, last)| (list.clone(), last + events)).collect();
        while self.last.iter().any(|(list, last)| last < &aims[list]) {
            self.take().await;
        }
    }
}

#[tokio::test]
async fn a_client_gets_every_event_once_while_other_nodes_are_killed_and_added() {
    let cluster = Cluster::start(3).await;
    let address = cluster.address("node-3").await;
    let mut counter = Counter::open(&address, &cluster.token).await;
    counter.take_of_each(3).await;
    for victim in ["node-1", "node-2"] {
        let owned = node(&address, victim).await["owned"].as_u64().unwrap();
        assert!(owned > 0, "the death of {victim} would show nothing");
        kill(&address, victim).await;
        counter.take_of_each(5).await;
        let (name, _) = add(&address).await;
        eventually("channels of the new node", || async {
            node(&address, &name).await["owned"].as_u64().filter(|owned| *owned > 0)
        })
        .await;
        counter.take_of_each(5).await;
    }
    // They know each other without having been told of at their start.
    let both: Vec<Value> = [node(&address, "node-4").await, node(&address, "node-5").await].into();
    let shares: f64 = both.iter().map(|node| node["share"].as_f64().unwrap()).sum();
    assert!((0.5..0.8).contains(&shares), "{both:?}");
    cluster.demo.process.signal(Signal::TERM);
    assert!(cluster.demo.process.exited().await.success());
}

#[tokio::test]
async fn a_client_gets_every_event_once_while_other_nodes_hand_over_and_stop() {
    let cluster = Cluster::start(3).await;
    let address = cluster.address("node-3").await;
    let mut counter = Counter::open(&address, &cluster.token).await;
    for name in ["node-1", "node-2"] {
        let path = format!("/{name}/leave");
        let (left, ()) = tokio::join!(change(&address, "POST", &path), counter.take_of_each(5));
        assert_eq!(left.status, 200);
        assert_eq!(node(&address, name).await["state"], "left");
        counter.take_of_each(5).await;
    }
}

#[tokio::test]
async fn a_node_that_was_added_serves_clients_and_takes_the_place_of_those_that_are_killed() {
    let cluster = Cluster::start(2).await;
    let (name, address) = add(&cluster.address("node-1").await).await;
    assert_eq!(name, "node-3");
    let mut counter = Counter::open(&address, &cluster.token).await;
    // The one that was there when it was added, and that told it of the other.
    kill(&address, "node-1").await;
    counter.take_of_each(3).await;
    kill(&address, "node-2").await;
    counter.take_of_each(3).await;
    let alone = node(&address, "node-3").await;
    assert_eq!((alone["share"].as_f64(), alone["standby"].as_u64()), (Some(1.0), Some(0)));
}

#[tokio::test]
async fn a_killed_node_says_nothing_and_is_not_there_any_more() {
    let cluster = Cluster::start(2).await;
    let (victim, other) = (cluster.address("node-1").await, cluster.address("node-2").await);
    let mut ws = Ws::open(&victim, "/api/v1/streaming", &cluster.token).await;
    kill(&other, "node-1").await;
    ws.expect_cut().await;
    eventually("end of its listener", || async { wire::Wire::try_open(&victim).await.is_err() }).await;
    // Whoever asks a node for its own death gets no answer, and it dies.
    let (name, added) = add(&other).await;
    let mut client = http::Client::open(&added).await;
    client.wire.send(http::encode("DELETE", &format!("/demo/nodes/{name}"), &[], b"")).await;
    client.closed().await;
    assert_eq!(node(&other, &name).await["state"], "killed");
}

#[tokio::test]
async fn every_channel_that_flows_has_an_owner_and_a_standby_that_are_subscribed_and_nobody_else_is() {
    let cluster = Cluster::start(3).await;
    let mut counters = Vec::new();
    for name in ["node-1", "node-2", "node-3"] {
        counters.push(Counter::open(&cluster.address(name).await, &cluster.token).await);
    }
    let address = cluster.address("node-2").await;
    eventually("two holders of each channel", || async {
        let view = view(&address).await;
        let channels = view["channels"].as_array().unwrap();
        let numbered = channels.iter().filter(|one| one["channel"].as_str().unwrap().starts_with("timeline:list:"));
        let settled = numbered.filter(|one| {
            let mut subscribed: Vec<&Value> = one["subscribed"].as_array().unwrap().iter().collect();
            let mut holders = vec![&one["owner"], &one["standby"]];
            subscribed.sort_by_key(|node| node.to_string());
            holders.sort_by_key(|node| node.to_string());
            subscribed == holders
        });
        if settled.count() == counters[0].lists { Ok(()) } else { Err(view) }
    })
    .await;
}

#[tokio::test]
async fn the_terminal_tells_what_became_of_nodes_and_where_new_ones_are() {
    let cluster = Cluster::start(3).await;
    let (address, victim) = (cluster.address("node-3").await, cluster.address("node-1").await);
    kill(&address, "node-1").await;
    let told = cluster.demo.prints("death", |line| line.strip_prefix("node-1 was killed: ").map(str::to_owned)).await;
    // The log names it by its other address.
    assert!(
        told.starts_with(&format!("http://127.0.0.1:{}/ (other nodes call it 127.0.0.1:", victim.port())),
        "{told}"
    );
    let (name, added) = add(&address).await;
    let start = format!("{name} was added: http://127.0.0.1:{}/", added.port());
    cluster.demo.prints("addition", |line| line.starts_with(&start).then_some(())).await;
    assert_eq!(change(&address, "POST", "/node-2/leave").await.status, 200);
    cluster.demo.prints("end", |line| line.starts_with("node-2 was stopped: ").then_some(())).await;
}

#[tokio::test]
async fn nodes_that_are_gone_say_since_when() {
    let cluster = Cluster::start(2).await;
    let address = cluster.address("node-2").await;
    assert!(node(&address, "node-1").await["ended_seconds_ago"].is_null());
    kill(&address, "node-1").await;
    eventually("a second after its death", || async {
        let told = node(&address, "node-1").await;
        if told["ended_seconds_ago"].as_u64() >= Some(1) { Ok(()) } else { Err(told) }
    })
    .await;
}

#[tokio::test]
async fn each_node_holds_as_many_channels_as_are_listed_for_it() {
    let cluster = Cluster::start(3).await;
    let address = cluster.address("node-1").await;
    // Quiet channels come with it.
    let _counter = Counter::open(&address, &cluster.token).await;
    let view = view(&address).await;
    let channels = view["channels"].as_array().unwrap();
    assert!(channels.iter().any(|one| one["events"] == 0), "{view}");
    for node in view["nodes"].as_array().unwrap() {
        for (role, count) in [("owner", "owned"), ("standby", "standby")] {
            let listed = channels.iter().filter(|one| one[role] == node["name"]).count();
            assert_eq!(node[count].as_u64(), Some(listed as u64), "{view}");
        }
    }
}

#[tokio::test]
async fn pages_of_strangers_change_no_nodes() {
    let cluster = Cluster::start(2).await;
    let address = cluster.address("node-1").await;
    for header in [("Origin", "https://example.com"), ("Sec-Fetch-Site", "cross-site"), ("Host", "example.com")] {
        for (method, path) in [("POST", ""), ("DELETE", "/node-2"), ("POST", "/node-2/leave")] {
            let answer = request(&address, method, &format!("/demo/nodes{path}"), &[header], b"").await;
            assert_eq!(answer.status, 403, "{method} {path} {header:?}");
        }
    }
    let view = view(&address).await;
    let nodes = view["nodes"].as_array().unwrap();
    assert!(nodes.len() == 2 && nodes.iter().all(|node| node["state"] == "runs"), "{view}");
    // The page of a node talks to another one.
    let origin = format!("http://localhost:{}", cluster.address("node-2").await.port());
    let own = request(&address, "POST", "/demo/nodes", &[("Origin", &origin)], b"").await;
    assert_eq!(own.status, 201);
}

#[tokio::test]
async fn the_last_node_stays_and_there_are_nine_at_most() {
    let cluster = Cluster::start(2).await;
    let address = cluster.address("node-1").await;
    assert_eq!(change(&address, "DELETE", "/node-7").await.status, 404);
    kill(&address, "node-2").await;
    assert_eq!(change(&address, "DELETE", "/node-2").await.status, 404);
    let last = change(&address, "DELETE", "/node-1").await;
    assert_eq!(last.status, 409, "{last:?}");
    assert!(last.json()["error"].as_str().unwrap().contains("last node"), "{last:?}");
    for _ in 0..8 {
        add(&address).await;
    }
    let too_many = change(&address, "POST", "").await;
    assert_eq!(too_many.status, 409, "{too_many:?}");
}

#[tokio::test]
async fn a_demo_without_a_cluster_has_no_nodes_to_change() {
    let demo = Demo::start(&["--port", "0"]);
    let address = Address::parse(&demo.address_and_token().await.0);
    let unknown = http::get(&address, "/unknown").await;
    for (method, path) in [("GET", ""), ("POST", ""), ("DELETE", "/node-1")] {
        let answer = change(&address, method, path).await;
        assert_eq!((answer.status, answer.text()), (unknown.status, unknown.text()), "{method}");
    }
    assert!(!http::get(&address, "/").await.text().contains("demo/nodes"));
}

#[tokio::test]
async fn a_number_of_nodes_that_makes_no_sense_is_an_error_that_says_what_is_possible() {
    for nodes in ["0", "10", "-1", "many"] {
        let demo = Demo::start(&[&format!("--nodes={nodes}")]);
        assert!(!demo.process.exited().await.success());
        demo.prints("reason", |line| {
            (line.contains("--nodes") && (line.contains("between 1 and 9") || line.contains("whole number")))
                .then_some(())
        })
        .await;
    }
}
