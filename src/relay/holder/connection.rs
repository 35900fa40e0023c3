//! The connection to Redis, as ticks and breaks tell of it: what is subscribed, and since when it counts.

use std::collections::btree_map::Entry;

use tokio::time::Instant;

use super::{
    super::{message::Notice, position::Tick},
    Echo, Holder, Mode,
};
use crate::domain::Channel;

/// Ticks under way that are told apart by what they confirm. There are more only while none comes back.
const MOST_UNDER_WAY: usize = 1_024;

impl Holder {
    /// A tick arrived.
    pub(in super::super) fn ticked(&mut self, tick: Tick, now: Instant) {
        let Some(number) = self.ticks.push(tick, now) else { return };
        for edge in self.edges.values_mut() {
            edge.outlet.put(Notice::Tick(tick));
        }
        if tick.incarnation == self.incarnation {
            let mut subscribed = None;
            while let Some((_, what)) = self.under_way.pop_front_if(|(counter, _)| *counter <= tick.counter) {
                subscribed = Some(what);
            }
            if let Some(subscribed) = subscribed {
                // Not before: that Redis has done it may be told before messages that came earlier.
                self.left.arrived(subscribed);
                self.confirm(subscribed, number, tick);
            }
            if self.echo.returned(tick.counter >= self.counter, now) && self.is_up {
                self.recover();
            }
        } else if self.echo.heard_another(now) && self.is_up {
            self.fall_silent();
        }
        for channel in std::mem::take(&mut self.waiting) {
            self.answer(&channel);
        }
        self.abandon(now);
        self.evict(now);
    }

    /// The subscriptions of changes up to this one count from this tick on.
    fn confirm(&mut self, subscribed: u64, number: u64, tick: Tick) {
        let later = self.unconfirmed.split_off(&(subscribed + 1));
        for channel in std::mem::replace(&mut self.unconfirmed, later).into_values().flatten() {
            let Some(held) = self.channels.get_mut(&channel) else { continue };
            held.since = Some(number);
            for ask in &held.asks {
                if let Some(edge) = self.edges.get_mut(&ask.key.edge) {
                    edge.confirm(ask.key.ask, tick);
                }
            }
            self.answer(&channel);
        }
    }

    /// Whether it holds channels that it is asked for from now on.
    pub(super) fn is_able(&self) -> bool {
        self.is_up && !self.echo.is_missing()
    }

    /// Its own ticks do not come back, so no subscription would ever count: others are to take its place. What it holds it
    /// goes on holding, as its subscriptions are whole.
    fn fall_silent(&mut self) {
        tracing::warn!("no tick that this node published has come back for 3 seconds: others take its place");
        self.stop_relaying();
        self.tell(&Notice::Broken);
    }

    /// Its own ticks come back. What it has held all the time counts again at the edges, which have forgotten it.
    fn recover(&mut self) {
        tracing::info!("the ticks that this node publishes come back");
        self.tell(&Notice::Up);
        for edge in self.edges.values_mut() {
            edge.owed.extend(edge.asks.keys());
        }
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
        self.is_up = true;
        self.tell(&Notice::Up);
    }

    /// The connection to Redis ended: nothing of what follows continues what was before.
    pub(in super::super) fn broken(&mut self) {
        self.is_up = false;
        self.echo = Echo::default();
        self.subscribed = 0;
        self.left.clear();
        self.void();
        self.tell(&Notice::Broken);
    }

    /// Messages were lost, though the subscriptions stay.
    pub(in super::super) fn lagged(&mut self) {
        self.void();
        self.tell(&Notice::Broken);
        if self.is_able() {
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
        self.echo.sent();
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
