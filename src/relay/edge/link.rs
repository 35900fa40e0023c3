//! One link, as the edge knows it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;

use super::super::{
    door::{LinkId, Orders},
    message::Order,
    position::Tick,
};
use crate::domain::Channel;

/// Ticks that are remembered to know whether one has been passed.
const RECENT: usize = 512;

/// A link to a node that holds channels.
#[derive(Debug)]
pub(super) struct Link {
    pub id: LinkId,
    /// Whether the node has Redis.
    is_up: bool,
    /// When that was said, or the link was opened.
    pub changed: Instant,
    pub is_leaving: bool,
    /// Whether ticks have not come for too long.
    pub is_silent: bool,
    /// The last tick on this link.
    pub last_tick: Tick,
    /// How many ticks there were.
    pub ticks: u64,
    /// When the last one came.
    pub heard: Instant,
    /// When it last answered a take, or confirmed.
    pub answered: Option<Instant>,
    recent: VecDeque<Tick>,
    passed: HashSet<Tick>,
    orders: Arc<Orders>,
    asks: HashMap<u64, Channel>,
    asks_ever: u64,
}

impl Link {
    pub(super) fn new(id: LinkId, orders: Arc<Orders>, now: Instant) -> Self {
        Self {
            id,
            is_up: false,
            changed: now,
            is_leaving: false,
            is_silent: false,
            last_tick: Tick::UNKNOWN,
            ticks: 0,
            heard: now,
            answered: None,
            recent: VecDeque::new(),
            passed: HashSet::new(),
            orders,
            asks: HashMap::new(),
            asks_ever: 0,
        }
    }

    /// Whether the node has Redis.
    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    /// The node says whether it has Redis; returns whether it did before.
    pub(super) fn set_up(&mut self, is_up: bool, now: Instant) -> bool {
        if self.is_up != is_up {
            self.changed = now;
        }
        std::mem::replace(&mut self.is_up, is_up)
    }

    /// Whether the node can hold channels.
    pub(super) fn is_able(&self) -> bool {
        self.is_up && !self.is_silent
    }

    pub(super) fn ticked(&mut self, tick: Tick, now: Instant) {
        (self.last_tick, self.heard) = (tick, now);
        self.ticks += 1;
        self.passed.insert(tick);
        self.recent.push_back(tick);
        if self.recent.len() > RECENT
            && let Some(old) = self.recent.pop_front()
        {
            self.passed.remove(&old);
        }
    }

    /// Whether a tick came over this link, not long ago.
    pub(super) fn has_passed(&self, tick: Tick) -> bool {
        self.passed.contains(&tick)
    }

    /// The channel of an ask.
    pub(super) fn channel(&self, ask: u64) -> Option<&Channel> {
        self.asks.get(&ask)
    }

    pub(super) fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.asks.values()
    }

    /// A new ask for a channel.
    pub(super) fn ask(&mut self, channel: &Channel) -> u64 {
        self.asks_ever += 1;
        self.asks.insert(self.asks_ever, channel.clone());
        self.asks_ever
    }

    pub(super) fn order(&self, ask: u64, order: Order) {
        self.orders.put(ask, order);
    }

    pub(super) fn release(&mut self, ask: u64) {
        if self.asks.remove(&ask).is_some() {
            self.orders.put(ask, Order::Release);
        }
    }
}
