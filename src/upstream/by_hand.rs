//! Redis used once, for the command line.

use std::time::{Duration, Instant};

use fred::prelude::{ClientLike, PubsubInterface};
use fred::types::InfoKind;

use super::{
    RedisConfig, RedisError,
    redis::{client, connect, describe, prefix},
};

/// What there is at Redis.
#[derive(Debug)]
pub struct Probe {
    /// Its version.
    pub version: String,
    /// How long an answer takes.
    pub latency: Duration,
}

/// Connects and asks Redis for its version.
pub async fn probe(config: &RedisConfig) -> Result<Probe, RedisError> {
    let client = client(config, None)?;
    connect(&client, config).await?;
    let asked = Instant::now();
    let pong: Result<fred::types::Value, _> = client.ping(None).await;
    let latency = asked.elapsed();
    pong.map_err(|error| describe(config, &error))?;
    let info: Result<String, _> = client.info(Some(InfoKind::Server)).await;
    let info = info.map_err(|error| describe(config, &error))?;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown").to_owned();
    Ok(Probe { version, latency })
}

/// Publishes one message; returns how many subscribers got it.
pub async fn publish(config: &RedisConfig, channel: &str, message: &str) -> Result<u64, RedisError> {
    let client = client(config, None)?;
    connect(&client, config).await?;
    let published = client.publish(format!("{}{channel}", prefix(config)), message).await;
    published.map_err(|error| describe(config, &error))
}
