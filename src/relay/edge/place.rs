//! Where an edge is in a channel.

use super::{
    super::position::{Position, Tick},
    link::Link,
};

/// Up to which event all are known: by a position, or, while a source is live, by what came over its link.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// That of the end of the last source, or of what was replayed since.
    position: Option<Position>,
    /// How many ticks the live source's link had when the count began.
    ticks: u64,
    /// Events since the last of these ticks.
    count: u32,
    /// That of the last event.
    check: Option<u32>,
}

impl Place {
    /// The last position that was known of; that of a live source may have passed it.
    pub(super) fn position(&self) -> Option<Position> {
        self.position
    }

    /// An event was replayed that has this position.
    pub(super) fn advance(&mut self, position: Position) {
        self.position = Some(position);
    }

    /// What was seen last is nothing that others would know.
    pub(super) fn forget_check(&mut self) {
        if let Some(position) = &mut self.position {
            position.check = None;
        }
    }

    /// If nothing was taken yet, everything from this tick on is missing.
    pub(super) fn begin_at(&mut self, tick: Option<Tick>) {
        self.position = self.position.or(tick.map(|tick| Position { tick, count: 0, check: None }));
    }

    /// A source goes on live, with so many events since the last tick of its link.
    pub(super) fn go_live(&mut self, link: &Link, count: u32) {
        self.check = self.position.and_then(|position| position.check);
        (self.ticks, self.count) = (link.ticks, count);
    }

    /// An event came from the live source.
    pub(super) fn count_one(&mut self, link: &Link, check: u32) {
        self.count = if self.ticks == link.ticks { self.count.saturating_add(1) } else { 1 };
        self.ticks = link.ticks;
        self.check = Some(check);
    }

    /// Remembers the position at the end of a live source.
    pub(super) fn freeze(&mut self, link: &Link) {
        let count = if self.ticks == link.ticks { self.count } else { 0 };
        self.position = Some(Position { tick: link.last_tick, count, check: self.check });
    }
}
