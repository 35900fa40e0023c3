//! A node in its role of holding channels: it is subscribed, keeps the log, and relays to the edges that take.
//!
//! Pure: what happens goes in by calls, with the time; what is to be said waits in the edges' outlets, and what is to be
//! subscribed in the orders for upstream.

mod asking;
mod channel;
mod connection;
mod kept;
mod left;
mod outlet;
mod replay;
mod report;
#[cfg(test)]
mod rest;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    log::{Limits, Log},
    message::{Notice, Order},
    position::{Tick, Ticks},
};
use crate::domain::Channel;
use channel::{Answer, Ask, AskKey, Held, Mode};
use kept::Kept;
use left::Left;
pub(super) use outlet::{Outlet, OutletFull};

/// Channels that are given up at once, as the log is locked meanwhile.
pub(super) const PORTION: usize = 10_000;

/// A number for each link that was ever greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EdgeKey(u64);

/// An edge asks for a channel while it has another ask for it at the same holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two asks are open for the same channel")]
pub(super) struct AskedTwice;

/// What a node holds, and for whom.
#[derive(Debug)]
pub(super) struct Holder {
    incarnation: u64,
    ticks: Ticks,
    log: Log,
    channels: HashMap<Channel, Held>,
    edges: HashMap<EdgeKey, Edge>,
    edges_ever: u64,
    /// Whether there is a connection on which everything is subscribed.
    is_connected: bool,
    /// Whether own ticks come back over it: without them nothing can be confirmed, and others are to hold.
    is_up: bool,
    /// The seconds since one came back.
    unanswered: u32,
    is_leaving: bool,
    /// Whether another node can take over what it holds.
    has_heir: bool,
    /// The last of its own ticks.
    counter: u64,
    /// The last change to what is subscribed that took effect.
    subscribed: u64,
    /// Own ticks under way, and what was subscribed when each was sent.
    under_way: VecDeque<(u64, u64)>,
    /// Channels whose subscription does not count yet, by the change with which it was ordered.
    unconfirmed: BTreeMap<u64, HashSet<Channel>>,
    /// Whether a take waits to know that this node has received what its edge had.
    tick_wanted: bool,
    /// Channels whose subscription counts, with takes that wait for what is still to come.
    waiting: HashSet<Channel>,
    kept: Kept,
    left: Left,
    /// Channels that have begun to be relayed since this was last asked.
    newly_relayed: HashSet<Channel>,
    /// What upstream is to be told.
    subscribe: Vec<Channel>,
    unsubscribe: Vec<Channel>,
    /// Events that were evicted because the log was full, since it was last asked.
    overrun: u64,
    linger: Duration,
    /// How many takes were looked at.
    #[cfg(test)]
    looks: u64,
}

/// One link's edge.
#[derive(Debug)]
struct Edge {
    is_own: bool,
    asks: HashMap<u64, Channel>,
    outlet: Outlet,
    /// Asks that have something to be told when there is room for it, and whether that their subscription counts is among it.
    owed: BTreeMap<u64, bool>,
    /// Asks with events to replay.
    replaying: BTreeSet<u64>,
}

impl Holder {
    pub(super) fn new(incarnation: u64, limits: Limits) -> Self {
        Self {
            incarnation,
            ticks: Ticks::default(),
            log: Log::new(limits),
            channels: HashMap::new(),
            edges: HashMap::new(),
            edges_ever: 0,
            is_up: false,
            is_leaving: false,
            has_heir: true,
            counter: 0,
            is_connected: false,
            unanswered: 0,
            subscribed: 0,
            under_way: VecDeque::new(),
            unconfirmed: BTreeMap::new(),
            tick_wanted: false,
            waiting: HashSet::new(),
            kept: Kept::default(),
            left: Left::default(),
            newly_relayed: HashSet::new(),
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            overrun: 0,
            linger: limits.age,
            #[cfg(test)]
            looks: 0,
        }
    }

    /// An edge has greeted, another node's or this one's own; what wakes the task that sends to it.
    pub(super) fn greeted(&mut self, is_own: bool) -> (EdgeKey, Arc<Notify>) {
        let key = EdgeKey(self.edges_ever);
        self.edges_ever += 1;
        let mut outlet = Outlet::default();
        // The latest tick is where the link begins.
        outlet.put(Notice::Tick(self.ticks.latest().unwrap_or(Tick { incarnation: self.incarnation, counter: 0 })));
        if self.is_up {
            outlet.put(Notice::Up);
        }
        if self.is_leaving {
            outlet.put(Notice::Leaving);
        }
        let filled = outlet.filled();
        let (owed, replaying) = Default::default();
        self.edges.insert(key, Edge { is_own, asks: HashMap::new(), outlet, owed, replaying });
        (key, filled)
    }

