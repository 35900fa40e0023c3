//! Channels that a node has left.

use std::collections::{HashMap, VecDeque};

use crate::domain::Channel;

/// Channels that were left, and by which change, until all has arrived that Redis sent before: what comes of them was under way,
/// and if one of them is subscribed again, anything may be missing in between.
#[derive(Debug, Default)]
pub(super) struct Left {
    changes: HashMap<Channel, u64>,
    in_order: VecDeque<(u64, Channel)>,
}

impl Left {
    pub(super) fn extend(&mut self, channels: Vec<Channel>, change: u64) {
        self.in_order.extend(channels.iter().cloned().map(|channel| (change, channel)));
        self.changes.extend(channels.into_iter().map(|channel| (channel, change)));
    }

    pub(super) fn contains(&self, channel: &Channel) -> bool {
        self.changes.contains_key(channel)
    }

    /// Everything has arrived that Redis sent before it had done this change.
    pub(super) fn arrived(&mut self, change: u64) {
        while let Some((left, channel)) = self.in_order.pop_front_if(|(left, _)| *left <= change) {
            if self.changes.get(&channel) == Some(&left) {
                self.changes.remove(&channel);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
