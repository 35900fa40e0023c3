//! Whatever nodes and sessions do, in any order: afterwards the edge comes to rest.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const NODES: usize = 4;
const CHANNELS: usize = 3;

/// Longer than anything that an edge waits for.
const REST: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug)]
enum Happening {
    Join(usize),
    Lose(usize),
    Break(usize),
    Recover(usize),
    Leave(usize),
    /// A node does what it is asked.
    Give(usize),
    /// A node refuses what it may refuse.
    Refuse(usize),
    Want(usize),
    Unwant(usize),
    Tick,
    Wait(u64),
}

/// What a node was asked for a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Hold,
    Take(Take),
    Done { relays: bool },
}

/// A node that does what it is asked, as soon as a test lets it.
struct Peer {
    link: LinkId,
    orders: Arc<Orders>,
    asks: BTreeMap<u64, (Channel, Asked)>,
    is_up: bool,
    is_leaving: bool,
}

struct World {
    edge: Edge,
    peers: BTreeMap<usize, Peer>,
    now: Instant,
    links_ever: u64,
    ticks: u64,
    /// When review is due.
    review: Instant,
}

fn name(number: usize) -> NodeId {
    node(&format!("node-{number}"))
}

fn channel(number: usize) -> Channel {
    Channel::named(&format!("timeline:{number}"))
}

impl Peer {
    /// Takes what it is told, and checks that it is told nothing twice.
    fn read(&mut self) {
        for (ask, order) in self.orders.take_now(usize::MAX) {
            let known = self.asks.get(&ask).cloned();
            let (channel, asked) = match order {
                Order::Release => {
                    self.asks.remove(&ask);
                    continue;
                }
                // Perhaps again: it takes the place of a take that was not sent yet.
                Order::Hold(channel) => (channel, Asked::Hold),
                Order::Take(channel, take) => {
                    if let Some((_, Asked::Take(earlier))) = known {
                        assert!(earlier.round < take.round, "taken twice");
                    }
                    (channel, Asked::Take(take))
                }
            };
            let others = || self.asks.iter().filter(|(number, _)| **number != ask);
            assert!(others().all(|(_, (other, _))| *other != channel), "{channel} is asked for twice");
            self.asks.insert(ask, (channel, asked));
        }
    }

    /// It holds nothing any more until it says so again.
    fn lose_redis(&mut self) {
        self.is_up = false;
        for (_, asked) in self.asks.values_mut() {
            if matches!(asked, Asked::Done { .. }) {
                *asked = Asked::Hold;
            }
        }
    }

