//! Channels of which not all is as it should be yet, and when each is to be looked at again.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use crate::domain::Channel;

/// Channels in the order of time.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    due: HashMap<Channel, Instant>,
    order: BTreeSet<(Instant, Channel)>,
}

impl Unsettled {
    /// A channel is to be looked at then, and not when it was to be before.
    pub(super) fn put(&mut self, channel: Channel, due: Instant) {
        if let Some(earlier) = self.due.insert(channel.clone(), due) {
            if earlier == due {
                return;
            }
            self.order.remove(&(earlier, channel.clone()));
        }
        self.order.insert((due, channel));
    }

    /// All of a channel is as it should be, or it does not matter any more.
    pub(super) fn remove(&mut self, channel: &Channel) {
        if let Some(due) = self.due.remove(channel) {
            self.order.remove(&(due, channel.clone()));
        }
    }

    /// The channels that are to be looked at now.
    pub(super) fn due(&self, now: Instant) -> Vec<Channel> {
        self.order.iter().take_while(|(due, _)| *due <= now).map(|(_, channel)| channel.clone()).collect()
    }

    /// All of them.
    #[cfg(test)]
    pub(super) fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.due.keys()
    }
}
