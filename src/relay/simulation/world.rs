//! The simulated cluster and its Redis.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::super::{door::LinkId, holder::EdgeKey};
use super::{
    node::{Node, TICKS},
    wire::{KEEP_ALIVE, Wire},
};
use crate::{cluster::NodeId, domain::Channel};

const STEP: Duration = Duration::from_millis(2);

/// The same while nothing happens.
const IDLE_STEP: Duration = Duration::from_millis(25);

/// How late an event may come when a node is silent, and has to be passed over.
const LATE: Duration = Duration::from_secs(10);

pub(super) struct World {
    pub random: fastrand::Rng,
    pub now: Instant,
    began: Instant,
    /// How much time passes at once.
    step: Duration,
    pub nodes: BTreeMap<usize, Node>,
    /// By edge and holder.
    wires: BTreeMap<(usize, usize), Wire>,
    /// Pairs of nodes that do not hear each other.
    pub parted: Vec<(usize, usize)>,
    /// Nodes that were told to leave, and run yet.
    pub leaving: Vec<usize>,
    links_ever: u64,
    runs_ever: u64,
    /// When the events of each channel were published, from the beginning on.
    pub published: HashMap<Channel, Vec<Duration>>,
    pub pace: f64,
    channels: usize,
    /// What may be older than a subscription: what was under way when it was made.
    pub under_way: Duration,
    /// How late an event may come.
    pub late: Duration,
    /// What clients of runs that are no more had got.
    pub buried: Vec<(usize, Node)>,
}

pub(super) fn channel(number: usize) -> Channel {
    Channel::named(&format!("timeline:{number}"))
}

impl World {
    pub(super) fn new(seed: u64, channels: usize) -> Self {
        let now = Instant::now();
        Self {
            random: fastrand::Rng::with_seed(seed),
            now,
            began: now,
            step: STEP,
            nodes: BTreeMap::new(),
            wires: BTreeMap::new(),
            parted: Vec::new(),
            leaving: Vec::new(),
            links_ever: 0,
            runs_ever: 0,
            published: HashMap::new(),
            pace: 0.0,
            channels,
            under_way: Duration::from_millis(60),
            late: LATE,
            buried: Vec::new(),
        }
    }

    fn delay(&mut self, most_ms: u64) -> Duration {
        Duration::from_micros(self.random.u64(100..=most_ms * 1_000))
    }

    pub(super) fn start(&mut self, index: usize) {
        self.runs_ever += 1;
        let id: NodeId = format!("node-{index}").parse().expect("the name is one of a node");
        // Clocks jump: a later process may have an earlier number.
        let (base, number) = (1_000_000, self.runs_ever);
        let incarnation = if self.random.bool() { base + number } else { base - number };
        let node = Node::new(id, incarnation, self.began, self.now);
        self.nodes.insert(index, node);
    }

    /// The process dies; its connections are reset.
    pub(super) fn kill(&mut self, index: usize) {
        let Some(node) = self.nodes.remove(&index) else { return };
        node.received.ended();
        self.buried.push((index, node));
        self.leaving.retain(|leaving| *leaving != index);
        for ((edge, holder), wire) in self.wires.extract_if(.., |(edge, holder), _| *edge == index || *holder == index)
        {
            if edge != index
                && let Some(node) = self.nodes.get_mut(&edge)
            {
                node.edge.closed(wire.link, self.now);
            }
            if holder != index
                && let Some(node) = self.nodes.get_mut(&holder)
            {
                wire.closed_at_holder(&mut node.holder, self.now);
            }
        }
    }

    /// A node says that it leaves.
    pub(super) fn leave(&mut self, index: usize) {
        if let Some(node) = self.nodes.get_mut(&index) {
            node.holder.leaving();
            self.leaving.push(index);
        }
    }

