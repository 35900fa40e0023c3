//! Taking notices out for a link: what arrived, and between it what is answered and replayed, as much as the link can take.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    super::{
        message::{GapCause, Notice},
        position::Tick,
    },
    Edge, EdgeKey, Holder, Mode, OutletFull,
};
use crate::domain::Channel;

impl Holder {
    /// The next notices for an edge, of about so many bytes. Answers that were owed are given and replays go on if there is
    /// room.
    pub(in super::super) fn take_notices(
        &mut self,
        key: EdgeKey,
        most_bytes: usize,
        now: Instant,
    ) -> Result<Vec<Notice>, OutletFull> {
        self.pay(key);
        self.replay(key);
        self.edges.get_mut(&key).map_or(Ok(Vec::new()), |edge| edge.outlet.take(most_bytes, now))
    }

    fn replay(&mut self, key: EdgeKey) {
        let last_tick = self.ticks.last();
        let Some(edge) = self.edges.get_mut(&key) else { return };
        while edge.outlet.wants_more() {
            let Some(ask) = edge.replaying.first().copied() else { return };
            let Some(channel) = edge.asks.get(&ask).cloned() else { return };
            let asked = self.channels.get_mut(&channel).and_then(|held| {
                let (since, count, first) = (held.since, held.count_since(last_tick), held.first());
                Some((held.mode(key, ask)?, since, count, first))
            });
            let Some((Mode::Replaying { round, next }, since, count, first)) = asked else {
                // It was taken anew, or is voided.
                edge.replaying.remove(&ask);
                continue;
            };
            let round = *round;
            if next.is_some_and(|number| self.log.get(number).is_none()) {
                *next = first;
                edge.outlet.put(Notice::Gap { ask, round, cause: GapCause::Evicted });
            }
            if let Some(entry) = next.and_then(|number| self.log.get(number)) {
                let tick = Some(entry.place.tick).filter(|tick| since.is_some_and(|since| since <= *tick));
                let notice = Notice::Replay {
                    ask,
                    round,
                    // What came before the subscription counted has no place that others would know.
                    tick: tick.and_then(|tick| self.ticks.tick(tick)).unwrap_or(Tick::UNKNOWN),
                    count: entry.place.count,
                    age: Duration::ZERO,
                    message: Arc::clone(&entry.message),
                };
                *next = entry.next;
                edge.outlet.put_event(notice, entry.received);
            } else {
                edge.outlet.put(Notice::Taken { ask, round, count });
                edge.replaying.remove(&ask);
                if let Some(mode) = self.channels.get_mut(&channel).and_then(|held| held.mode(key, ask)) {
                    *mode = Mode::Relaying;
                }
            }
        }
    }
}

impl Edge {
    /// The channel of an ask that is closed now.
    pub(super) fn release(&mut self, ask: u64) -> Option<Channel> {
        self.owed.remove(&ask);
        self.replaying.remove(&ask);
        self.asks.remove(&ask)
    }

    /// Notes that an ask is to be told something once there is room, and whether that is, among it, that its subscription
    /// counts.
    pub(super) fn owe(&mut self, ask: u64, is_news: bool) {
        *self.owed.entry(ask).or_default() |= is_news;
        self.outlet.filled().notify_one();
    }

    /// How an ask goes on whose take begins with this event of the log.
    pub(super) fn begin(&mut self, ask: u64, round: u32, next: Option<u64>, count: u32) -> Mode {
        if next.is_none() {
            self.outlet.put(Notice::Taken { ask, round, count });
            return Mode::Relaying;
        }
        self.replaying.insert(ask);
        self.outlet.filled().notify_one();
        Mode::Replaying { round, next }
    }
}
