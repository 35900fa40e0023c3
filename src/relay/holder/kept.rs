//! Channels whose edges may come back: their links ended without releasing them.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::{Holder, PORTION};
use crate::domain::Channel;

/// What all kept channels may cost together, in bytes: 1.5 million with names of ordinary length.
const MOST: usize = 1_024_000_000;

/// What a channel costs beyond its name: its entries here and at upstream, in maps that are half empty at worst (600 bytes, as
/// measured), and at the library, which has a copy of the name too.
const EACH: usize = 640;

/// Each channel once, by when the last link ended over which it had been asked for.
#[derive(Debug)]
pub(super) struct Kept {
    in_order: BTreeSet<(Instant, Channel)>,
    cost: usize,
    pub most: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Self { in_order: BTreeSet::new(), cost: 0, most: MOST }
    }
}

fn cost(channel: &Channel) -> usize {
    EACH + 2 * channel.as_str().len()
}

impl Kept {
    fn insert(&mut self, since: Instant, channel: Channel) {
        self.cost += cost(&channel);
        if let Some((_, channel)) = self.in_order.replace((since, channel)) {
            self.cost -= cost(&channel);
        }
    }

    fn remove(&mut self, since: Instant, channel: Channel) {
        let entry = (since, channel);
        if self.in_order.remove(&entry) {
            self.cost -= cost(&entry.1);
        }
    }

    /// The first one, if it was kept before this time or there is no room for it.
    fn pop(&mut self, before: Instant) -> Option<Channel> {
        let is_too_much = self.cost > self.most;
        self.in_order.first().filter(|(since, _)| is_too_much || *since < before)?;
        let (_, channel) = self.in_order.pop_first()?;
        self.cost -= cost(&channel);
        Some(channel)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.in_order.len()
    }
}

impl Holder {
    /// Keeps a channel for an edge that is gone, whoever else asks for it: the edge may come back to its log.
    pub(super) fn keep(&mut self, channel: Channel, now: Instant) {
        let Some(held) = self.channels.get_mut(&channel) else { return };
        if let Some(before) = held.kept_since.replace(now) {
            self.kept.remove(before, channel.clone());
        }
        if held.asks.is_empty() {
            held.asks = Vec::new();
        }
        self.kept.insert(now, channel);
    }

    /// Leaves channels whose edges have not come back for as long as the log is; of very many, some.
    pub(super) fn abandon(&mut self, now: Instant) {
        let Some(before) = now.checked_sub(self.linger) else { return };
        for _ in 0..PORTION {
            let Some(channel) = self.kept.pop(before) else { return };
            let Some(held) = self.channels.get_mut(&channel) else { continue };
            held.kept_since = None;
            if held.asks.is_empty() {
                self.leave(channel);
            }
        }
    }
}
