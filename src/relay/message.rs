//! What edges and holders say to each other, over a link or within a node.

use std::{sync::Arc, time::Duration};

use super::position::{Position, Tick};
use crate::domain::Channel;
pub use crate::telemetry::relay::GapCause;

/// Bytes of an event that is relayed: more than Redis passes on to subscribers by default (32 MB), and than may wait for a
/// link. Of a larger one there is no more than its place in the channel: an empty message.
pub(super) const LARGEST_EVENT: usize = 40 * 1024 * 1024;

/// What an edge asks of a holder for one channel. Each is about an *ask*: a number that the edge gives to its interest in
/// a channel at one holder; of several about the same one, the last counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Subscribe and keep the log, and relay nothing.
    Hold(Channel),
    /// Relay from a position on, then whatever comes.
    Take(Channel, Take),
    /// The channel is not wanted any more.
    Release,
}

/// From where a channel is to be relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// Which attempt of this ask it is; answers name it.
    pub round: u32,
    /// What the edge has; without it, it gets what the holder receives from now on.
    pub from: Option<Position>,
    /// Whether to refuse if there would be a gap.
    pub strict: bool,
}

/// What a holder tells an edge, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A tick arrived: it stands in its place among the events of all channels.
    Tick(Tick),
    /// An event arrived on a channel that is relayed.
    Event {
        /// The ask.
        ask: u64,
        /// How long it waited on its way, if somebody did not keep up; else nothing.
        age: Duration,
        /// The event; empty if it is too large.
        message: Arc<str>,
    },
    /// The holder's subscription counts from this tick on.
    Held {
        /// The ask.
        ask: u64,
        /// Events after this tick are in the log until they are evicted.
        since: Tick,
    },
    /// An event that came after the position that was taken from.
    Replay {
        /// The ask.
        ask: u64,
        /// The take's.
        round: u32,
        /// The last tick before the event.
        tick: Tick,
        /// How many events the channel had since, with this one.
        count: u32,
        /// How long before it was sent the holder received it. The time on the way is not in it, and nobody can know it: a
        /// watcher who came within that time, milliseconds, gets an event as old as a live one that is under way when it comes.
        age: Duration,
        /// The event; empty if it is too large.
        message: Arc<str>,
    },
    /// The edge has everything now; what follows comes as it happens.
    Taken {
        /// The ask.
        ask: u64,
        /// The take's.
        round: u32,
        /// How many events the channel had since the last tick on this link.
        count: u32,
    },
    /// Events are missing at this place, and the channel goes on.
    Gap {
        /// The ask.
        ask: u64,
        /// The take's.
        round: u32,
        /// Why.
        cause: GapCause,
    },
    /// There would be a gap, and the edge did not want one; nothing is relayed.
    Refused {
        /// The ask.
        ask: u64,
        /// The take's.
        round: u32,
        /// Why.
        cause: GapCause,
    },
    /// The holder lost Redis, or its own ticks do not come back: it relays nothing until it says otherwise, and what it
    /// confirmed counts only if it is confirmed again.
    Broken,
    /// The holder has Redis (again).
    Up,
    /// The holder is about to leave: take elsewhere.
    Leaving,
}

/// An event that waits for less than this is as young as when it came: with that the watchers who came meanwhile need not be
/// told apart for each event.
const NO_WAIT: Duration = Duration::from_millis(50);

impl Notice {
    /// An event has waited for so long on its way.
    pub(super) fn grow_older(&mut self, waited: Duration) {
        match self {
            Self::Replay { age, .. } => *age += waited,
            Self::Event { age, .. } if waited >= NO_WAIT => *age += waited,
            _ => {}
        }
    }

    /// How much it takes where it waits, in bytes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Event { message, .. } | Self::Replay { message, .. } => message.len(),
                _ => 0,
            }
    }
}
