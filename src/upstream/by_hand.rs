//! Redis used once, for the command line.

use std::time::{Duration, Instant};

use fred::{
    prelude::{ClientLike, PubsubInterface},
    types::InfoKind,
};

use super::{
    RedisConfig, RedisError,
    connection::{Connection, Use, describe},
    redis::{ping, prefix},
};

/// A channel that nobody publishes on.
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
    let subscribed = connection.client.subscribe(format!("{}{PROBE}", prefix(config))).await;
    subscribed.map_err(|error| describe(config, &error))?;
    ping(&connection.client, config).await?;
    let asked = Instant::now();
    ping(&connection.client, config).await?;
    let latency = asked.elapsed();
    connection.close().await;
    Ok(Probe { version, latency })
}

/// Publishes one message; returns how many subscribers got it.
pub async fn publish(config: &RedisConfig, channel: &str, message: &str) -> Result<u64, RedisError> {
    let connection = Connection::open(config, Use::ByHand).await?;
    let published = connection.client.publish(format!("{}{channel}", prefix(config)), message).await;
    let subscribers = published.map_err(|error| describe(config, &error));
    connection.close().await;
    subscribers
}
