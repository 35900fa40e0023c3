//! What a holder knows of its connection to Redis, and the ticks that it publishes.

use super::{AskKey, Holder, Mode};
use crate::relay::{message::Notice, position::Tick};

/// How many seconds it may take until an own tick comes back. A Redis that is silent for as long is given up by then.
const UNANSWERED: u32 = 6;

impl Holder {
    /// Upstream is subscribed to everything that it was told up to this change.
    pub(in super::super) fn subscribed(&mut self, change: u64) {
        self.subscribed = self.subscribed.max(change);
        self.left.retain(|_, left| *left > change);
    }

    /// There is a connection, and everything is subscribed on it.
    pub(in super::super) fn connected(&mut self) {
        self.is_connected = true;
        // It shows whether this node can publish.
        self.tick_wanted = true;
    }

    /// An own tick came back.
    pub(super) fn can_tick(&mut self) {
        self.unanswered = 0;
        if !self.is_connected || std::mem::replace(&mut self.is_up, true) {
            return;
        }
        for edge in self.edges.values_mut() {
            edge.outlet.put(Notice::Up);
        }
        // What was confirmed before edges were told that this node can do nothing for them.
        for held in self.channels.values() {
            let Some(since) = held.since.and_then(|since| self.ticks.from(since)) else { continue };
            for AskKey { edge, ask } in held.asks.iter().map(|ask| ask.key) {
                if let Some(edge) = self.edges.get_mut(&edge) {
                    edge.outlet.put(Notice::Held { ask, since });
                }
            }
        }
    }

    /// To be called each second, before the regular tick. Without own ticks nothing can be confirmed: after some seconds
    /// edges are told to do without this node; whether that was now.
    pub(in super::super) fn another_second(&mut self) -> bool {
        self.unanswered = self.unanswered.saturating_add(1);
        if self.unanswered <= UNANSWERED || !std::mem::replace(&mut self.is_up, false) {
            return false;
        }
        for edge in self.edges.values_mut() {
            edge.outlet.put(Notice::Broken);
        }
        true
    }

    /// The connection to Redis ended: nothing of what follows continues what was before.
    pub(in super::super) fn broken(&mut self) {
        (self.is_connected, self.is_up) = (false, false);
        self.subscribed = 0;
        self.left.clear();
        self.void();
        for edge in self.edges.values_mut() {
            edge.outlet.put(Notice::Broken);
        }
    }

    /// Messages were lost, though the subscriptions stay.
    pub(in super::super) fn lagged(&mut self) {
        self.void();
        for edge in self.edges.values_mut() {
            edge.outlet.put(Notice::Broken);
            if self.is_up {
                edge.outlet.put(Notice::Up);
            }
        }
    }

    fn void(&mut self) {
        self.under_way.clear();
        for (channel, held) in &mut self.channels {
            held.since = None;
            self.unconfirmed.insert(channel.clone());
            for ask in &mut held.asks {
                if matches!(ask.mode, Mode::Relaying | Mode::Replaying { .. }) {
                    ask.mode = Mode::Holding;
                }
            }
        }
    }

    /// The next tick to publish.
    pub(in super::super) fn next_tick(&mut self) -> Tick {
        self.counter += 1;
        self.tick_wanted = false;
        // Whichever comes back first confirms.
        if self.subscribed > self.under_way.back().map_or(0, |(_, subscribed)| *subscribed) {
            self.under_way.push_back((self.counter, self.subscribed));
        }
        Tick { incarnation: self.incarnation, counter: self.counter }
    }

    /// Whether something waits for an own tick, such as a subscription that is to count from it: no reason to wait for the
    /// next regular one.
    pub(in super::super) fn wants_tick(&self) -> bool {
        let subscribed = self.under_way.back().map_or(0, |(_, subscribed)| *subscribed);
        self.tick_wanted || (self.subscribed > subscribed && !self.unconfirmed.is_empty())
    }
}
