mod answers;
mod convergence;
mod missed;

use super::*;
use crate::relay::{
    message::{GapCause, Notice, Order, Take},
    position::Tick,
};

/// Takes everything, and remembers it.
#[derive(Default)]
struct Received(parking_lot::Mutex<Vec<String>>);

impl Sink for Received {
    fn receive(&self, _channel: &str, message: &str, _age: Duration) {
        self.0.lock().push(message.to_owned());
    }

    fn lagged(&self, _messages: u64) {}

    fn connected(&self) {}

    fn missed(&self) {
        self.0.lock().push("missed".to_owned());
    }
}

/// An edge with links to nodes that say what a test lets them say.
struct Scene {
    edge: Edge,
    received: Arc<Received>,
    metrics: Arc<Metrics>,
    orders: HashMap<NodeId, Arc<Orders>>,
    now: Instant,
    links: u64,
    ticks: u64,
}

fn channel() -> Channel {
    Channel::named("timeline:public")
}

fn node(name: &str) -> NodeId {
    name.parse().expect("the name is one of a node")
}

fn tick(counter: u64) -> Tick {
    Tick { incarnation: 7, counter }
}

fn event(ask: u64, message: &str) -> Notice {
    Notice::Event { ask, age: Duration::ZERO, message: message.into() }
}

/// Owner, standby, and who comes after them.
fn line_of_succession() -> [NodeId; 3] {
    let mut left = vec![node("a"), node("b"), node("c")];
    std::array::from_fn(|_| {
        let ring = Ring::new(left.iter().cloned());
        let owner = ring.holders(&channel()).expect("there are nodes").owner.clone();
        left.retain(|node| *node != owner);
        owner
    })
}

impl Scene {
    /// With links to three nodes that have Redis, and a watched channel that nobody has answered for yet.
    fn new() -> Self {
        let mut scene = Self::unwatched();
        scene.edge.want(vec![channel()], scene.now);
        scene
    }

    /// With links to three nodes that have Redis.
    fn unwatched() -> Self {
        let (received, metrics) = (Arc::<Received>::default(), Arc::<Metrics>::default());
        let edge = Edge::new(Arc::clone(&received) as Arc<dyn Sink>, Arc::clone(&metrics));
        let (orders, now) = (HashMap::new(), Instant::now());
        let mut scene = Self { edge, received, metrics, orders, now, links: 0, ticks: 1 };
        for node in line_of_succession() {
            scene.open(&node);
        }
        scene
    }

    fn open(&mut self, node: &NodeId) {
        self.links += 1;
        let orders = Arc::<Orders>::default();
        self.edge.opened(LinkId(self.links), node, Arc::clone(&orders), self.now);
        self.orders.insert(node.clone(), orders);
        self.hear(node, vec![Notice::Tick(tick(self.ticks)), Notice::Up]);
    }

    fn close(&mut self, node: &NodeId) {
        self.edge.closed(self.link(node), self.now);
    }

    /// Time passes, with a tick each second.
    fn pass(&mut self, seconds: u64) {
        for tenth in 1..=10 * seconds {
            self.now += Duration::from_millis(100);
            self.edge.settle(self.now);
            if tenth % 10 == 0 {
                self.ticks += 1;
                for node in self.edge.links.keys().cloned().collect::<Vec<_>>() {
                    self.hear(&node, vec![Notice::Tick(tick(self.ticks))]);
                }
                self.edge.review(self.now);
            }
        }
    }

    /// Time passes, and no ticks come.
    fn pass_in_silence(&mut self, seconds: u64) {
        for tenth in 1..=10 * seconds {
            self.now += Duration::from_millis(100);
            self.edge.settle(self.now);
            if tenth % 10 == 0 {
                self.edge.review(self.now);
            }
        }
    }

    fn link(&self, node: &NodeId) -> LinkId {
        self.edge.links[node].id
    }

    fn hear(&mut self, node: &NodeId, notices: Vec<Notice>) {
        self.edge.heard(self.link(node), notices, self.now);
    }

    /// What a node has been told since this was last asked.
    fn orders(&self, node: &NodeId) -> Vec<(u64, Order)> {
        self.orders[node].take_now(usize::MAX)
    }

    /// The takes that a node has been sent since this was last asked, and their asks.
    fn takes(&self, node: &NodeId) -> Vec<(u64, Take)> {
        let take = |(ask, order)| if let Order::Take(_, take) = order { Some((ask, take)) } else { None };
        self.orders(node).into_iter().filter_map(take).collect()
    }

    fn counted(&self, metric: &str) -> bool {
        self.metrics.page().lines().any(|line| line == metric)
    }

    /// The only take that a node has been sent, and its ask.
    fn take(&self, node: &NodeId) -> (u64, Take) {
        match self.orders(node)[..] {
            [(ask, Order::Take(_, take))] => (ask, take),
            ref orders => panic!("{node} was told {orders:?}"),
        }
    }

