//! Places in channels that mean the same at every node.
//!
//! Redis shows all its subscribers one order of messages across all channels. Every node publishes ticks on one common
//! channel, so a tick cuts every channel at the same place for everyone, and an event is named by the last tick before
//! it and by its count in its channel since.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    str::FromStr,
    time::Duration,
};

use siphasher::sip::SipHasher13;
use tokio::time::Instant;

/// How long a tick is remembered: positions in channels where nothing happened since are good for so long.
const MEMORY: Duration = Duration::from_secs(3_600);

/// Ticks remembered at most: those of a hundred nodes for as long, or a flood.
const MOST_TICKS: usize = 360_000;

/// A mark on the common channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tick {
    /// Which run of which node published it.
    pub incarnation: u64,
    /// The number that this run gave it, from 1.
    pub counter: u64,
}

/// An event's place in its channel, or that before the first one after a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last tick before it.
    pub tick: Tick,
    /// How many events its channel had since that tick, with this one; 0 if there was none.
    pub count: u32,
    /// The [check](check) of the last event in the channel, as far as one was seen.
    pub check: Option<u32>,
}

/// A short hash of a message, the same at every node: it tells if two nodes disagree about what stands at a position.
pub fn check(message: &str) -> u32 {
    // The keys are part of what nodes say to each other.
    let hash = SipHasher13::new_with_keys(0x666c_6f64, 0x6761_7474).hash(message.as_bytes());
    u32::try_from(hash & u64::from(u32::MAX)).expect("the upper half is masked")
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.incarnation, self.counter)
    }
}

impl Tick {
    /// A tick that no holder knows.
    pub const UNKNOWN: Self = Self { incarnation: 0, counter: 0 };
}

/// What was published on the tick channel is no tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form incarnation:counter")]
pub struct NoTick;

impl FromStr for Tick {
    type Err = NoTick;

    fn from_str(text: &str) -> Result<Self, NoTick> {
        let (incarnation, counter) = text.split_once(':').ok_or(NoTick)?;
        let number = |text: &str| text.parse().map_err(|_| NoTick);
        let tick = Self { incarnation: number(incarnation)?, counter: number(counter)? };
        if tick == Self::UNKNOWN { Err(NoTick) } else { Ok(tick) }
    }
}

/// A position in the order of one holder: the number of the last tick there, and the count since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub tick: u64,
    pub count: u32,
}

/// The ticks that one holder saw, numbered in their order from 1.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    seen: VecDeque<(Tick, Instant)>,
    /// How many have been forgotten.
    forgotten: u64,
    numbers: HashMap<Tick, u64>,
    /// The last counter of each run.
    counters: HashMap<u64, u64>,
}

impl Ticks {
    /// Takes note of a tick; its number, or `None` if it is no later than the last one of its run: a message that was published
    /// again, which cuts the channels at another place for those who did not see it the first time.
    pub(super) fn push(&mut self, tick: Tick, now: Instant) -> Option<u64> {
        let number = self.last() + 1;
        if self.counters.get(&tick.incarnation).is_some_and(|last| tick.counter <= *last) {
            return None;
        }
        self.numbers.insert(tick, number);
        self.counters.insert(tick.incarnation, tick.counter);
        self.seen.push_back((tick, now));
        let too_many = self.seen.len() > MOST_TICKS;
        while let Some((old, _)) = self.seen.pop_front_if(|(_, seen)| too_many || now - *seen > MEMORY) {
            self.numbers.remove(&old);
            if self.counters.get(&old.incarnation) == Some(&old.counter) {
                self.counters.remove(&old.incarnation);
            }
            self.forgotten += 1;
            if too_many {
                break;
            }
        }
        Some(number)
    }

    /// The number of the last tick; 0 if there was none.
    pub(super) fn last(&self) -> u64 {
        self.forgotten + self.seen.len() as u64
    }

    /// The last tick.
    pub(super) fn latest(&self) -> Option<Tick> {
        self.seen.back().map(|(tick, _)| *tick)
    }

    pub(super) fn number(&self, tick: Tick) -> Option<u64> {
        self.numbers.get(&tick).copied()
    }

    /// Whether a tick, as it is not known now, never will be: later ones of the same run are.
    pub(super) fn is_past(&self, tick: Tick) -> bool {
        tick == Tick::UNKNOWN || self.counters.get(&tick.incarnation).is_some_and(|counter| *counter > tick.counter)
    }

    /// The tick of a number, or the first that is remembered since.
    pub(super) fn from(&self, number: u64) -> Option<Tick> {
        self.tick(number.max(self.forgotten + 1))
    }

    /// The tick of a number.
    pub(super) fn tick(&self, number: u64) -> Option<Tick> {
        let index = usize::try_from(number.checked_sub(self.forgotten + 1)?).ok()?;
        self.seen.get(index).map(|(tick, _)| *tick)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tick(counter: u64) -> Tick {
        Tick { incarnation: 7, counter }
    }

    #[test]
    fn a_tick_reads_what_it_writes() {
        assert_eq!("7:12".parse(), Ok(Tick { incarnation: 7, counter: 12 }));
        assert_eq!(tick(12).to_string().parse(), Ok(tick(12)));
        for rubbish in ["", "7", "7:", ":7", "7:x", "-7:1", "7:1:2", "0:0", "99999999999999999999:1"] {
            assert_eq!(rubbish.parse::<Tick>(), Err(NoTick), "{rubbish}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_are_numbered_in_the_order_in_which_they_were_seen() {
        let mut ticks = Ticks::default();
        assert_eq!(ticks.last(), 0);
        assert_eq!(ticks.push(tick(5), Instant::now()), Some(1));
        let other = Tick { incarnation: 3, counter: 2 };
        assert_eq!(ticks.push(other, Instant::now()), Some(2));
        assert_eq!((ticks.number(tick(5)), ticks.tick(2), ticks.latest()), (Some(1), Some(other), Some(other)));
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_are_forgotten_after_an_hour_and_keep_their_numbers() {
        let mut ticks = Ticks::default();
        ticks.push(tick(1), Instant::now());
        tokio::time::advance(MEMORY + Duration::from_secs(1)).await;
        assert_eq!(ticks.push(tick(2), Instant::now()), Some(2));
        assert_eq!(
            (ticks.number(tick(1)), ticks.tick(1), ticks.number(tick(2)), ticks.tick(2)),
            (None, None, Some(2), Some(tick(2)))
        );
    }

    proptest! {
        #[test]
        fn whatever_is_published_again_only_later_ticks_of_a_run_count(
            published in prop::collection::vec((1_u64..4, 0_u64..9), 0..60),
        ) {
            let (mut ticks, mut last, now) = (Ticks::default(), HashMap::new(), Instant::now());
            for (incarnation, counter) in published {
                let is_later = last.get(&incarnation).is_none_or(|last| *last < counter);
                let (tick, next) = (Tick { incarnation, counter }, ticks.last() + 1);
                prop_assert_eq!(ticks.push(tick, now), is_later.then_some(next));
                if is_later {
                    last.insert(incarnation, counter);
                    prop_assert_eq!((ticks.number(tick), ticks.tick(next)), (Some(next), Some(tick)));
                }
            }
        }
    }
}
