//! Numbered events, published over one connection at a steady pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::audience::Audience;
use super::verdict::{Facts, Published, Verdict};
use crate::support::resp::{Connection, encode};
use crate::support::*;

/// Events a second, if a test does not say otherwise.
pub const RATE: usize = 500;

/// Channels, if a test does not say otherwise.
pub const CHANNELS: usize = 200;

/// Events that are being published.
pub struct Load {
    epoch: Instant,
    number: u32,
    copies: Vec<usize>,
    total: watch::Receiver<usize>,
    stop: Arc<AtomicBool>,
    publishing: JoinHandle<Vec<Vec<Published>>>,
}

impl Load {
    /// Begins: so many events a second, on channels at random. On every second channel they come in pairs: each one is
    /// published twice in a row.
    pub fn begin(cluster: &Cluster, audience: &mut Audience, rate: usize) -> Self {
        static LOADS: AtomicU32 = AtomicU32::new(1);
        audience.begin();
        let (epoch, number) = (Instant::now(), LOADS.fetch_add(1, Ordering::Relaxed));
        let (sender, total) = watch::channel(0);
        let stop = Arc::<AtomicBool>::default();
        let channels = audience.channels();
        let copies: Vec<usize> = (0..channels.len()).map(|channel| 1 + channel % 2).collect();
        let publisher = Publisher {
            number,
            epoch,
            rate,
            copies: copies.clone(),
            channels,
            socket: cluster.redis.unix_socket(),
            total: sender,
            stop: Arc::clone(&stop),
        };
        Self { epoch, number, copies, total, stop, publishing: tokio::spawn(publisher.publish()) }
    }

    /// Waits until so many further events have been published; at the given rate that is a time.
    pub async fn further(&self, events: usize) {
        let mut total = self.total.clone();
        let goal = *total.borrow_and_update() + events;
        total.wait_for(|total| *total >= goal).await.expect("events are being published");
    }

    /// Waits as long as so many seconds' events take.
    pub async fn seconds(&self, seconds: f64) {
        self.further((seconds * RATE as f64) as usize).await;
    }

    /// Further clients come to these nodes, to a part of the channels, and a second passes.
    pub async fn newcomers(&self, cluster: &Cluster, audience: &mut Audience, nodes: &[usize]) {
        self.note("newcomers");
        audience.newcomers(cluster, nodes).await;
        self.seconds(1.0).await;
    }

    /// The time, as verdicts have it.
    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Prints what happens, with the time that other lines use.
    pub fn note(&self, what: &str) {
        println!("  {:.3} s: {what}", self.now().as_secs_f64());
    }

    /// Ends, waits until everything has come, and prints and returns what became of it.
    pub async fn finish(self, cluster: &Cluster, audience: &Audience, what: &str) -> Verdict {
        self.note("the load ends");
        self.stop.store(true, Ordering::Relaxed);
        let published = within("end of the load", self.publishing).await.expect("everything could be published");
        audience.sync(cluster).await;
        let facts = Facts { load: self.number, published, copies: self.copies };
        let verdict = facts.judge(&audience.watched(cluster, self.epoch));
        println!("{what}: {verdict}{}", verdict.everywhere().examples());
        verdict
    }
}

struct Publisher {
    number: u32,
    epoch: Instant,
    rate: usize,
    copies: Vec<usize>,
    channels: Vec<String>,
    socket: std::path::PathBuf,
    total: watch::Sender<usize>,
    stop: Arc<AtomicBool>,
}

impl Publisher {
    async fn publish(self) -> Vec<Vec<Published>> {
        let mut connection = Connection::open(&self.socket).await.expect("redis is there");
        let mut published: Vec<Vec<Published>> = vec![Vec::new(); self.channels.len()];
        let mut clock = tokio::time::interval(Duration::from_millis(2));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut total = 0;
        while !self.stop.load(Ordering::Relaxed) {
            clock.tick().await;
            let due = (self.epoch.elapsed().as_secs_f64() * self.rate as f64) as usize;
            while total < due {
                let channel = fastrand::usize(..self.channels.len());
                total += self.copies[channel];
                let event = self.one(&mut connection, channel, published[channel].len() + 1).await;
                published[channel].push(event);
                self.total.send_replace(total);
            }
        }
        published
    }

    /// Publishes an event, all copies at once.
    async fn one(&self, connection: &mut Connection, channel: usize, number: usize) -> Published {
        let message = event("delete", format!("e {} {channel} {number}", self.number));
        let command = encode(&[b"PUBLISH", self.channels[channel].as_bytes(), message.as_bytes()]);
        let at = self.epoch.elapsed();
        connection.send_encoded(&command.repeat(self.copies[channel])).await.expect("redis takes it");
        let mut receivers = i64::MAX;
        for _ in 0..self.copies[channel] {
            receivers = receivers.min(connection.reply().await.expect("redis answers").integer());
        }
        Published { at, receivers }
    }
}