    /// A node answers its take: it holds the channel, and relays it.
    fn give(&mut self, node: &NodeId) -> u64 {
        let (ask, Take { round, .. }) = self.take(node);
        self.hear(node, vec![Notice::Held { ask, since: tick(1) }, Notice::Taken { ask, round, count: 0 }]);
        ask
    }

    /// A node answers its take: it holds the channel, but has not for long enough.
    fn refuse(&mut self, node: &NodeId) {
        let (ask, Take { round, .. }) = self.take(node);
        let refused = Notice::Refused { ask, round, cause: GapCause::BeforeSince };
        self.hear(node, vec![Notice::Held { ask, since: tick(1) }, refused]);
    }

    /// A node answers that it holds the channel.
    fn hold(&mut self, node: &NodeId) {
        let [(ask, Order::Hold(_))] = self.orders(node)[..] else { panic!("{node} was asked to hold") };
        self.hear(node, vec![Notice::Held { ask, since: tick(1) }]);
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_delivered_once_though_two_nodes_relay_them() {
    let [owner, standby, _] = line_of_succession();
    let mut scene = Scene::new();
    let ask = scene.give(&owner);
    scene.hold(&standby);
    scene.hear(&owner, vec![event(ask, "one")]);
    scene.hear(&standby, vec![event(1, "one")]);
    assert_eq!(*scene.received.0.lock(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_refused_an_earlier_position_is_asked_for_a_later_one() {
    let [owner, standby, third] = line_of_succession();
    let mut scene = Scene::new();
    scene.give(&owner);
    scene.hold(&standby);
    scene.hear(&owner, vec![Notice::Broken]);
    scene.refuse(&standby);
    scene.refuse(&third);
    // Nobody has what was missed; the channel goes on with a gap, and the third one holds.
    scene.give(&standby);
    let link = scene.link(&standby);
    scene.edge.closed(link, scene.now);
    assert!(scene.take(&third).1.strict);
}

#[test]
fn a_node_without_redis_is_not_silent() {
    let [owner, standby, third] = line_of_succession();
    let mut scene = Scene::new();
    scene.hear(&owner, vec![Notice::Broken]);
    for _ in 0..5 {
        scene.pass_in_silence(1);
        scene.ticks += 1;
        for node in [&standby, &third] {
            scene.hear(node, vec![Notice::Tick(tick(scene.ticks))]);
        }
    }
    assert!(!scene.edge.links[&owner].is_silent);
}

#[test]
fn a_tick_that_nobody_else_knows_is_no_place_to_begin_at() {
    let [owner, ..] = line_of_succession();
    let mut scene = Scene::unwatched();
    scene.now += Duration::from_millis(10);
    scene.ticks = 0;
    scene.open(&node("newcomer"));
    scene.edge.want(vec![channel()], scene.now);
    let asked = if scene.edge.ring.owner(&channel()) == Some(&owner) { owner } else { node("newcomer") };
    scene.close(&asked);
    let takes: Vec<_> = scene.edge.links.keys().flat_map(|node| scene.takes(node)).collect();
    assert!(matches!(takes[..], [(_, Take { from: Some(from), .. })] if from.tick == tick(1)), "{takes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_waits_for_an_answer_is_not_looked_at_before_that_is_due() {
    let mut scene = Scene::new();
    for (seconds, is_due) in [(1, false), (2, false), (3, true)] {
        let then = scene.now + Duration::from_secs(seconds);
        assert_eq!(scene.edge.unsettled.values().any(|due| *due <= then), is_due, "{seconds}");
    }
    scene.now += Duration::from_secs(3);
    scene.edge.settle(scene.now);
    let [_, standby, _] = line_of_succession();
    assert!(matches!(scene.orders(&standby)[..], [(_, Order::Take(..))]));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_blamed_for_saying_nothing_without_redis() {
    let nodes = line_of_succession();
    let mut scene = Scene::new();
    nodes.iter().for_each(|node| scene.hear(node, vec![Notice::Broken]));
    // The last one that had Redis was asked, and is waited for.
    let orders: Vec<_> = nodes.iter().flat_map(|node| scene.orders(node)).collect();
    assert!(!orders.is_empty());
    let go_on = |scene: &mut Scene| {
        scene.now += Duration::from_millis(2_900);
        scene.edge.settle(scene.now);
        let is_take = |(_, order): &(u64, Order)| matches!(order, Order::Take(..));
        nodes.iter().flat_map(|node| scene.orders(node)).filter(is_take).count()
    };
    go_on(&mut scene);
    assert_eq!([go_on(&mut scene), go_on(&mut scene)], [0, 0]);
    nodes.iter().for_each(|node| scene.hear(node, vec![Notice::Up]));
    assert_eq!(go_on(&mut scene), 0);
}
