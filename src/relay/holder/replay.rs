//! Taking notices out for a link: what arrived, and between it what is replayed, as much as the link can take.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    super::{
        message::{GapCause, Notice},
        position::Tick,
    },
    EdgeKey, Holder, Mode, OutletFull,
};

impl Holder {
    /// The next notices for an edge, of about so many bytes. Replays go on if there is room.
    pub(in super::super) fn take_notices(
        &mut self,
        key: EdgeKey,
        most_bytes: usize,
        now: Instant,
    ) -> Result<Vec<Notice>, OutletFull> {
        self.replay(key, now);
        self.edges.get_mut(&key).map_or(Ok(Vec::new()), |edge| edge.outlet.take(most_bytes))
    }

    fn replay(&mut self, key: EdgeKey, now: Instant) {
        let last_tick = self.ticks.last();
        let Some(edge) = self.edges.get_mut(&key) else { return };
        while edge.outlet.wants_more() {
            let Some((ask, channel)) = edge.replaying.front().cloned() else { return };
            let asked = self.channels.get_mut(&channel).and_then(|held| {
                let (since, count) = (held.since, held.count_since(last_tick));
                Some((held.mode(key, ask)?, since, count))
            });
            let Some((Mode::Replaying { round, events }, since, count)) = asked else {
                // It was released meanwhile, or taken anew.
                edge.replayed(ask);
                continue;
            };
            let round = *round;
            let evicted = events.partition_point(|number| self.log.get(*number).is_none());
            if evicted > 0 {
                events.drain(..evicted);
                edge.outlet.put(Notice::Gap { ask, round, cause: GapCause::Evicted });
            }
            if let Some(entry) = events.pop_front().and_then(|number| self.log.get(number)) {
                let tick = Some(entry.place.tick).filter(|tick| since.is_some_and(|since| since <= *tick));
                edge.outlet.put(Notice::Replay {
                    ask,
                    round,
                    // What came before the subscription counted has no place that others would know.
                    tick: tick.and_then(|tick| self.ticks.tick(tick)).unwrap_or(Tick::UNKNOWN),
                    count: entry.place.count,
                    age: now - entry.received,
                    message: Arc::clone(&entry.message),
                });
            } else {
                edge.outlet.put(Notice::Taken { ask, round, count });
                edge.replayed(ask);
                if let Some(mode) = self.channels.get_mut(&channel).and_then(|held| held.mode(key, ask)) {
                    *mode = Mode::Relaying;
                }
            }
        }
    }
}
