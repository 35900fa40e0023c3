//! What happened at an edge, by channel and in its order: against it stands what a subscription missed.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;

use super::super::door::LinkId;
use crate::domain::Channel;

/// One take: over which link, for which ask there, and which attempt it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct TakeId {
    pub link: LinkId,
    pub ask: u64,
    pub round: u32,
}

/// What happened on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum What {
    /// An event came as it happened.
    Live,
    /// A take brought an event from a log.
    Replayed(TakeId),
    /// The source said a gap in answer to a take, for the first time or again.
    Said(TakeId),
    /// Sessions were told that events are missing. What is no more than a beginning is not counted.
    Missed { is_counted: bool },
    /// A take has brought everything: what follows is live.
    Taken(TakeId),
}

/// The same, and how long after the beginning of the simulation it happened.
#[derive(Clone, Copy, Debug)]
pub(in crate::relay) struct Entry {
    pub what: What,
    pub at: Duration,
}

/// The record of one edge.
#[derive(Debug, Default)]
pub(in crate::relay) struct Record {
    channels: Mutex<HashMap<Channel, Vec<Entry>>>,
    now: Mutex<Duration>,
}

impl Record {
    pub(in crate::relay) fn note(&self, channel: &Channel, what: What) {
        let entry = Entry { what, at: self.now() };
        self.channels.lock().entry(channel.clone()).or_default().push(entry);
    }

    /// What time it is: the network's, if there is one, or else what was said last.
    pub(super) fn now(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or(*self.now.lock())
    }

    pub(super) fn is_at(&self, now: Duration) {
        *self.now.lock() = now;
    }

    /// How many entries a channel has.
    pub(super) fn length(&self, channel: &str) -> usize {
        self.channels.lock().get(channel).map_or(0, Vec::len)
    }

    pub(super) fn of(&self, channel: &Channel) -> Vec<Entry> {
        self.channels.lock().get(channel).cloned().unwrap_or_default()
    }

    /// How many gaps were counted, on all channels together.
    pub(super) fn counted(&self) -> usize {
        let is_counted = |entry: &&Entry| entry.what == What::Missed { is_counted: true };
        self.channels.lock().values().flatten().filter(is_counted).count()
    }
}
