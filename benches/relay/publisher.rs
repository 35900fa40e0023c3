//! The publisher: what Mastodon would publish, over a connection of its own, written as it is due and never waited for.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::clients::{DIGITS, Ledger, STAMP, stamp};
use super::support::{Account, resp, status, update};

/// Bytes of a published message: as many as a status has that somebody wrote with care.
const SIZE: usize = 4_096;

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
    channels: Vec<Prepared>,
    next: usize,
}

/// The command for a channel's next event, but for its stamp.
struct Prepared {
    command: Vec<u8>,
    /// Where the stamp's numbers are.
    number: usize,
    at: usize,
    count: u64,
}

impl Prepared {
    fn new(channel: &str) -> Self {
        let message = message();
        let command = resp::encode(&[b"PUBLISH", channel.as_bytes(), message.as_bytes()]);
        let place = command.windows(STAMP.len()).position(|window| window == STAMP);
        let number = place.expect("a message has a stamp") + STAMP.len();
        Self { command, number, at: number + DIGITS + 1, count: 0 }
    }

    fn append(&mut self, number: u64, at_ns: u64, to: &mut Vec<u8>) {
        let digits = |number: u64| format!("{number:020}");
        self.command[self.number..self.number + DIGITS].copy_from_slice(digits(number).as_bytes());
        self.command[self.at..self.at + DIGITS].copy_from_slice(digits(at_ns).as_bytes());
        to.extend_from_slice(&self.command);
    }
}

/// A new status, with a place for the stamp, in the envelope that Mastodon puts around it.
fn message() -> String {
    let author = Account { account_id: 1, username: "heron".into(), domain: None };
    let plain = status(113_000_000_000_000_000, author);
    let stamped =
        |text: String| text.replacen("\"payload\":{", &format!("\"payload\":{{\"stamp\":\"{}\",", stamp(0, 0)), 1);
    let missing = SIZE.saturating_sub(stamped(update(&plain)).len());
    stamped(update(&plain.with("spoiler_text", "All about herons. ".repeat(missing / 18))))
}

impl Publisher {
    /// For these channels, through the unix socket of a Redis.
    pub fn new(redis: &Path, channels: &[String]) -> Self {
        let redis = UnixStream::connect(redis).expect("redis is there");
        let answers = redis.try_clone().expect("a socket can be shared");
        thread::spawn(move || read(answers));
        Self { redis, channels: channels.iter().map(|channel| Prepared::new(channel)).collect(), next: 0 }
    }

    /// One event of number 0 on each channel, which count for nothing.
    pub fn mark(&mut self) {
        let mut commands = Vec::new();
        for channel in &mut self.channels {
            channel.append(0, 0, &mut commands);
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
            channel.append(channel.count, now, &mut commands);
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
