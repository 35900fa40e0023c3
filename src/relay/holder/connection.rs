//! The connection to Redis, as ticks and breaks tell of it: what is subscribed, and since when it counts.

use std::collections::btree_map::Entry;

use tokio::time::Instant;

use super::{
    super::{message::Notice, position::Tick},
    Holder, Mode,
};
use crate::domain::Channel;

/// Ticks under way that are told apart by what they confirm. There are more only while none comes back.
const MOST_UNDER_WAY: usize = 1_024;

/// How many seconds it may take until an own tick comes back. A Redis that is silent for as long is given up by then.
const UNANSWERED: u32 = 6;

impl Holder {
    /// A tick arrived.
    pub(in super::super) fn ticked(&mut self, tick: Tick, now: Instant) {
        let Some(number) = self.ticks.push(tick, now) else { return };
        for edge in self.edges.values_mut() {
            edge.outlet.put(Notice::Tick(tick));
        }
        if tick.incarnation == self.incarnation {
            self.unanswered = 0;
            if self.is_connected && !self.is_up {
                self.rise();
            }
            let mut subscribed = None;
            while let Some((_, what)) = self.under_way.pop_front_if(|(counter, _)| *counter <= tick.counter) {
                subscribed = Some(what);
            }
            if let Some(subscribed) = subscribed {
                // Not before: that Redis has done it may be told before messages that came earlier.
                self.left.arrived(subscribed);
                self.confirm(subscribed, number);
            }
        }
        for channel in std::mem::take(&mut self.waiting) {
            self.answer(&channel);
        }
        self.abandon(now);
        self.evict(now);
    }

    /// The subscriptions of changes up to this one count from this tick on.
    fn confirm(&mut self, subscribed: u64, number: u64) {
        let later = self.unconfirmed.split_off(&(subscribed + 1));
        for channel in std::mem::replace(&mut self.unconfirmed, later).into_values().flatten() {
            let Some(held) = self.channels.get_mut(&channel) else { continue };
            held.since = Some(number);
            for ask in &held.asks {
                if let Some(edge) = self.edges.get_mut(&ask.key.edge) {
                    edge.owe(ask.key.ask, true);
                }
            }
        }
    }

    /// An own tick came back, so subscriptions can be confirmed. What it has held all the time, if it was able before, counts
    /// again at the edges, which have forgotten it.
    fn rise(&mut self) {
        self.is_up = true;
        self.tell(&Notice::Up);
        let (edges, channels) = (&mut self.edges, &self.channels);
        for edge in edges.values_mut() {
            let counts = |channel: &Channel| channels.get(channel).is_some_and(|held| held.since.is_some());
            edge.owed.extend(edge.asks.iter().filter(|(_, channel)| counts(channel)).map(|(ask, _)| (*ask, true)));
        }
    }

    /// To be called each second, before the regular tick; whether this node has become unable. Without own ticks no
    /// subscription would ever count: others are to take its place. What it holds it goes on holding, as its subscriptions
    /// are whole.
    pub(in super::super) fn another_second(&mut self) -> bool {
        self.unanswered = self.unanswered.saturating_add(1);
        if self.unanswered <= UNANSWERED || !std::mem::replace(&mut self.is_up, false) {
            return false;
        }
        self.stop_relaying();
        self.tell(&Notice::Broken);
        true
    }

    fn tell(&mut self, notice: &Notice) {
        for edge in self.edges.values_mut() {
            edge.outlet.put(notice.clone());
        }
    }

    fn stop_relaying(&mut self) {
        for ask in self.channels.values_mut().flat_map(|held| &mut held.asks) {
            if matches!(ask.mode, Mode::Relaying | Mode::Replaying { .. }) {
                ask.mode = Mode::Holding;
            }
        }
    }

    /// A channel is left that was ordered with this change.
    pub(super) fn forget_unconfirmed(&mut self, ordered: u64, channel: &Channel) {
        if let Entry::Occupied(mut channels) = self.unconfirmed.entry(ordered) {
            channels.get_mut().remove(channel);
            if channels.get().is_empty() {
                channels.remove();
            }
        }
    }

    /// Upstream is subscribed to everything that it was told up to this change.
    pub(in super::super) fn subscribed(&mut self, change: u64) {
        self.subscribed = self.subscribed.max(change);
    }

    /// There is a connection, and everything is subscribed on it.
    pub(in super::super) fn connected(&mut self) {
        self.is_connected = true;
        // It shows whether this node can publish.
        self.tick_wanted = true;
    }

    /// The connection to Redis ended: nothing of what follows continues what was before.
    pub(in super::super) fn broken(&mut self) {
        (self.is_connected, self.is_up) = (false, false);
        self.subscribed = 0;
        self.left.clear();
        self.void();
        self.tell(&Notice::Broken);
    }

    /// Messages were lost, though the subscriptions stay.
    pub(in super::super) fn lagged(&mut self) {
        self.void();
        self.tell(&Notice::Broken);
        if self.is_up {
            self.tell(&Notice::Up);
        }
    }

    fn void(&mut self) {
        self.under_way.clear();
        self.waiting.clear();
        for (channel, held) in &mut self.channels {
            held.since = None;
            if let Some(ordered) = held.ordered {
                self.unconfirmed.entry(ordered).or_default().insert(channel.clone());
            }
        }
        self.stop_relaying();
    }

    /// The next tick to publish.
    pub(in super::super) fn next_tick(&mut self) -> Tick {
        self.counter += 1;
        self.tick_wanted = false;
        // The first one that is back confirms; and of too many, the last.
        if self.under_way.back().map_or(0, |(_, subscribed)| *subscribed) < self.subscribed {
            self.under_way.truncate(MOST_UNDER_WAY - 1);
            self.under_way.push_back((self.counter, self.subscribed));
        }
        Tick { incarnation: self.incarnation, counter: self.counter }
    }

    /// Whether something waits for an own tick, such as a subscription that is to count from it: no reason to wait for the
    /// next regular one.
    pub(in super::super) fn wants_tick(&self) -> bool {
        // What is confirmed when those under way are back.
        let soon = self.under_way.back().map_or(0, |(_, subscribed)| *subscribed);
        self.tick_wanted || (soon < self.subscribed && self.unconfirmed.range(soon + 1..=self.subscribed).any(|_| true))
    }
}
