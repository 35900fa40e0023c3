//! Channels that a node has left.

use std::collections::{BTreeSet, HashMap};

use crate::domain::Channel;

/// How many are remembered while no own ticks come, as without Redis: then only those matter that are subscribed again in the
/// moment in which it comes back.
const MOST_UNANSWERED: usize = 100_000;

/// Channels that were left, and by which change, until all has arrived that Redis sent before: what comes of them was under way,
/// and if one of them is subscribed again, anything may be missing in between.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Each channel once, by the last change.
    changes: HashMap<Channel, u64>,
    in_order: BTreeSet<(u64, Channel)>,
}

impl Left {
    pub(super) fn extend(&mut self, channels: Vec<Channel>, change: u64) {
        for channel in channels {
            if let Some(before) = self.changes.insert(channel.clone(), change) {
                self.in_order.remove(&(before, channel.clone()));
            }
            self.in_order.insert((change, channel));
        }
    }

    /// Own ticks do not come: forgets the oldest of too many.
    pub(super) fn bound(&mut self) {
        while self.in_order.len() > MOST_UNANSWERED
            && let Some((_, channel)) = self.in_order.pop_first()
        {
            self.changes.remove(&channel);
        }
    }

    pub(super) fn contains(&self, channel: &Channel) -> bool {
        self.changes.contains_key(channel)
    }

    /// Everything has arrived that Redis sent before it had done this change.
    pub(super) fn arrived(&mut self, change: u64) {
        while self.in_order.first().is_some_and(|(left, _)| *left <= change)
            && let Some((_, channel)) = self.in_order.pop_first()
        {
            self.changes.remove(&channel);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.changes.len().max(self.in_order.len())
    }
}
