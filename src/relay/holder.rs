//! A node in its role of holding channels: it is subscribed, keeps the log, and relays to the edges that take.
//!
//! Pure: what happens goes in by calls, with the time; what is to be said waits in the edges' outlets, and what is to be
//! subscribed in the orders for upstream.

mod channel;
mod connection;
mod outlet;
mod replay;
mod report;

use std::{
    collections::{HashMap, HashSet, VecDeque},
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
pub(super) use outlet::{Outlet, OutletFull};

/// A number for each link that was ever greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EdgeKey(u64);

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
    /// The seconds since an own tick came back.
    unanswered: u32,
    is_leaving: bool,
    /// The last of its own ticks.
    counter: u64,
    /// The last change to what is subscribed that took effect.
    subscribed: u64,
    /// Own ticks under way, and what was subscribed when each was sent.
    under_way: VecDeque<(u64, u64)>,
    /// Channels whose subscription does not count yet.
    unconfirmed: HashSet<Channel>,
    /// Whether a take waits to know that this node has received what its edge had.
    tick_wanted: bool,
    /// Channels with takes that wait for what is still to come.
    waiting: HashSet<Channel>,
    /// Channels without asks that are kept for edges which may come back, in the order of time.
    abandoned: VecDeque<(Instant, Channel)>,
    /// Channels that were left, and by which change that has not taken effect yet. What comes of them was under way.
    left: HashMap<Channel, u64>,
    /// What upstream is to be told.
    subscribe: Vec<Channel>,
    unsubscribe: Vec<Channel>,
    /// Events that were evicted because the log was full, since it was last asked.
    overrun: u64,
    linger: Duration,
}

