//! One channel that a node holds.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    super::{
        log::{Entry, Log},
        message::{GapCause, Take},
        position::{Place, Position, Tick, Ticks, check},
    },
    EdgeKey,
};
use crate::domain::Channel;

/// One ask of one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AskKey {
    pub edge: EdgeKey,
    pub ask: u64,
}

#[derive(Debug)]
pub(super) struct Ask {
    pub key: AskKey,
    pub mode: Mode,
}

/// What an edge gets of a channel.
#[derive(Debug)]
pub(super) enum Mode {
    /// Nothing.
    Holding,
    /// An answer, once it can be given.
    Waiting {
        take: Take,
        /// The number of the first event in the log that came after the take.
        asked_at: u64,
        /// The last of the holder's own ticks then. Once a later one is back, everything has arrived that the edge had.
        own_tick: u64,
    },
    /// Events from the log, from this one on; `None` if there is none until the next one arrives.
    Replaying { round: u32, next: Option<u64> },
    /// What arrives.
    Relaying,
}

/// What becomes of a take.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is not known yet.
    Wait,
    /// There would be a gap.
    Refuse(GapCause),
    /// The events of the log from this one on are relayed, then what arrives.
    Begin { gap: Option<GapCause>, from: Option<u64> },
}

/// A channel that somebody asked for.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub asks: Vec<Ask>,
    /// By which change upstream was told to subscribe; `None` before it was.
    pub ordered: Option<u64>,
    /// The number of the tick from which on nothing is missing; `None` while the subscription does not count.
    pub since: Option<u64>,
    /// The place of its last event.
    place: Place,
    /// The numbers of its first and of its last event in the log. The last may have been evicted.
    first: Option<u64>,
    last: Option<u64>,
    /// The number and the place of its last event that was evicted from the log.
    evicted: Option<(u64, Place)>,
    /// When the last link ended over which it had been asked for, as long as the edge may come back.
    pub kept_since: Option<Instant>,
}

impl Held {
    /// Whether nobody asks for it, nobody may come back to it, and nothing is known of it yet.
    pub(super) fn has_nothing(&self) -> bool {
        let is_wanted = !self.asks.is_empty() || self.kept_since.is_some();
        !is_wanted && self.since.is_none() && self.last.is_none() && self.evicted.is_none()
    }

    /// Whether some edge gets its events, or is about to.
    pub(super) fn is_relayed(&self) -> bool {
        self.asks.iter().any(|ask| !matches!(ask.mode, Mode::Holding))
    }

    /// Takes an event into the log; its number there.
    pub(super) fn append(
        &mut self,
        channel: &Channel,
        message: Arc<str>,
        tick: u64,
        log: &mut Log,
        now: Instant,
    ) -> u64 {
        self.place = Place { tick, count: self.count_since(tick) + 1 };
        let (channel, place, previous) = (channel.clone(), self.place, self.last);
        let number = log.push(Entry { channel, place, previous, next: None, received: now, message });
        self.first.get_or_insert(number);
        self.last = Some(number);
        number
    }

    /// An event of a channel of its name is in the log no more.
    pub(super) fn evicted(&mut self, number: u64, entry: &Entry) {
        self.evicted = Some((number, entry.place));
        // Not if it is left from an earlier time at which the channel was held.
        if self.first == Some(number) {
            self.first = entry.next;
        }
    }

    /// The number of its first event in the log.
    pub(super) fn first(&self) -> Option<u64> {
        self.first
    }

    /// What an ask gets of the channel.
    pub(super) fn mode(&mut self, edge: EdgeKey, ask: u64) -> Option<&mut Mode> {
        let key = AskKey { edge, ask };
        self.asks.iter_mut().find(|one| one.key == key).map(|one| &mut one.mode)
    }

    /// How many events there were since the last tick.
    pub(super) fn count_since(&self, last_tick: u64) -> u32 {
        if self.place.tick == last_tick { self.place.count } else { 0 }
    }

