//! The publisher: what Mastodon would publish, over a connection of its own, written as it is due and never waited for.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::clients::Ledger;
use super::message::Prepared;
use super::stamp::Stamp;

/// Who wrote all statuses.
const AUTHOR: i64 = 1;

/// Events that are published at once when there is no rate.
const CHUNK: u64 = 32;

/// How long to wait before it is looked again whether more may be under way.
const GLANCE: Duration = Duration::from_micros(50);

/// How fast events are published.
#[derive(Clone, Copy)]
pub enum Pace {
    Rate {
        per_second: u32,
        time: Duration,
    },
    /// As fast as they are delivered, with so many under way.
    Window {
        events: usize,
        under_way: u64,
    },
}

/// Publishes to some channels in turn.
pub struct Publisher {
    redis: UnixStream,
    channels: Vec<Channel>,
    next: usize,
}

struct Channel {
    command: Prepared,
    count: u64,
}

impl Publisher {
    /// For these channels, through the unix socket of a Redis.
    pub fn new(redis: &Path, channels: &[String]) -> Self {
        let redis = UnixStream::connect(redis).expect("redis is there");
        let answers = redis.try_clone().expect("a socket can be shared");
        thread::spawn(move || read(answers));
        let channel = |name: &String| Channel { command: Prepared::new(name, AUTHOR), count: 0 };
        Self { redis, channels: channels.iter().map(channel).collect(), next: 0 }
    }

    /// One event of number 0 on each channel, which count for nothing.
    pub fn mark(&mut self) {
        let mut commands = Vec::new();
        for channel in &mut self.channels {
            channel.command.append(Stamp::EMPTY, &mut commands);
        }
        self.redis.write_all(&commands).expect("redis takes it");
    }

    /// Publishes at a pace; how many there were.
    pub fn publish(&mut self, pace: Pace, ledger: &Ledger) -> u64 {
        match pace {
            Pace::Rate { per_second, time } => self.at_rate(per_second, time, ledger),
            Pace::Window { events, under_way } => self.in_window(events as u64, under_way, ledger),
        }
    }

    fn at_rate(&mut self, per_second: u32, time: Duration, ledger: &Ledger) -> u64 {
        let begun = Instant::now();
        let events = u64::from(per_second) * time.as_secs();
        let mut published = 0;
        while published < events {
            let elapsed = begun.elapsed();
            let due = (elapsed.as_secs_f64() * f64::from(per_second)) as u64 + 1;
            if due > published {
                self.write(due.min(events) - published, ledger);
                published = due.min(events);
            }
            let next = Duration::from_secs_f64(published as f64 / f64::from(per_second));
            thread::sleep(next.saturating_sub(begun.elapsed()));
        }
        published
    }

    fn in_window(&mut self, events: u64, under_way: u64, ledger: &Ledger) -> u64 {
        let before = ledger.delivered();
        let mut published = 0;
        while published < events && ledger.problems().is_empty() {
            if published - (ledger.delivered() - before) + CHUNK > under_way {
                thread::sleep(GLANCE);
                continue;
            }
            self.write(CHUNK, ledger);
            published += CHUNK;
        }
        published
    }

    fn write(&mut self, events: u64, ledger: &Ledger) {
        let mut commands = Vec::new();
        let now = ledger.now();
        for _ in 0..events {
            let channel = &mut self.channels[self.next];
            channel.count += 1;
            let stamp = Stamp { channel: self.next, number: channel.count, at_ns: now };
            channel.command.append(stamp, &mut commands);
            self.next = (self.next + 1) % self.channels.len();
        }
        self.redis.write_all(&commands).expect("redis takes it");
    }
}

/// Reads what Redis says to each message: how many got it, which is known, or an error.
fn read(mut answers: UnixStream) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = answers.read(&mut bytes) {
        assert!(!bytes[..count].contains(&b'-'), "{}", String::from_utf8_lossy(&bytes[..count]));
    }
}