/// One link's edge.
#[derive(Debug)]
struct Edge {
    is_own: bool,
    asks: HashMap<u64, Channel>,
    outlet: Outlet,
    /// Asks with events to replay, in turn.
    replaying: VecDeque<(u64, Channel)>,
    /// Which asks these are.
    queued: HashSet<u64>,
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
            is_connected: false,
            is_up: false,
            unanswered: 0,
            is_leaving: false,
            counter: 0,
            subscribed: 0,
            under_way: VecDeque::new(),
            unconfirmed: HashSet::new(),
            tick_wanted: false,
            waiting: HashSet::new(),
            abandoned: VecDeque::new(),
            left: HashMap::new(),
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            overrun: 0,
            linger: limits.age,
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
        self.edges.insert(
            key,
            Edge { is_own, asks: HashMap::new(), outlet, replaying: VecDeque::new(), queued: HashSet::new() },
        );
        (key, filled)
    }

    /// A link ended. What its edge asked for is kept as long as the log is: it may come back and take.
    pub(super) fn gone(&mut self, key: EdgeKey, now: Instant) {
        let Some(edge) = self.edges.remove(&key) else { return };
        for (ask, channel) in edge.asks {
            let Some(held) = self.channels.get_mut(&channel) else { continue };
            held.asks.retain(|one| one.key != AskKey { edge: key, ask });
            // Whoever else asks: this edge may come back to its log.
            held.abandoned = Some(now);
            self.abandoned.push_back((now, channel));
        }
    }

    /// An edge asks for something.
    pub(super) fn order(&mut self, key: EdgeKey, ask: u64, order: Order) {
        if !self.edges.contains_key(&key) {
            return;
        }
        match order {
            Order::Hold(channel) => self.ask(key, ask, &channel, Mode::Holding),
            Order::Take(channel, take) => {
                let mode = Mode::Waiting { take, asked_at: self.log.next(), own_tick: self.counter };
                self.ask(key, ask, &channel, mode);
            }
            Order::Release => self.release(key, ask),
        }
    }

    fn ask(&mut self, key: EdgeKey, ask: u64, channel: &Channel, mode: Mode) {
        let Some(edge) = self.edges.get_mut(&key) else { return };
        // An ask stays with the channel for which it was made.
        let known = edge.asks.entry(ask).or_insert_with(|| channel.clone());
        if known != channel {
            return;
        }
        let held = self.channels.entry(channel.clone()).or_insert_with(|| {
            self.subscribe.push(channel.clone());
            self.unconfirmed.insert(channel.clone());
            Held::default()
        });
        let is_take = matches!(mode, Mode::Waiting { .. });
        let key = AskKey { edge: key, ask };
        match held.asks.iter_mut().find(|one| one.key == key) {
            Some(known) => known.mode = mode,
            None => held.asks.push(Ask { key, mode }),
        }
        if is_take {
            self.answer(channel);
        } else if let Some(since) = held.since.and_then(|since| self.ticks.from(since)) {
            edge.outlet.put(Notice::Held { ask, since });
        }
    }

    fn release(&mut self, key: EdgeKey, ask: u64) {
        let Some(channel) = self.edges.get_mut(&key).and_then(|edge| edge.asks.remove(&ask)) else { return };
        let Some(held) = self.channels.get_mut(&channel) else { return };
        held.asks.retain(|one| one.key != AskKey { edge: key, ask });
        if held.asks.is_empty() && held.abandoned.is_none() {
            self.leave(channel);
        }
    }

    fn leave(&mut self, channel: Channel) {
        self.channels.remove(&channel);
        self.unconfirmed.remove(&channel);
        self.waiting.remove(&channel);
        self.unsubscribe.push(channel);
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
        self.left.extend(unsubscribe.into_iter().map(|channel| (channel, number)));
        for channel in subscribe {
            if let Some(held) = self.channels.get_mut(&channel) {
                held.ordered = Some(number);
            }
        }
    }

    /// A message arrived on a channel.
    pub(super) fn received(&mut self, channel: &str, message: &str, now: Instant) {
        let Some((channel, _)) = self.channels.get_key_value(channel) else { return };
        if self.left.contains_key(channel) {
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
                        edge.outlet.put(Notice::Event { ask: ask.key.ask, message: Arc::clone(&message) });
                    }
                }
                Mode::Replaying { events, .. } => events.push_back(number),
                Mode::Holding | Mode::Waiting { .. } => {}
            }
        }
        if self.waiting.contains(&channel) {
            self.answer(&channel);
        }
        self.evict(now);
    }

    /// A tick arrived.
    pub(super) fn ticked(&mut self, tick: Tick, now: Instant) {
        let Some(number) = self.ticks.push(tick, now) else { return };
        for edge in self.edges.values_mut() {
            edge.outlet.put(Notice::Tick(tick));
        }
        if tick.incarnation == self.incarnation {
            self.can_tick();
            let mut subscribed = None;
            while let Some((_, what)) = self.under_way.pop_front_if(|(counter, _)| *counter <= tick.counter) {
                subscribed = Some(what);
            }
            if let Some(subscribed) = subscribed {
                self.confirm(subscribed, number, tick);
            }
        }
        for channel in self.waiting.iter().cloned().collect::<Vec<_>>() {
            self.answer(&channel);
        }
        self.abandon(now);
        self.evict(now);
    }

    /// The subscriptions of changes up to this one count from this tick on.
    fn confirm(&mut self, subscribed: u64, number: u64, tick: Tick) {
        let channels = &mut self.channels;
        let confirmed: Vec<Channel> = self
            .unconfirmed
            .extract_if(|channel| {
                channels.get(channel).is_none_or(|held| held.ordered.is_some_and(|change| change <= subscribed))
            })
            .collect();
        for channel in confirmed {
            let Some(held) = self.channels.get_mut(&channel) else { continue };
            held.since = Some(number);
            for ask in &held.asks {
                if let Some(edge) = self.edges.get_mut(&ask.key.edge) {
                    edge.outlet.put(Notice::Held { ask: ask.key.ask, since: tick });
                }
            }
            self.answer(&channel);
        }
    }

    /// Answers what can be answered of the takes that wait for something on a channel.
    fn answer(&mut self, channel: &Channel) {
        let Some(held) = self.channels.get_mut(channel) else { return };
        let mut still_waiting = false;
        for index in 0..held.asks.len() {
            let Mode::Waiting { take, asked_at, own_tick } = held.asks[index].mode else { continue };
            let has_caught_up = self.ticks.is_past(Tick { incarnation: self.incarnation, counter: own_tick });
            let AskKey { edge, ask } = held.asks[index].key;
            let Some(edge) = self.edges.get_mut(&edge) else { continue };
            let mode = match held.answer(take, asked_at, has_caught_up, &self.ticks, &self.log) {
                Answer::Wait => {
                    still_waiting = true;
                    self.tick_wanted |= held.since.is_some();
                    continue;
                }
                Answer::Refuse(cause) => {
                    // That it holds is news to who asked it for the first time.
                    if let Some(since) = held.since.and_then(|since| self.ticks.from(since)) {
                        edge.outlet.put(Notice::Held { ask, since });
                    }
                    edge.outlet.put(Notice::Refused { ask, round: take.round, cause });
                    Mode::Holding
                }
                Answer::Begin { gap, events } => {
                    if let Some(cause) = gap {
                        edge.outlet.put(Notice::Gap { ask, round: take.round, cause });
                    }
                    edge.begin(ask, channel, take.round, events, held.count_since(self.ticks.last()))
                }
            };
            held.asks[index].mode = mode;
        }
        if still_waiting {
            self.waiting.insert(channel.clone());
        } else {
            self.waiting.remove(channel);
        }
    }

    /// Tells every edge to take elsewhere.
    pub(super) fn leaving(&mut self) {
        self.is_leaving = true;
        for edge in self.edges.values_mut() {
            edge.outlet.put(Notice::Leaving);
        }
    }

    fn abandon(&mut self, now: Instant) {
        let linger = self.linger;
        while let Some((since, channel)) = self.abandoned.pop_front_if(|(since, _)| now - *since > linger) {
            let Some(held) = self.channels.get_mut(&channel).filter(|held| held.abandoned == Some(since)) else {
                continue;
            };
            held.abandoned = None;
            if held.asks.is_empty() {
                self.leave(channel);
            }
        }
    }

    fn evict(&mut self, now: Instant) {
        while let Some((entry, for_bytes)) = self.log.evict(now) {
            self.overrun += u64::from(for_bytes);
            if let Some(held) = self.channels.get_mut(&entry.channel) {
                held.evicted = Some(entry.place);
            }
        }
    }
}

impl Edge {
    /// Nothing is to be replayed any more for the ask that was in turn.
    fn replayed(&mut self, ask: u64) {
        self.replaying.pop_front();
        self.queued.remove(&ask);
    }

    /// How an ask goes on whose take begins with these events.
    fn begin(&mut self, ask: u64, channel: &Channel, round: u32, events: VecDeque<u64>, count: u32) -> Mode {
        if events.is_empty() {
            self.outlet.put(Notice::Taken { ask, round, count });
            return Mode::Relaying;
        }
        if self.queued.insert(ask) {
            self.replaying.push_back((ask, channel.clone()));
        }
        self.outlet.filled().notify_one();
        Mode::Replaying { round, events }
    }
}

#[cfg(test)]
mod tests;