    /// A link ended. What its edge asked for is to be [given up](Self::give_up).
    pub(super) fn gone(&mut self, key: EdgeKey) -> impl Iterator<Item = (u64, Channel)> + use<> {
        self.edges.remove(&key).into_iter().flat_map(|edge| edge.asks)
    }

    /// Asks of an edge that is gone. What it asked for is kept as long as the log is: it may come back and take. What
    /// was never subscribed is left: there is nothing to come back to.
    pub(super) fn give_up(&mut self, key: EdgeKey, asks: impl IntoIterator<Item = (u64, Channel)>, now: Instant) {
        for (ask, channel) in asks {
            let Some(held) = self.channels.get_mut(&channel) else { continue };
            held.asks.retain(|one| one.key != AskKey { edge: key, ask });
            if held.has_nothing() {
                self.leave(channel);
            } else {
                self.keep(channel, now);
            }
        }
        self.abandon(now);
    }

    /// An edge asks for something.
    pub(super) fn order(&mut self, key: EdgeKey, ask: u64, order: Order) -> Result<(), AskedTwice> {
        match order {
            Order::Hold(channel) => self.ask(key, ask, &channel, Mode::Holding),
            Order::Take(channel, take) => {
                let mode = Mode::Waiting { take, asked_at: self.log.next(), own_tick: self.counter };
                self.ask(key, ask, &channel, mode)
            }
            Order::Release => {
                self.release(key, ask);
                Ok(())
            }
        }
    }

    /// Tells upstream what to subscribe and what to leave, and remembers by which change it was.
    pub(super) fn place_orders(&mut self, change: impl FnOnce(Vec<Channel>, Vec<Channel>) -> u64) {
        if self.subscribe.is_empty() && self.unsubscribe.is_empty() {
            return;
        }
        let mut subscribe = std::mem::take(&mut self.subscribe);
        let mut unsubscribe = std::mem::take(&mut self.unsubscribe);
        // What counts of several changes of mind is the last one.
        subscribe.retain(|channel| self.channels.contains_key(channel));
        unsubscribe.retain(|channel| !self.channels.contains_key(channel));
        let number = change(subscribe.clone(), unsubscribe.clone());
        self.left.extend(unsubscribe, number);
        if !self.is_up {
            self.left.bound();
        }
        for channel in subscribe {
            if let Some(held) = self.channels.get_mut(&channel) {
                held.ordered = Some(number);
                self.unconfirmed.entry(number).or_default().insert(channel);
            }
        }
    }

    /// A message arrived on a channel.
    pub(super) fn received(&mut self, channel: &str, message: &str, now: Instant) {
        let Some((channel, _)) = self.channels.get_key_value(channel) else { return };
        if self.left.contains(channel) {
            // Between an earlier subscription and the one that counts now, anything may be missing.
            return;
        }
        let channel = channel.clone();
        let Some(held) = self.channels.get_mut(&channel) else { return };
        let message: Arc<str> = message.into();
        let number = held.append(&channel, Arc::clone(&message), self.ticks.last(), &mut self.log, now);
        for ask in &mut held.asks {
            match &mut ask.mode {
                Mode::Relaying => {
                    if let Some(edge) = self.edges.get_mut(&ask.key.edge) {
                        let event =
                            Notice::Event { ask: ask.key.ask, age: Duration::ZERO, message: Arc::clone(&message) };
                        edge.outlet.put_event(event, now);
                    }
                }
                Mode::Replaying { next, .. } => {
                    next.get_or_insert(number);
                }
                Mode::Holding | Mode::Waiting { .. } => {}
            }
        }
        if self.waiting.contains(&channel) {
            self.answer(&channel);
        }
        self.evict(now);
    }

    /// Tells every edge to take elsewhere.
    pub(super) fn leaving(&mut self) {
        self.is_leaving = true;
        for edge in self.edges.values_mut() {
            edge.outlet.put(Notice::Leaving);
        }
    }

    fn evict(&mut self, now: Instant) {
        while let Some((number, entry, for_bytes)) = self.log.evict(now) {
            self.overrun += u64::from(for_bytes);
            if let Some(held) = self.channels.get_mut(&entry.channel) {
                held.evicted(number, &entry);
            }
        }
    }
}

#[cfg(test)]
mod tests;
