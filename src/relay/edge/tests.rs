use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::relay::message::{Order, Take};

const CHANNEL: &str = "timeline:1";

/// Counts how often sessions' tokens would be looked at.
#[derive(Default)]
struct Sessions {
    sweeps: AtomicUsize,
}

impl Sink for Sessions {
    fn receive(&self, _channel: &str, _message: &str, _age: Duration) {}

    fn lagged(&self, _messages: u64) {}

    fn connected(&self) {}

    fn missed(&self) {
        self.sweeps.fetch_add(1, Ordering::Relaxed);
    }
}

/// An edge with a link to each of two nodes, of which the channel's owner and standby are known.
struct Scene {
    edge: Edge,
    sessions: Arc<Sessions>,
    metrics: Arc<Metrics>,
    now: Instant,
    /// Where its orders to a node wait.
    orders: HashMap<NodeId, Arc<Orders>>,
    links: u64,
    ticks: u64,
}

impl Scene {
    fn new() -> Self {
        let (sessions, metrics) = (Arc::<Sessions>::default(), Arc::<Metrics>::default());
        let edge = Edge::new(Arc::clone(&sessions) as Arc<dyn Sink>, Arc::clone(&metrics));
        let now = Instant::now();
        let mut scene = Self { edge, sessions, metrics, now, orders: HashMap::new(), links: 0, ticks: 0 };
        for name in ["a", "b"] {
            scene.open(&name.parse().expect("a name of a node"));
        }
        scene.tick();
        scene
    }

    fn open(&mut self, node: &NodeId) {
        self.links += 1;
        let orders = Arc::<Orders>::default();
        self.edge.opened(LinkId(self.links), node, Arc::clone(&orders), self.now);
        self.orders.insert(node.clone(), orders);
        self.hear(node, vec![Notice::Up]);
    }

    fn hear(&mut self, node: &NodeId, notices: Vec<Notice>) {
        let link = self.edge.links[node].id;
        self.edge.heard(link, notices, self.now);
    }

    fn close(&mut self, node: &NodeId) {
        let link = self.edge.links[node].id;
        self.edge.closed(link, self.now);
    }

    fn want(&mut self, channels: &[&str]) {
        self.edge.want(channels.iter().map(|channel| Channel::named(channel)).collect(), self.now);
    }

    /// A tick comes over all links.
    fn tick(&mut self) -> Tick {
        self.ticks += 1;
        let tick = Tick { incarnation: 1, counter: self.ticks };
        for node in self.edge.links.keys().cloned().collect::<Vec<_>>() {
            self.hear(&node, vec![Notice::Tick(tick)]);
        }
        tick
    }

    /// Time passes, with a tick each second.
    fn pass(&mut self, seconds: u64) {
        for tenth in 1..=10 * seconds {
            self.now += Duration::from_millis(100);
            self.edge.settle(self.now);
            if tenth % 10 == 0 {
                self.tick();
                self.edge.review(self.now);
            }
        }
    }

    fn owner(&self, channel: &str) -> NodeId {
        self.edge.ring.owner(&Channel::named(channel)).expect("there are nodes").clone()
    }

    fn standby(&self, channel: &str) -> NodeId {
        self.edge.ring.standby(&Channel::named(channel)).expect("there are two nodes").clone()
    }

    /// The last take that waits to be sent to a node, and its ask.
    fn take(&self, node: &NodeId) -> Option<(u64, Take)> {
        let orders = self.orders[node].take_now(usize::MAX).into_iter();
        orders.filter_map(|(ask, order)| if let Order::Take(_, take) = order { Some((ask, take)) } else { None }).last()
    }

    fn is_live_at(&self, node: &NodeId) -> bool {
        self.edge.channels[&Channel::named(CHANNEL)].is_live_at(node)
    }

    fn counted(&self, metric: &str) -> bool {
        self.metrics.page().lines().any(|line| line == metric)
    }
}

/// A refusal, or the answer that begins.
fn refused((ask, take): (u64, Take)) -> Vec<Notice> {
    vec![Notice::Refused { ask, round: take.round, cause: GapCause::BeforeSince }]
}

fn taken((ask, take): (u64, Take)) -> Vec<Notice> {
    vec![Notice::Taken { ask, round: take.round, count: 0 }]
}

fn gap((ask, take): (u64, Take)) -> Notice {
    Notice::Gap { ask, round: take.round, cause: GapCause::BeforeSince }
}

