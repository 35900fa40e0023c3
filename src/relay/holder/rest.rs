//! Whether nothing is left to be done: what simulations ask a holder.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::{EdgeKey, Held, Holder, Mode};
use crate::domain::Channel;

impl Holder {
    /// A link ended, and everything that its edge asked for is given up at once.
    pub(in super::super) fn lost(&mut self, key: EdgeKey, now: Instant) {
        let asks = self.gone(key);
        self.give_up(key, asks, now);
    }

    /// What is not as it is to be when nothing happens any more, in words.
    pub(in super::super) fn unrest(&self) -> Vec<String> {
        let mut unrest = Vec::new();
        if !self.waiting.is_empty() || !self.unconfirmed.is_empty() || self.left.len() > 0 {
            let Self { waiting, unconfirmed, left, .. } = self;
            unrest.push(format!("waiting: {waiting:?}, unconfirmed: {unconfirmed:?}, left: {left:?}"));
        }
        let is_sound = |held: &Held| held.since.is_some() && (held.kept_since.is_some() || !held.asks.is_empty());
        unrest.extend(
            self.channels.iter().filter(|(_, held)| !is_sound(held)).map(|(name, held)| format!("{name}: {held:?}")),
        );
        unrest
    }

    /// What an edge asks for, and whether it is relayed to it.
    pub(in super::super) fn asks_of(&self, edge: EdgeKey) -> Vec<(Channel, bool)> {
        let asks = self.channels.iter().flat_map(|(channel, held)| held.asks.iter().map(move |ask| (channel, ask)));
        asks.filter(|(_, ask)| ask.key.edge == edge)
            .map(|(channel, ask)| (channel.clone(), !matches!(ask.mode, Mode::Holding)))
            .collect()
    }

    /// The channels that it holds.
    pub(in super::super) fn held(&self) -> BTreeSet<Channel> {
        self.channels.keys().cloned().collect()
    }

    /// Of these, the channels that no edge asks for: an edge may come back to their log.
    pub(in super::super) fn lingering(&self) -> BTreeSet<Channel> {
        let lingering = self.channels.iter().filter(|(_, held)| held.asks.is_empty());
        lingering.map(|(channel, _)| channel.clone()).collect()
    }
}
