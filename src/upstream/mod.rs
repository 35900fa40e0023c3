//! Where events come from: Redis, or, in the demo, this process itself.

mod address;
mod by_hand;
mod connection;
mod embedded;
mod intake;
mod redis;
mod trouble;
mod wanted;

use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use address::{RedisAddress, RedisConfig};
pub use by_hand::{Probe, probe, publish};
pub use embedded::{Bus, Embedded};
pub use redis::Redis;
pub use trouble::RedisError;

use crate::domain::Channel;

/// What takes the events of subscribed channels. All calls come one after the other, in the order of what happened at
/// Redis, and must return at once.
pub trait Sink: Send + Sync + 'static {
    /// A message was published on a channel, given without namespace. Invalid UTF-8 has become U+FFFD. If it was kept
    /// somewhere meanwhile, `age` says how long ago it arrived there.
    fn receive(&self, channel: &str, message: &str, age: Duration);

    /// This many messages were lost here because they came faster than they could be taken.
    fn lagged(&self, messages: u64);

    /// There is a connection, the first or another one, and everything wanted is subscribed. Messages may have been missed
    /// before.
    fn connected(&self);

    /// Messages on control channels may have been missed, without a break here.
    fn missed(&self) {}

    /// The connection ended: messages are missed from here on.
    fn broken(&self) {}

    /// Everything is subscribed that was wanted after the [change](Upstream::change) of this number, unless a later one has
    /// taken it back.
    fn subscribed(&self, _change: u64) {}
}

/// Whether events can come.
#[derive(Clone, Debug)]
pub enum LinkState {
    /// They do.
    Up,
    /// They do not.
    Down {
        /// Since when.
        since: Instant,
        /// Why, in words for an operator.
        reason: String,
    },
}

impl LinkState {
    /// The reason, if events have not come for longer than the given time.
    pub fn down_for_longer_than(&self, limit: Duration) -> Option<&str> {
        match self {
            Self::Down { since, reason } if since.elapsed() > limit => Some(reason),
            _ => None,
        }
    }
}

/// The source of events.
#[derive(Debug)]
pub enum Upstream {
    /// Redis pub/sub.
    Redis(Box<Redis>),
    /// Events that this process publishes to itself.
    Embedded(Embedded),
}

impl Upstream {
    /// Subscribes to some channels and leaves others; takes effect soon, and again after a lost connection. Returns the
    /// number of the change: one more than that of the last.
    pub fn change(&self, subscribe: Vec<Channel>, unsubscribe: Vec<Channel>) -> u64 {
        match self {
            Self::Redis(redis) => redis.change(subscribe, unsubscribe),
            Self::Embedded(embedded) => embedded.change(subscribe, unsubscribe),
        }
    }

    /// Tells Mastodon that somebody watches these channels: it publishes home feeds and notifications only then.
    pub async fn renew_keys(&self, channels: &[Channel]) -> Result<(), RedisError> {
        match self {
            Self::Redis(redis) => redis.renew_keys(channels).await,
            Self::Embedded(embedded) => {
                embedded.renew_keys();
                Ok(())
            }
        }
    }

    /// Publishes a message on a channel.
    pub async fn publish(&self, channel: &Channel, message: &str) -> Result<(), RedisError> {
        match self {
            Self::Redis(redis) => redis.publish(channel, message).await,
            Self::Embedded(embedded) => {
                embedded.publish(channel.as_str(), message);
                Ok(())
            }
        }
    }

    /// Waits until events can come, and keys be set; meanwhile the source says by itself why they cannot.
    pub async fn ready(&self) {
        match self {
            Self::Redis(redis) => redis.ready().await,
            Self::Embedded(_) => {}
        }
    }

    /// Whether events can come, now and later.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        match self {
            Self::Redis(redis) => redis.state(),
            Self::Embedded(embedded) => embedded.state(),
        }
    }
}
