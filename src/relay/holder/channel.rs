//! One channel that a node holds.

use std::{collections::VecDeque, sync::Arc};

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
    /// Events from the log, by number, to which what arrives is added.
    Replaying { round: u32, events: VecDeque<u64> },
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
    /// These events of the log are relayed, then what arrives.
    Begin { gap: Option<GapCause>, events: VecDeque<u64> },
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
    /// The number of its last event in the log.
    last: Option<u64>,
    /// The place of its last event that was evicted from the log.
    pub evicted: Option<Place>,
    /// Since when nobody has asked for it.
    pub abandoned: Option<Instant>,
}

impl Held {
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
        let number = log.push(Entry { channel, place, previous, received: now, message });
        self.last = Some(number);
        number
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
            return Answer::Begin { gap: None, events: self.events_from(asked_at, log) };
        };
        match self.events_after(from, since, ticks, log) {
            Ok(events) => Answer::Begin { gap: None, events },
            Err(Obstacle::Ahead) if !has_caught_up => Answer::Wait,
            Err(obstacle) => {
                let cause = match obstacle {
                    Obstacle::Ahead => GapCause::UnknownTick,
                    Obstacle::Gap(cause) => cause,
                };
                if take.strict {
                    Answer::Refuse(cause)
                } else {
                    Answer::Begin { gap: Some(cause), events: self.events_in_spite(from, asked_at, ticks, log) }
                }
            }
        }
    }

    /// The channel's events in the log from this number on.
    fn events_from(&self, number: u64, log: &Log) -> VecDeque<u64> {
        reversed(log.backwards(self.last).map(|(number, _)| number).take_while(|one| *one >= number))
    }

    /// Everything that came after a position, if nothing of it is missing.
    fn events_after(&self, from: Position, since: u64, ticks: &Ticks, log: &Log) -> Result<VecDeque<u64>, Obstacle> {
        let Some(tick) = ticks.number(from.tick) else {
            let missed = ticks.is_past(from.tick);
            return Err(if missed { Obstacle::Gap(GapCause::UnknownTick) } else { Obstacle::Ahead });
        };
        let from_place = Place { tick, count: from.count };
        if tick < since {
            return Err(Obstacle::Gap(GapCause::BeforeSince));
        }
        if self.evicted.is_some_and(|evicted| evicted > from_place) {
            return Err(Obstacle::Gap(GapCause::Evicted));
        }
        if tick == ticks.last() && from.count > self.count_since(tick) {
            return Err(Obstacle::Ahead);
        }
        let later = log.backwards(self.last).take_while(|(_, entry)| entry.place > from_place);
        let events = reversed(later.map(|(number, _)| number));
        let before = log.backwards(self.last).nth(events.len()).map(|(_, entry)| entry);
        if self.agrees(from, from_place, since, before) {
            Ok(events)
        } else {
            Err(Obstacle::Gap(GapCause::CheckFailed))
        }
    }

    /// Whether the event at or before a position is the one that the edge has seen there.
    fn agrees(&self, from: Position, place: Place, since: u64, before: Option<&Entry>) -> bool {
        match before {
            Some(entry) if place.count > 0 && entry.place != place => false,
            Some(entry) if entry.place.tick >= since => from.check.is_none_or(|one| one == check(&entry.message)),
            Some(_) => true,
            None => place.count == 0 || self.evicted == Some(place),
        }
    }

    /// What the edge gets if something is missing in any case: all that is known to have come after its position, or else
    /// after its take.
    fn events_in_spite(&self, from: Position, asked_at: u64, ticks: &Ticks, log: &Log) -> VecDeque<u64> {
        let place = match (ticks.number(from.tick), self.since) {
            (Some(tick), _) => Place { tick, count: from.count },
            // The tick was missed, so it came before the subscription counted, and the edge had not seen the next one.
            // Unless it was forgotten, and this one with it.
            (None, Some(since)) if from.tick != Tick::UNKNOWN && ticks.tick(since).is_some() => {
                Place { tick: since, count: 0 }
            }
            _ => return self.events_from(asked_at, log),
        };
        reversed(log.backwards(self.last).take_while(|(_, entry)| entry.place > place).map(|(number, _)| number))
    }
}

/// Why a take cannot be answered with everything.
enum Obstacle {
    /// The position is beyond what arrived here so far.
    Ahead,
    /// Something is missing.
    Gap(GapCause),
}

fn reversed(numbers: impl Iterator<Item = u64>) -> VecDeque<u64> {
    let mut reversed = VecDeque::new();
    numbers.for_each(|number| reversed.push_front(number));
    reversed
}
