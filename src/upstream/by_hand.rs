//! Redis used once, for the command line.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use fred::{
    prelude::{Client, ClientLike, Expiration, KeysInterface, PubsubInterface},
    types::{InfoKind, Value},
};
use futures_util::FutureExt;

use super::{
    RedisConfig, RedisError,
    connection::{Connection, Use},
    redis::{heard, ping},
    trouble::{describe, not_permitted},
};

/// The beginning of a channel that nobody else subscribes to.
const PROBE: &str = "timeline:flodgatt:check";

/// A key of the form that the server sets, for a channel that does not exist.
const KEY: &str = "subscribed:flodgatt:check";

/// For how long it is there.
const KEY_SECONDS: i64 = 5;

/// What there is at Redis.
#[derive(Debug)]
pub struct Probe {
    /// Its version; `unknown` if this user may not ask.
    pub version: String,
    /// How long an answer takes.
    pub latency: Duration,
}

/// Connects, subscribes and sets a key as the server would, and asks Redis for its version.
pub async fn probe(config: &RedisConfig) -> Result<Probe, RedisError> {
    let connection = Connection::open(config, Use::ByHand).await?;
    let info: Result<String, _> = connection.client.info(Some(InfoKind::Server)).await;
    let info = info.unwrap_or_default();
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown").to_owned();
    let channel = format!("{}{PROBE}:{:x}", config.prefix(), fastrand::u64(..));
    heard(&connection.client, config, connection.client.subscribe(&*channel).boxed()).await?;
    let other = Connection::open(config, Use::ByHand).await?;
    let permitted = ensure_permitted(config, &other.client, channel).await;
    other.close().await;
    permitted?;
    let asked = Instant::now();
    ping(&connection.client, config).await?;
    let latency = asked.elapsed();
    connection.close().await;
    Ok(Probe { version, latency })
}

/// Asks Redis over another connection whether the subscription is there, as a refusal does not always reach who subscribes,
/// and sets a key there.
async fn ensure_permitted(config: &RedisConfig, client: &Client, channel: String) -> Result<(), RedisError> {
    let subscribers: Result<HashMap<String, u64>, _> = client.pubsub_numsub(&*channel).await;
    // An error means that this user may not ask.
    if subscribers.is_ok_and(|subscribers| subscribers.get(&channel) == Some(&0)) {
        return Err(not_permitted(config, &format!("it may not subscribe to channels such as {channel}")));
    }
    let (key, expiry) = (format!("{}{KEY}", config.prefix()), Some(Expiration::EX(KEY_SECONDS)));
    let set: Result<Value, _> = client.set(key, 1, expiry, None, false).await;
    set.map(drop).map_err(|error| describe(config, &error))
}

/// Publishes one message; returns how many subscribers got it.
pub async fn publish(config: &RedisConfig, channel: &str, message: &str) -> Result<u64, RedisError> {
    let connection = Connection::open(config, Use::ByHand).await?;
    let published = connection.client.publish(format!("{}{channel}", config.prefix()), message).await;
    let subscribers = published.map_err(|error| describe(config, &error));
    connection.close().await;
    subscribers
}
