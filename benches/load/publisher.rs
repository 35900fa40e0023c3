//! The publisher: what Mastodon would publish, over a connection of its own, as it is due.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::message::Prepared;
use super::stamp::Stamp;

/// An author whom nobody has anything against.
pub const STRANGER: i64 = 1;

/// When the next event is published.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As soon as fewer than so many have not come to everybody.
    Backlog(u64),
    /// So many a second, whatever has come.
    Rate(f64),
}

/// A stream of events on some channels in turn.
pub struct Traffic {
    pace: Pace,
    channels: std::ops::Range<usize>,
    next: usize,
    /// When its first event could have been published.
    begun: Option<Instant>,
    published: u64,
}

impl Traffic {
    pub fn new(pace: Pace, channels: std::ops::Range<usize>) -> Self {
        Self { pace, next: channels.start, channels, begun: None, published: 0 }
    }

    /// Publishes what is due; when it has to be looked again.
    pub fn publish(&mut self, publisher: &mut Publisher, ledger: &mut Ledger) -> Duration {
        let elapsed = self.begun.get_or_insert_with(Instant::now).elapsed();
        let due = match self.pace {
            Pace::Backlog(backlog) => backlog.saturating_sub(ledger.under_way()),
            Pace::Rate(rate) => ((elapsed.as_secs_f64() * rate) as u64).saturating_sub(self.published),
        };
        for _ in 0..due {
            publisher.add(self.next, ledger.publish(self.next));
            self.next = if self.next + 1 == self.channels.end { self.channels.start } else { self.next + 1 };
        }
        self.published += due;
        match self.pace {
            Pace::Backlog(_) => Duration::from_secs(1),
            Pace::Rate(rate) => {
                let next = Duration::from_secs_f64((self.published + 1) as f64 / rate);
                next.saturating_sub(elapsed)
            }
        }
    }
}

/// The messages of a channel.
struct Messages {
    /// In turn, by number.
    events: Vec<Prepared>,
    /// What nobody is spared, if there are those who do not want to hear of all authors.
    mark: Option<Prepared>,
}

pub struct Publisher {
    redis: UnixStream,
    channels: Vec<Messages>,
    commands: Vec<u8>,
}

impl Publisher {
    /// For these channels, each with one message by each of its authors in turn, through the unix socket of a Redis.
    pub fn new(redis: &Path, channels: impl IntoIterator<Item = (String, Vec<i64>)>) -> Self {
        let mut redis = UnixStream::connect(redis).expect("redis is there");
        // What is lost is seen where it does not come.
        redis.write_all(b"CLIENT REPLY OFF\r\n").expect("redis takes it");
        let prepare = |(name, authors): (String, Vec<i64>)| Messages {
            mark: (authors.len() > 1).then(|| Prepared::new(&name, STRANGER)),
            events: authors.into_iter().map(|author| Prepared::new(&name, author)).collect(),
        };
        Self { redis, channels: channels.into_iter().map(prepare).collect(), commands: Vec::new() }
    }

    /// Adds an event to what will be written next.
    pub fn add(&mut self, channel: usize, stamp: Stamp) {
        let Messages { events, mark } = &mut self.channels[channel];
        let turn = stamp.number as usize % events.len();
        let message = mark.as_mut().filter(|_| stamp.number == 0).unwrap_or(&mut events[turn]);
        message.append(stamp, &mut self.commands);
    }

    /// Writes what was added.
    pub fn flush(&mut self) {
        if !self.commands.is_empty() {
            self.redis.write_all(&self.commands).expect("redis takes it");
            self.commands.clear();
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // Nothing is answered but errors of the connection itself, which are told here.
        let _ = self.redis.set_nonblocking(true);
        let mut said = Vec::new();
        let _ = self.redis.read_to_end(&mut said);
        if !said.is_empty() {
            eprintln!("redis said: {}", String::from_utf8_lossy(&said));
        }
    }
}
