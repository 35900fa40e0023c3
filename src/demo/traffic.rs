//! What is published in the demo, and what of it flowed lately.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{sync::Notify, time::MissedTickBehavior};

use super::statuses::{Cast, Post};
use crate::{
    domain::{Channel, ListId},
    upstream::{Bus, Upstream},
};

/// The lists on which nothing but numbers is published, so that whoever counts finds out what is missing.
pub const NUMBERED: std::ops::RangeInclusive<i64> = 101..=110;

/// The event that carries a number.
pub const NUMBER_EVENT: &str = "demo.number";

/// The pause between two numbers, of which each list gets one in turn.
pub const NUMBER_PAUSE: Duration = Duration::from_millis(20);

/// What whoever opens a stream sees at once, however slow the traffic is.
const WELCOME_POSTS: u32 = 5;

/// The pause between them: all are there within a second, and none before the stream is open.
const WELCOME_PAUSE: Duration = Duration::from_millis(150);

/// How long a channel without another event is one of those that flow.
const LATELY: Duration = Duration::from_secs(15);

/// Publishes on a bus, and remembers what somebody heard.
#[derive(Debug, Default)]
pub struct Traffic {
    bus: Arc<Bus>,
    opened: Notify,
    /// How many events each channel had, and when the last one.
    heard: Mutex<BTreeMap<String, (u64, Instant)>>,
}

impl Traffic {
    /// Where it is published.
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// Channels that had events lately, and how many since the demo began.
    pub fn lately(&self) -> Vec<(Channel, u64)> {
        let mut heard = self.heard.lock();
        heard.retain(|_, (_, last)| last.elapsed() < LATELY);
        heard.iter().map(|(channel, (events, _))| (Channel::named(channel), *events)).collect()
    }

    /// Sees to it that whoever opens a stream at this node has something to see. Runs for ever.
    pub async fn welcome(&self, node: &Upstream) {
        let Upstream::Embedded(node) = node else { return };
        loop {
            node.opened().await;
            self.opened.notify_one();
        }
    }

    /// Publishes what a small cast of people says. Runs for ever.
    pub async fn talk(&self, pause: Duration) {
        let mut cast = Cast::new(fastrand::u64(..));
        let mut welcome: u32 = 0;
        loop {
            let now = SystemTime::now();
            let posts = if welcome > 0 { cast.welcome(now) } else { cast.next(now) };
            for Post { channels, event, payload } in posts {
                for channel in channels {
                    self.publish(&channel, &event, &payload);
                }
            }
            let pause = if welcome > 0 { pause.min(WELCOME_PAUSE) } else { pause };
            tokio::select! {
                () = tokio::time::sleep(pause) => welcome = welcome.saturating_sub(1),
                () = self.opened.notified() => welcome = WELCOME_POSTS,
            }
        }
    }

    /// Publishes numbers, without a gap on each channel. Runs for ever.
    pub async fn count(&self) {
        let mut beat = tokio::time::interval(NUMBER_PAUSE);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for number in 1_u64.. {
            for list in NUMBERED {
                beat.tick().await;
                self.publish(Channel::list(ListId(list)).as_str(), NUMBER_EVENT, &json!({ "number": number }));
            }
        }
    }

    fn publish(&self, channel: &str, event: &str, payload: &Value) {
        let message = json!({ "event": event, "payload": payload }).to_string();
        if self.bus.publish(channel, &message) > 0 {
            let mut heard = self.heard.lock();
            let (events, last) = heard.entry(channel.to_owned()).or_insert_with(|| (0, Instant::now()));
            (*events, *last) = (*events + 1, Instant::now());
        }
    }
}