    /// What becomes of a take, if everything has arrived that the edge had, or not all of it yet.
    pub(super) fn answer(&self, take: Take, asked_at: u64, has_caught_up: bool, ticks: &Ticks, log: &Log) -> Answer {
        let Some(since) = self.since else { return Answer::Wait };
        let Some(from) = take.from else {
            let is_missing = self.evicted.is_some_and(|(number, _)| number >= asked_at);
            let gap = is_missing.then_some(GapCause::Evicted);
            return Answer::Begin { gap, from: self.first_from(asked_at, log) };
        };
        match self.first_after(from, since, ticks, log) {
            Ok(first) => Answer::Begin { gap: None, from: first },
            Err(Obstacle::Ahead) if !has_caught_up => Answer::Wait,
            // The edge may have seen what has not arrived here yet, and cannot say so.
            Err(_) if from.tick == Tick::UNKNOWN && !take.strict && !has_caught_up => Answer::Wait,
            Err(obstacle) => {
                let cause = match obstacle {
                    Obstacle::Ahead => GapCause::UnknownTick,
                    Obstacle::Gap(cause) => cause,
                };
                if take.strict {
                    Answer::Refuse(cause)
                } else {
                    Answer::Begin { gap: Some(cause), from: self.first_in_spite(from, asked_at, ticks, log) }
                }
            }
        }
    }

    /// The channel's first event in the log from this number on.
    fn first_from(&self, number: u64, log: &Log) -> Option<u64> {
        log.backwards(self.last).map(|(number, _)| number).take_while(|one| *one >= number).last()
    }

    /// The first event that came after a position, if nothing of what came after it is missing.
    fn first_after(&self, from: Position, since: u64, ticks: &Ticks, log: &Log) -> Result<Option<u64>, Obstacle> {
        let Some(tick) = ticks.number(from.tick) else {
            let missed = ticks.is_past(from.tick);
            return Err(if missed { Obstacle::Gap(GapCause::UnknownTick) } else { Obstacle::Ahead });
        };
        let from_place = Place { tick, count: from.count };
        if tick < since {
            return Err(Obstacle::Gap(GapCause::BeforeSince));
        }
        if self.evicted.is_some_and(|(_, evicted)| evicted > from_place) {
            return Err(Obstacle::Gap(GapCause::Evicted));
        }
        if tick == ticks.last() && from.count > self.count_since(tick) {
            return Err(Obstacle::Ahead);
        }
        let first = self.first_beyond(from_place, log);
        let before = match first {
            Some(first) => log.get(first).and_then(|entry| log.get(entry.previous?)),
            None => log.backwards(self.last).next().map(|(_, entry)| entry),
        };
        if self.agrees(from, from_place, since, before) { Ok(first) } else { Err(Obstacle::Gap(GapCause::CheckFailed)) }
    }

    /// Whether the event at or before a position is the one that the edge has seen there.
    fn agrees(&self, from: Position, place: Place, since: u64, before: Option<&Entry>) -> bool {
        match before {
            Some(entry) if place.count > 0 && entry.place != place => false,
            Some(entry) if entry.place.tick >= since => from.check.is_none_or(|one| one == check(&entry.message)),
            Some(_) => true,
            None => place.count == 0 || self.evicted.is_some_and(|(_, evicted)| evicted == place),
        }
    }

    /// From where the edge gets events if something is missing in any case: the first that is known to have come after its
    /// position, or else after its take; of an unknown position what comes from now on.
    fn first_in_spite(&self, from: Position, asked_at: u64, ticks: &Ticks, log: &Log) -> Option<u64> {
        if from.tick == Tick::UNKNOWN {
            return None;
        }
        let place = match (ticks.number(from.tick), self.since) {
            (Some(tick), _) => Place { tick, count: from.count },
            // The tick was missed, so it came before the subscription counted, and the edge had not seen the next one.
            // Unless it was forgotten, and this one with it.
            (None, Some(since)) if ticks.tick(since).is_some() => Place { tick: since, count: 0 },
            _ => return self.first_from(asked_at, log),
        };
        self.first_beyond(place, log)
    }

    fn first_beyond(&self, place: Place, log: &Log) -> Option<u64> {
        log.backwards(self.last).take_while(|(_, entry)| entry.place > place).map(|(number, _)| number).last()
    }
}

/// Why a take cannot be answered with everything.
enum Obstacle {
    /// The position is beyond what arrived here so far.
    Ahead,
    /// Something is missing.
    Gap(GapCause),
}
