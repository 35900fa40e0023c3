mod convergence;

use super::*;
use crate::relay::message::{Order, Take};

/// Takes everything, and remembers it.
#[derive(Default)]
struct Received(parking_lot::Mutex<Vec<String>>);

impl Sink for Received {
    fn receive(&self, _channel: &str, message: &str, _age: Duration) {
        self.0.lock().push(message.to_owned());
    }

    fn lagged(&self, _messages: u64) {}

    fn connected(&self) {}
}

/// An edge with links to nodes that say what a test lets them say.
struct Scene {
    edge: Edge,
    received: Arc<Received>,
    orders: HashMap<NodeId, Arc<Orders>>,
    now: Instant,
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
        let received = Arc::<Received>::default();
        let edge = Edge::new(Arc::clone(&received) as Arc<dyn Sink>, Arc::default());
        let mut scene = Self { edge, received, orders: HashMap::new(), now: Instant::now() };
        for (number, node) in (1..).zip(line_of_succession()) {
            let orders = Arc::<Orders>::default();
            scene.edge.opened(LinkId(number), &node, Arc::clone(&orders), scene.now);
            scene.orders.insert(node.clone(), orders);
            scene.hear(&node, vec![Notice::Tick(tick(1)), Notice::Up]);
        }
        scene.edge.want(vec![channel()], scene.now);
        scene
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
    scene.hear(&owner, vec![Notice::Event { ask, message: "one".into() }]);
    scene.hear(&standby, vec![Notice::Event { ask: 1, message: "one".into() }]);
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

#[tokio::test(start_paused = true)]
async fn a_channel_that_waits_for_an_answer_is_not_looked_at_before_that_is_due() {
    let mut scene = Scene::new();
    for (seconds, is_due) in [(1, false), (2, false), (3, true)] {
        let then = scene.now + Duration::from_secs(seconds);
        assert_eq!(!scene.edge.unsettled.due(then).is_empty(), is_due, "{seconds}");
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
