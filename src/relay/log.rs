//! The last seconds of events of all channels that a node holds: one queue, chained per channel, evicted from the front.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::position::Place;
use crate::domain::Channel;

/// What an entry costs beyond the bytes of its message, roughly.
const OVERHEAD: usize = size_of::<Entry>() + 16;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Events older than this are evicted.
    pub age: Duration,
    /// The oldest events are evicted beyond so many bytes.
    pub bytes: usize,
}

/// One event.
#[derive(Debug)]
pub(super) struct Entry {
    pub channel: Channel,
    pub place: Place,
    /// The number of the channel's event before it, if that was in the log then.
    pub previous: Option<u64>,
    /// The number of the channel's event after it, once there is one.
    pub next: Option<u64>,
    pub received: Instant,
    pub message: Arc<str>,
}

/// Events, numbered in their order from 0.
#[derive(Debug)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    evicted: u64,
    bytes: usize,
    limits: Limits,
}

impl Log {
    pub(super) fn new(limits: Limits) -> Self {
        Self { entries: VecDeque::new(), evicted: 0, bytes: 0, limits }
    }

    /// The number that the next event gets.
    pub(super) fn next(&self) -> u64 {
        self.evicted + self.entries.len() as u64
    }

    pub(super) fn push(&mut self, entry: Entry) -> u64 {
        let number = self.next();
        if let Some(previous) = entry.previous.and_then(|previous| self.get_mut(previous)) {
            previous.next = Some(number);
        }
        self.bytes += entry.message.len() + OVERHEAD;
        self.entries.push_back(entry);
        number
    }

    /// An event by its number, unless it was evicted.
    pub(super) fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number.checked_sub(self.evicted)?).ok()?)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(number.checked_sub(self.evicted)?).ok()?)
    }

    /// Takes out one event that is over the limits, with its number and whether it was for bytes only.
    pub(super) fn evict(&mut self, now: Instant) -> Option<(u64, Entry, bool)> {
        let (age, too_large) = (self.limits.age, self.bytes > self.limits.bytes);
        let entry = self.entries.pop_front_if(|entry| too_large || now - entry.received > age)?;
        let number = self.evicted;
        self.evicted += 1;
        self.bytes -= entry.message.len() + OVERHEAD;
        let too_old = now - entry.received > age;
        Some((number, entry, !too_old))
    }

    /// How long ago the oldest event was received.
    pub(super) fn depth(&self, now: Instant) -> Duration {
        self.entries.front().map_or(Duration::ZERO, |entry| now - entry.received)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events of one channel, the last one first, as far as they are in the log.
    pub(super) fn backwards(&self, last: Option<u64>) -> impl Iterator<Item = (u64, &Entry)> {
        let mut next = last;
        std::iter::from_fn(move || {
            let number = next?;
            let entry = self.get(number)?;
            next = entry.previous;
            Some((number, entry))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(bytes: usize) -> Log {
        Log::new(Limits { age: Duration::from_secs(60), bytes })
    }

    fn entry(channel: &str, count: u32, previous: Option<u64>) -> Entry {
        let message = Arc::from(count.to_string());
        let place = Place { tick: 1, count };
        Entry { channel: Channel::named(channel), place, previous, next: None, received: Instant::now(), message }
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_is_read_backwards_along_its_chain() {
        let mut log = log(usize::MAX);
        let first = log.push(entry("a", 1, None));
        log.push(entry("b", 1, None));
        let last = log.push(entry("a", 2, Some(first)));
        let found: Vec<_> = log.backwards(Some(last)).map(|(number, entry)| (number, entry.place.count)).collect();
        assert_eq!(found, [(2, 2), (0, 1)]);
        assert_eq!([first, last].map(|number| log.get(number).and_then(|entry| entry.next)), [Some(last), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn old_events_are_evicted_and_the_chain_ends_there() {
        let mut log = log(usize::MAX);
        let first = log.push(entry("a", 1, None));
        tokio::time::advance(Duration::from_secs(61)).await;
        let last = log.push(entry("a", 2, Some(first)));
        let (number, evicted, for_bytes) = log.evict(Instant::now()).expect("one is too old");
        assert_eq!((number, evicted.place.count, for_bytes), (first, 1, false));
        assert!(log.evict(Instant::now()).is_none());
        assert_eq!(log.backwards(Some(last)).count(), 1);
        assert_eq!(log.next(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn events_beyond_the_bytes_are_evicted_and_that_is_told() {
        let mut log = log(OVERHEAD + 1);
        log.push(entry("a", 1, None));
        assert!(log.evict(Instant::now()).is_none());
        log.push(entry("a", 2, None));
        assert!(log.evict(Instant::now()).is_some_and(|(_, evicted, for_bytes)| evicted.place.count == 1 && for_bytes));
        assert_eq!(log.bytes(), OVERHEAD + 1);
    }
}