#[test]
fn a_channel_whose_owner_answers_nothing_is_taken_from_its_standby() {
    let mut scene = Scene::new();
    let (owner, standby) = (scene.owner(CHANNEL), scene.standby(CHANNEL));
    scene.want(&[CHANNEL]);
    scene.take(&owner).expect("the owner is asked first");
    scene.pass(5);
    let strict = scene.take(&standby).expect("the standby is asked then");
    assert!(strict.1.strict);
    scene.hear(&standby, refused(strict));
    let lenient = scene.take(&standby).expect("the gap is accepted from who answers");
    assert!(!lenient.1.strict);
    scene.hear(&standby, [vec![gap(lenient)], taken(lenient)].concat());
    assert!(scene.is_live_at(&standby));
    for metric in
        ["flodgatt_relay_refusals_total{cause=\"no_answer\"} 1", "flodgatt_relay_gaps_total{cause=\"before_since\"} 1"]
    {
        assert!(scene.counted(metric), "{metric} in\n{}", scene.metrics.page());
    }
}

#[test]
fn a_node_that_answers_others_has_more_time_to_answer() {
    let mut scene = Scene::new();
    let other = (2..).map(|account| format!("timeline:{account}"));
    let owner = scene.owner(CHANNEL);
    let other = other.into_iter().find(|other| scene.owner(other) == owner).expect("it owns many");
    scene.want(&[CHANNEL]);
    scene.take(&owner).expect("the owner is asked");
    scene.want(&[&other]);
    let (ask, take) = scene.take(&owner).expect("the owner is asked for the other one too");
    let (tick, message) = (Tick { incarnation: 1, counter: 1 }, Arc::<str>::from("{}"));
    let replay = Notice::Replay { ask, round: take.round, tick, count: 1, age: Duration::ZERO, message };
    for _ in 0..5 {
        scene.pass(2);
        scene.hear(&owner, vec![replay.clone()]);
    }
    assert_eq!(scene.take(&scene.standby(CHANNEL)), None);
    scene.pass(10);
    assert!(scene.take(&scene.standby(CHANNEL)).is_some(), "but not for ever");
}

#[test]
fn a_fresh_channel_does_not_wait_for_ever_for_a_node_that_comes_and_goes() {
    let mut scene = Scene::new();
    let (owner, standby) = (scene.owner(CHANNEL), scene.standby(CHANNEL));
    scene.want(&[CHANNEL]);
    for _ in 0..6 {
        scene.close(&owner);
        if let Some(take) = scene.take(&standby).filter(|(_, take)| take.strict) {
            scene.hear(&standby, refused(take));
        }
        scene.pass(2);
        scene.open(&owner);
        scene.pass(1);
    }
    scene.close(&owner);
    scene.pass(2);
    let (_, take) = scene.take(&standby).expect("the standby is asked");
    assert!(!take.strict);
}

#[test]
fn the_refusal_of_a_take_that_is_not_strict_is_no_answer() {
    let mut scene = Scene::new();
    let owner = scene.owner(CHANNEL);
    scene.want(&[CHANNEL]);
    let take = scene.take(&owner).expect("the owner is asked");
    assert!(!take.1.strict);
    scene.hear(&owner, refused(take));
    assert_eq!((scene.take(&owner), scene.take(&scene.standby(CHANNEL))), (None, None));
}

#[test]
fn however_many_control_channels_have_gaps_tokens_are_looked_at_once() {
    let mut scene = Scene::new();
    let names: Vec<String> = (0..100).map(|token| format!("timeline:access_token:{token}")).collect();
    scene.want(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let owner = scene.owner(&names[0]);
    let orders = scene.orders[&owner].take_now(usize::MAX).into_iter();
    let takes =
        orders.filter_map(|(ask, order)| if let Order::Take(_, take) = order { Some((ask, take)) } else { None });
    let gaps: Vec<Notice> = takes.map(gap).collect();
    assert!(gaps.len() > 10);
    scene.hear(&owner, gaps);
    assert_eq!(scene.sessions.sweeps.load(Ordering::Relaxed), 1);
}

#[test]
fn a_gap_counts_once_however_often_it_is_said() {
    let mut scene = Scene::new();
    let owner = scene.owner(CHANNEL);
    scene.want(&[CHANNEL]);
    let take = scene.take(&owner).expect("the owner is asked");
    scene.pass(2);
    scene.hear(&owner, vec![gap(take); 1_000]);
    assert!(scene.counted("flodgatt_relay_gaps_total{cause=\"before_since\"} 1"));
}