    pub(super) fn sleep(&mut self, index: usize, time: Duration) {
        let until = self.now + time;
        if let Some(node) = self.nodes.get_mut(&index) {
            node.asleep_until = Some(until);
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Lets time pass in which nothing happens, in large steps.
    pub(super) fn idle(&mut self, time: Duration) {
        self.step = IDLE_STEP;
        self.run(time);
        self.step = STEP;
    }

    fn step(&mut self) {
        self.now += self.step;
        self.publish_events();
        self.connect();
        for index in self.nodes.keys().copied().collect::<Vec<_>>() {
            let (subscribing, publishing) = (self.delay(20), self.delay(5));
            let now = self.now;
            let Some(node) = self.nodes.get_mut(&index).filter(|node| node.is_awake(now)) else { continue };
            node.wake(now);
            node.take_news(now);
            node.take_time(now, publishing);
            node.place_orders(now + subscribing);
        }
        self.publish_ticks();
        self.carry();
    }

    fn publish_events(&mut self) {
        let mut due = self.pace * STEP.as_secs_f64();
        while due > 0.0 {
            if self.random.f64() < due {
                let channel = channel(self.random.usize(0..self.channels));
                let events = self.published.entry(channel.clone()).or_default();
                let number = events.len();
                events.push(self.now - self.began);
                // Every other event has the same text as the one before, but for the number that only tests read.
                self.publish(&channel, &format!("{number} {}", number / 2));
            }
            due -= 1.0;
        }
    }

    fn publish(&mut self, channel: &Channel, message: &str) {
        let message: Arc<str> = message.into();
        for index in self.nodes.keys().copied().collect::<Vec<_>>() {
            let at = self.now + self.delay(8);
            if let Some(node) = self.nodes.get_mut(&index) {
                node.upstream.publish(channel, &message, at);
            }
        }
    }

    fn publish_ticks(&mut self) {
        let now = self.now;
        let mut due = Vec::new();
        for node in self.nodes.values_mut() {
            let is_silent = node.upstream.is_silent(now);
            while let Some((_, tick)) = node.publishing.pop_front_if(|(at, _)| !is_silent && *at <= now) {
                if node.upstream.is_up {
                    due.push(tick);
                }
            }
        }
        for tick in due {
            self.publish(&Channel::named(TICKS), &tick.to_string());
        }
    }

    fn is_parted(&self, one: usize, other: usize) -> bool {
        self.parted.contains(&(one.min(other), one.max(other)))
    }

    /// Links between all that can reach each other.
    fn connect(&mut self) {
        if self.wires.len() == self.nodes.len().pow(2) {
            return;
        }
        let indices: Vec<usize> = self.nodes.keys().copied().collect();
        for &edge in &indices {
            for &holder in &indices {
                let awake = |index: usize| self.nodes[&index].is_awake(self.now);
                let can = !self.is_parted(edge, holder) && awake(edge) && awake(holder);
                // Not at once: somebody has to dial.
                if can && !self.wires.contains_key(&(edge, holder)) && (edge == holder || self.random.u8(..) < 8) {
                    self.open(edge, holder);
                }
            }
        }
    }

    fn open(&mut self, edge: usize, holder: usize) {
        self.links_ever += 1;
        let (link, now) = (LinkId(self.links_ever), self.now);
        let Some(mut node) = self.nodes.remove(&edge) else { return };
        let wire = if edge == holder {
            let Node { id, holder, edge, .. } = &mut node;
            Some(Wire::open(link, edge, id, holder, now))
        } else {
            let other = self.nodes.get_mut(&holder);
            other.map(|other| Wire::open(link, &mut node.edge, &other.id, &mut other.holder, now))
        };
        self.nodes.insert(edge, node);
        if let Some(wire) = wire {
            self.wires.insert((edge, holder), wire);
        }
    }

    /// Carries what is under way, and closes links that have been silent for too long.
    fn carry(&mut self) {
        let now = self.now;
        for (edge, holder) in self.wires.keys().copied().collect::<Vec<_>>() {
            let delay = if edge == holder { Duration::ZERO } else { self.delay(4) };
            let awake = |index: usize| self.nodes[&index].is_awake(now);
            let (edge_awake, holder_awake) = (awake(edge), awake(holder));
            let passes = !self.is_parted(edge, holder) && edge_awake && holder_awake;
            let Some(wire) = self.wires.get_mut(&(edge, holder)) else { continue };
            wire.stalled = if passes { None } else { wire.stalled.or(Some(now)) };
            wire.is_dead |= edge != holder && wire.stalled.is_some_and(|since| now.duration_since(since) > KEEP_ALIVE);
            if wire.is_dead {
                self.close(edge, holder, edge_awake, holder_awake);
            } else if !self.is_parted(edge, holder) {
                self.serve(edge, holder, edge_awake, holder_awake, delay);
            }
        }
    }

    fn serve(&mut self, edge: usize, holder: usize, edge_awake: bool, holder_awake: bool, delay: Duration) {
        let now = self.now;
        let Some(wire) = self.wires.get_mut(&(edge, holder)) else { return };
        if holder_awake && let Some(node) = self.nodes.get_mut(&holder) {
            wire.at_holder(&mut node.holder, now, delay);
            node.place_orders(now + delay + STEP);
        }
        if edge_awake && let Some(node) = self.nodes.get_mut(&edge) {
            wire.at_edge(&mut node.edge, now, delay);
        }
    }

    /// Each end learns of it when it is awake; only then can there be another link.
    fn close(&mut self, edge: usize, holder: usize, edge_awake: bool, holder_awake: bool) {
        let Some(wire) = self.wires.get_mut(&(edge, holder)) else { return };
        if edge_awake
            && !wire.edge_told
            && let Some(node) = self.nodes.get_mut(&edge)
        {
            node.edge.closed(wire.link, self.now);
            wire.edge_told = true;
        }
        if holder_awake
            && !wire.holder_told
            && let Some(node) = self.nodes.get_mut(&holder)
        {
            wire.closed_at_holder(&mut node.holder, self.now);
            wire.holder_told = true;
        }
        if wire.edge_told && wire.holder_told {
            self.wires.remove(&(edge, holder));
        }
    }

    /// Redis goes away for a node.
    pub(super) fn cut(&mut self, index: usize) {
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(&index) {
            node.upstream.cut(now);
        }
    }

    pub(super) fn restore(&mut self, index: usize) {
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(&index) {
            node.upstream.restore(now);
        }
    }

    /// Nothing passes between a node and Redis, as if Redis were stopped.
    pub(super) fn silence(&mut self, index: usize, time: Duration) {
        let until = self.now + time;
        if let Some(node) = self.nodes.get_mut(&index) {
            node.upstream.silent_until = Some(until);
        }
    }

    /// Redis permits a node to publish, or does not.
    pub(super) fn mute(&mut self, index: usize, is_mute: bool) {
        if let Some(node) = self.nodes.get_mut(&index) {
            node.is_mute = is_mute;
        }
    }

    /// Messages are lost on a node's way from Redis, and the node is told of it.
    pub(super) fn lag(&mut self, index: usize) {
        if let Some(node) = self.nodes.get_mut(&index) {
            node.upstream.lag();
        }
    }

    /// Every node has Redis again.
    pub(super) fn restore_all(&mut self) {
        let now = self.now;
        for node in self.nodes.values_mut() {
            node.upstream.silent_until = None;
            if !node.upstream.is_up {
                node.upstream.restore(now);
            }
        }
    }

    /// All troubles are over; nodes that were told to leave are gone.
    pub(super) fn mend(&mut self) {
        self.restore_all();
        self.parted.clear();
        for node in self.nodes.values_mut() {
            node.asleep_until = None;
            node.is_mute = false;
        }
        self.kill_the_leaving();
    }

    pub(super) fn kill_the_leaving(&mut self) {
        for index in std::mem::take(&mut self.leaving) {
            self.kill(index);
        }
    }

    /// Who an edge is to a holder that it has a link to.
    pub(super) fn edge_key(&self, edge: usize, holder: usize) -> EdgeKey {
        self.wires[&(edge, holder)].key
    }
}
