//! What can be asked about a holder.

use std::time::Duration;

use tokio::time::Instant;

use super::{Edge, EdgeKey, Held, Holder};
use crate::domain::{Channel, ChannelKind};

impl Holder {
    /// How old the oldest event in the log is, and how many bytes all take.
    pub(in super::super) fn depth(&self, now: Instant) -> (Duration, usize) {
        (self.log.depth(now), self.log.bytes())
    }

    /// How many events were evicted because the log was full, since this was last asked.
    pub(in super::super) fn take_overrun(&mut self) -> u64 {
        std::mem::take(&mut self.overrun)
    }

    /// Whether another node can take over what this one holds, as far as is known.
    pub(in super::super) fn has_heir(&mut self, has_heir: bool) {
        self.has_heir = has_heir;
    }

    /// Whether it is leaving, and no other node asks for anything any more, or could take over what it asks for.
    pub(in super::super) fn has_left(&self) -> bool {
        let is_idle = |edge: &Edge| edge.is_own || edge.asks.is_empty();
        self.is_leaving && (!self.has_heir || self.edges.values().all(is_idle))
    }

    /// Whether more waits for an edge than may.
    pub(in super::super) fn is_overflowed(&self, key: EdgeKey) -> bool {
        self.edges.get(&key).is_some_and(|edge| edge.outlet.is_full())
    }

    /// The channels with keys that are relayed to some edge: this node is their owner there.
    pub(in super::super) fn relayed(&self) -> Vec<Channel> {
        let has_key = |channel: &Channel| channel.kind() != ChannelKind::Control;
        let relayed = self.channels.iter().filter(|(channel, held)| has_key(channel) && held.is_relayed());
        relayed.map(|(channel, _)| channel.clone()).collect()
    }

    /// Those of them that were not before, since this was last asked.
    pub(in super::super) fn newly_relayed(&mut self) -> Vec<Channel> {
        let newly = std::mem::take(&mut self.newly_relayed).into_iter();
        newly.filter(|channel| self.channels.get(channel).is_some_and(Held::is_relayed)).collect()
    }
}
