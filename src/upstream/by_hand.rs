//! Redis used once, for the command line.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use fred::{
    prelude::{ClientLike, PubsubInterface},
    types::InfoKind,
};
use futures_util::FutureExt;

use super::{
    RedisConfig, RedisError,
    connection::{Connection, Use},
    redis::{heard, ping, prefix},
    trouble::{describe, not_permitted},
};

/// The beginning of a channel that nobody else subscribes to.
const PROBE: &str = "timeline:flodgatt:check";

/// What there is at Redis.
#[derive(Debug)]
pub struct Probe {
    /// Its version; `unknown` if this user may not ask.
    pub version: String,
    /// How long an answer takes.
    pub latency: Duration,
}

/// Connects, subscribes as the server would, and asks Redis for its version.
pub async fn probe(config: &RedisConfig) -> Result<Probe, RedisError> {
    let connection = Connection::open(config, Use::ByHand).await?;
    let info: Result<String, _> = connection.client.info(Some(InfoKind::Server)).await;
    let info = info.unwrap_or_default();
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown").to_owned();
    let channel = format!("{}{PROBE}:{:x}", prefix(config), fastrand::u64(..));
    heard(&connection.client, config, connection.client.subscribe(&*channel).boxed()).await?;
    ensure_subscribed(config, channel).await?;
    let asked = Instant::now();
    ping(&connection.client, config).await?;
    let latency = asked.elapsed();
    connection.close().await;
    Ok(Probe { version, latency })
}

/// Asks Redis over another connection whether the subscription is there: a refusal does not always reach who subscribes.
async fn ensure_subscribed(config: &RedisConfig, channel: String) -> Result<(), RedisError> {
    let connection = Connection::open(config, Use::ByHand).await?;
    let subscribers: Result<HashMap<String, u64>, _> = connection.client.pubsub_numsub(&*channel).await;
    connection.close().await;
    match subscribers {
        Ok(subscribers) if subscribers.get(&channel) == Some(&0) => {
            Err(not_permitted(config, &format!("it may not subscribe to channels such as {channel}")))
        }
        // This user may not ask.
        _ => Ok(()),
    }
}

/// Publishes one message; returns how many subscribers got it.
pub async fn publish(config: &RedisConfig, channel: &str, message: &str) -> Result<u64, RedisError> {
    let connection = Connection::open(config, Use::ByHand).await?;
    let published = connection.client.publish(format!("{}{channel}", prefix(config)), message).await;
    let subscribers = published.map_err(|error| describe(config, &error));
    connection.close().await;
    subscribers
}
