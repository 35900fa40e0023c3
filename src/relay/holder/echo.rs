//! Whether the ticks that a node publishes come back to it.

use std::time::Duration;

use tokio::time::Instant;

/// Every node publishes one so often, and more of them now and then.
const TICK: Duration = Duration::from_secs(1);

/// How long nothing of this node may come back while ticks of others do.
const PATIENCE: Duration = Duration::from_secs(3);

/// What came back of this node's own ticks.
///
/// Measured by the ticks of others: while Redis, this process or the way between stands still, nothing comes of anybody, and
/// what comes first afterwards says nothing about who is late. If nothing comes of anybody, edges notice by themselves.
#[derive(Debug, Default)]
pub(super) struct Echo {
    /// Whether any was sent since the last one came back.
    is_awaited: bool,
    /// For how long, as far as ticks of others came meanwhile.
    waited: Duration,
    /// When the last tick came, of any node.
    heard: Option<Instant>,
    is_missing: bool,
}

impl Echo {
    /// Whether they have not come back for too long.
    pub(super) fn is_missing(&self) -> bool {
        self.is_missing
    }

    pub(super) fn sent(&mut self) {
        self.is_awaited = true;
    }

    /// An own tick came back; `is_last` if no other one is under way. Whether they were missing until now.
    pub(super) fn returned(&mut self, is_last: bool, now: Instant) -> bool {
        *self = Self { is_awaited: !is_last, waited: Duration::ZERO, heard: Some(now), is_missing: self.is_missing };
        std::mem::take(&mut self.is_missing)
    }

    /// A tick of another node came. Whether own ones are missing from now on.
    pub(super) fn heard_another(&mut self, now: Instant) -> bool {
        let since_last = self.heard.replace(now).map_or(Duration::ZERO, |heard| now - heard);
        if !self.is_awaited || self.is_missing {
            return false;
        }
        self.waited += since_last.min(TICK);
        self.is_missing = self.waited > PATIENCE;
        self.is_missing
    }
}