    /// Answers everything; if it may refuse something, it does.
    fn answer(&mut self, refuses: bool, since: Tick) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (ask, (_, asked)) in &mut self.asks {
            let ask = *ask;
            match *asked {
                Asked::Hold => *asked = Asked::Done { relays: false },
                Asked::Take(Take { round, strict: true, .. }) if refuses => {
                    let cause = GapCause::BeforeSince;
                    notices.extend([Notice::Held { ask, since }, Notice::Refused { ask, round, cause }]);
                    *asked = Asked::Done { relays: false };
                    continue;
                }
                Asked::Take(Take { round, .. }) => {
                    notices.extend([Notice::Held { ask, since }, Notice::Taken { ask, round, count: 0 }]);
                    *asked = Asked::Done { relays: true };
                    continue;
                }
                Asked::Done { .. } => continue,
            }
            notices.push(Notice::Held { ask, since });
        }
        notices
    }
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let edge = Edge::new(Arc::<Received>::default(), Arc::default());
        Self { edge, peers: BTreeMap::new(), now, links_ever: 0, ticks: 0, review: now }
    }

    fn hear(&mut self, number: usize, notices: Vec<Notice>) {
        if let Some(peer) = self.peers.get(&number) {
            self.edge.heard(peer.link, notices, self.now);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Join(number) => self.join(number),
            Happening::Lose(number) => {
                if let Some(peer) = self.peers.remove(&number) {
                    self.edge.closed(peer.link, self.now);
                }
            }
            Happening::Break(number) => {
                self.peers.entry(number).and_modify(Peer::lose_redis);
                self.hear(number, vec![Notice::Broken]);
            }
            Happening::Recover(number) => {
                self.peers.entry(number).and_modify(|peer| peer.is_up = true);
                self.hear(number, vec![Notice::Up]);
            }
            Happening::Leave(number) => {
                self.hear(number, vec![Notice::Leaving]);
                self.peers.entry(number).and_modify(|peer| peer.is_leaving = true);
            }
            Happening::Give(number) => self.answer(number, false),
            Happening::Refuse(number) => self.answer(number, true),
            Happening::Want(number) => {
                if !self.edge.channels.contains_key(&channel(number)) {
                    self.edge.want(vec![channel(number)], self.now);
                }
            }
            Happening::Unwant(number) => self.edge.leave(&[channel(number)]),
            Happening::Tick => self.tick(),
            Happening::Wait(time) => self.wait(Duration::from_millis(time)),
        }
        self.edge.settle(self.now);
        self.peers.values_mut().for_each(Peer::read);
    }

    fn join(&mut self, number: usize) {
        if self.peers.contains_key(&number) {
            return;
        }
        self.links_ever += 1;
        let (link, orders) = (LinkId(self.links_ever), Arc::<Orders>::default());
        self.edge.opened(link, &name(number), Arc::clone(&orders), self.now);
        self.peers.insert(number, Peer { link, orders, asks: BTreeMap::new(), is_up: true, is_leaving: false });
        self.hear(number, vec![Notice::Tick(tick(self.ticks)), Notice::Up]);
    }

    fn answer(&mut self, number: usize, refuses: bool) {
        let since = tick(self.ticks);
        let Some(peer) = self.peers.get_mut(&number).filter(|peer| peer.is_up) else { return };
        peer.read();
        let notices = peer.answer(refuses, since);
        self.hear(number, notices);
    }

    fn tick(&mut self) {
        self.ticks += 1;
        for number in 0..NODES {
            self.hear(number, vec![Notice::Tick(tick(self.ticks))]);
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        if self.now >= self.review {
            self.review = self.now + Duration::from_secs(1);
            self.edge.review(self.now);
        }
    }

    /// Nothing goes wrong any more, and everybody does what it is asked.
    fn rest(&mut self) {
        self.join(0);
        let end = self.now + REST;
        (0..NODES).for_each(|number| self.happen(Happening::Recover(number)));
        while self.now < end {
            (0..NODES).for_each(|number| self.happen(Happening::Give(number)));
            self.happen(Happening::Wait(100));
            self.happen(Happening::Tick);
        }
    }

    /// Who is to hold channels: all but those who leave, unless all do.
    fn members(&self) -> Vec<NodeId> {
        let staying: Vec<_> =
            self.peers.iter().filter(|(_, peer)| !peer.is_leaving).map(|(number, _)| name(*number)).collect();
        if staying.is_empty() { self.peers.keys().map(|number| name(*number)).collect() } else { staying }
    }

    fn assert_at_rest(&self) {
        assert_eq!(self.edge.unrest(&self.members()), Vec::<String>::new());
        for (number, peer) in &self.peers {
            let done = |asked: &Asked| match asked {
                Asked::Done { relays } => *relays,
                asked => panic!("not answered: {asked:?}"),
            };
            let asks: BTreeSet<_> = peer.asks.values().map(|(channel, asked)| (channel.clone(), done(asked))).collect();
            let asked: BTreeSet<_> = self.edge.asks_at(&name(*number)).into_iter().collect();
            assert_eq!(asks, asked, "what {number} relays, what it is asked to");
        }
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{Break, Give, Join, Leave, Lose, Recover, Refuse, Tick, Unwant, Wait, Want};
    prop_oneof![
        3 => (0..NODES).prop_map(Join),
        2 => (0..NODES).prop_map(Lose),
        1 => (0..NODES).prop_map(Break),
        2 => (0..NODES).prop_map(Recover),
        1 => (0..NODES).prop_map(Leave),
        6 => (0..NODES).prop_map(Give),
        2 => (0..NODES).prop_map(Refuse),
        3 => (0..CHANNELS).prop_map(Want),
        1 => (0..CHANNELS).prop_map(Unwant),
        2 => Just(Tick),
        2 => (0..4_000_u64).prop_map(Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_sequence_of_joins_losses_and_changes_of_interest_comes_to_rest(
        happenings in proptest::collection::vec(happening(), 0..80)
    ) {
        let mut world = World::new();
        for happening in happenings {
            world.happen(happening);
            prop_assert_eq!(world.edge.sourceless(), Vec::new(), "after {:?}", happening);
        }
        world.rest();
        world.assert_at_rest();
    }
}
