//! Redis pub/sub through fred.
//!
//! One connection is subscribed and nothing else; another sets keys. The subscribed one does not reconnect by itself:
//! fred tells of reconnects and of messages by separate ways, so what was received before a break and after it could
//! not be told apart. Here each connection is a client of its own, read to its end before the next is made.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fred::{
    prelude::{Builder, Client, ClientLike, EventInterface, Expiration, KeysInterface, PubsubInterface, ReconnectPolicy},
    types::{
        Message, Value,
        config::{Config, ConnectionConfig, PerformanceConfig, Server, ServerConfig, TlsConnector},
    },
};
use tokio::sync::{broadcast, watch};

use super::{LinkState, RedisAddress, RedisConfig, Sink, wanted::Wanted};
use crate::{domain::Channel, lifecycle::Lifecycle, telemetry::Metrics};

/// Messages that may wait between fred and the receive loop. Beyond it fred skips the oldest, which is counted.
const RECEIVE_BACKLOG: usize = 32_768;

/// Channels named by one SUBSCRIBE or UNSUBSCRIBE, keys set by one pipeline.
const BATCH: usize = 1_000;

/// How long a key tells Mastodon that somebody watches. The Node server's value: three renewals long.
const KEY_SECONDS: i64 = 1_080;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the subscribed connection is asked whether it is alive.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// What went wrong at Redis, in words for an operator.
#[derive(Debug, thiserror::Error)]
#[error("redis at {address} ({variable}): {cause}")]
pub struct RedisError {
    address: String,
    variable: &'static str,
    cause: String,
}

/// A subscription to Redis that is kept up.
#[derive(Debug)]
pub struct Redis {
    wanted: Arc<Wanted>,
    state: watch::Receiver<LinkState>,
    keys: Client,
    config: RedisConfig,
}

impl Redis {
    /// Begins to connect; everything received goes to the sink.
    pub fn start(
        config: RedisConfig,
        sink: Arc<dyn Sink>,
        metrics: Arc<Metrics>,
        lifecycle: &Lifecycle,
    ) -> Result<Self, RedisError> {
        let wanted = Arc::<Wanted>::default();
        let down = LinkState::Down { since: Instant::now(), reason: "not connected yet".to_owned() };
        let (state, watcher) = watch::channel(down);
        let keys = client(&config, Some(ReconnectPolicy::new_exponential(0, 100, 2_000, 2)))?;
        // Its connection loop ends with the process; commands fail in time while it is not connected.
        keys.connect();
        let prefix = prefix(&config);
        let subscriber =
            Subscriber { config: config.clone(), prefix, sink, metrics, wanted: Arc::clone(&wanted), state };
        let own = lifecycle.clone();
        lifecycle.spawn_essential("redis subscriber", async move {
            tokio::select! {
                () = subscriber.run(&own) => {}
                () = own.stopping() => {}
            }
        });
        Ok(Self { wanted, state: watcher, keys, config })
    }

    pub(super) fn change(&self, subscribe: Vec<Channel>, unsubscribe: Vec<Channel>) {
        self.wanted.change(subscribe, unsubscribe);
    }

    pub(super) fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    pub(super) async fn renew_keys(&self, channels: &[Channel]) -> Result<(), RedisError> {
        let prefix = prefix(&self.config);
        for batch in channels.chunks(BATCH) {
            let pipeline = self.keys.pipeline();
            for channel in batch {
                let key = format!("{prefix}subscribed:{channel}");
                let queued: Result<Value, _> =
                    pipeline.set(key, 1, Some(Expiration::EX(KEY_SECONDS)), None, false).await;
                queued.map_err(|error| describe(&self.config, &error))?;
            }
            let set: Result<Vec<Value>, _> = pipeline.all().await;
            set.map_err(|error| describe(&self.config, &error))?;
        }
        Ok(())
    }
}

struct Subscriber {
    config: RedisConfig,
    prefix: String,
    sink: Arc<dyn Sink>,
    metrics: Arc<Metrics>,
    wanted: Arc<Wanted>,
    state: watch::Sender<LinkState>,
}

impl Subscriber {
    async fn run(&self, lifecycle: &Lifecycle) {
        let mut backoff = FIRST_BACKOFF;
        let mut connections = 0_u64;
        loop {
            let cause = match self.connect().await {
                Ok(client) => {
                    backoff = FIRST_BACKOFF;
                    connections += 1;
                    if connections > 1 {
                        self.metrics.redis_reconnects.inc();
                    }
                    self.serve(client, lifecycle).await
                }
                Err(error) => error,
            };
            self.metrics.redis_subscriptions.set(0);
            self.mark_down(&cause, backoff);
            tokio::time::sleep(jittered(backoff)).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    async fn connect(&self) -> Result<Client, RedisError> {
        let client = client(&self.config, None)?;
        connect(&client, &self.config).await?;
        Ok(client)
    }

    /// Serves one connection to its end, and says why it ended.
    async fn serve(&self, client: Client, lifecycle: &Lifecycle) -> RedisError {
        let messages = client.message_rx();
        let receiver = Receiver { prefix: self.prefix.clone(), sink: Arc::clone(&self.sink) };
        let (drained, done) = tokio::sync::oneshot::channel::<()>();
        lifecycle.spawn("redis receive loop", async move {
            receiver.run(messages).await;
            drop(drained);
        });
        let mut errors = client.error_rx();
        let cause = tokio::select! {
            cause = self.keep_subscribed(&client) => cause,
            cause = self.watch_over(&client) => cause,
            error = errors.recv() => match error {
                Ok((error, _)) => describe(&self.config, &error),
                Err(_) => explain(&self.config, "the connection was lost".to_owned()),
            },
        };
        disconnect(&client).await;
        drop(client);
        // What was received before the break is handed on before anything of the next connection. Should the library
        // keep its channel open, the receive loop ends with its own time-out instead.
        let _ = tokio::time::timeout(COMMAND_TIMEOUT, done).await;
        cause
    }

    async fn keep_subscribed(&self, client: &Client) -> RedisError {
        let result: Result<std::convert::Infallible, RedisError> = async {
            self.subscribe(client, self.wanted.all()).await?;
            tracing::info!(address = %self.config.address, "connected to redis");
            self.state.send_replace(LinkState::Up);
            loop {
                let changes = self.wanted.changes().await;
                self.subscribe(client, changes.subscribe).await?;
                self.unsubscribe(client, changes.unsubscribe).await?;
            }
        }
        .await;
        let Err(error) = result;
        error
    }

    async fn subscribe(&self, client: &Client, channels: Vec<Channel>) -> Result<(), RedisError> {
        for batch in channels.chunks(BATCH) {
            let subscribed = client.subscribe(self.names(batch)).await;
            subscribed.map_err(|error| describe(&self.config, &error))?;
            self.metrics.redis_subscriptions.inc_by(batch.len() as i64);
        }
        Ok(())
    }

    async fn unsubscribe(&self, client: &Client, channels: Vec<Channel>) -> Result<(), RedisError> {
        for batch in channels.chunks(BATCH) {
            let unsubscribed = client.unsubscribe(self.names(batch)).await;
            unsubscribed.map_err(|error| describe(&self.config, &error))?;
            self.metrics.redis_subscriptions.dec_by(batch.len() as i64);
        }
        Ok(())
    }

    fn names(&self, channels: &[Channel]) -> Vec<String> {
        channels.iter().map(|channel| format!("{}{channel}", self.prefix)).collect()
    }

    /// A connection that stays open but silent is as good as lost: asks it again and again until it does not answer.
    async fn watch_over(&self, client: &Client) -> RedisError {
        loop {
            tokio::time::sleep(PING_INTERVAL).await;
            let pong: Result<Value, _> = client.ping(None).await;
            if let Err(error) = pong {
                return describe(&self.config, &error);
            }
        }
    }

    fn mark_down(&self, cause: &RedisError, retry_in: Duration) {
        let reason = cause.to_string();
        let changed = self.state.send_if_modified(|state| {
            let (since, known) = match state {
                LinkState::Up => (Instant::now(), false),
                LinkState::Down { since, reason: before } => (*since, *before == reason),
            };
            *state = LinkState::Down { since, reason: reason.clone() };
            !known
        });
        // The same reason again is no news.
        if changed {
            tracing::warn!(reason, retry_in_s = retry_in.as_secs_f64(), "redis cannot be reached; trying again");
        }
    }
}

/// Takes messages from the client library and hands them on without waiting for anything.
struct Receiver {
    prefix: String,
    sink: Arc<dyn Sink>,
}

impl Receiver {
    async fn run(&self, mut messages: broadcast::Receiver<Message>) {
        loop {
            match messages.recv().await {
                Ok(message) => self.hand_on(&message),
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::error!(messages = lost, "events were lost: the receive loop did not keep up with redis");
                    self.sink.lagged(lost);
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn hand_on(&self, message: &Message) {
        let Some(channel) = message.channel.strip_prefix(&self.prefix) else { return };
        match &message.value {
            Value::String(text) => self.sink.receive(channel, text),
            Value::Bytes(bytes) => self.sink.receive(channel, &String::from_utf8_lossy(bytes)),
            other => self.sink.receive(channel, &other.as_string().unwrap_or_default()),
        }
    }
}

/// What stands before channels and keys at Redis.
pub(super) fn prefix(config: &RedisConfig) -> String {
    config.namespace.as_ref().map(|namespace| format!("{namespace}:")).unwrap_or_default()
}

/// Connects, or says why not in time.
pub(super) async fn connect(client: &Client, config: &RedisConfig) -> Result<(), RedisError> {
    let failed = match tokio::time::timeout(CONNECT_TIMEOUT, client.init()).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => describe(config, &error),
        Err(_) => explain(config, format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
    };
    disconnect(client).await;
    Err(failed)
}

async fn disconnect(client: &Client) {
    // QUIT on a dead connection may never be answered.
    let _ = tokio::time::timeout(Duration::from_secs(1), client.quit()).await;
}

fn jittered(backoff: Duration) -> Duration {
    backoff.mul_f64(0.75 + 0.5 * fastrand::f64())
}

/// A client that has not connected yet.
pub(super) fn client(config: &RedisConfig, reconnect: Option<ReconnectPolicy>) -> Result<Client, RedisError> {
    let (server, tls_host) = match &config.address {
        RedisAddress::Tcp(host, port) => (ServerConfig::new_centralized(host.clone(), *port), config.tls),
        RedisAddress::Unix(path) => (ServerConfig::Unix { path: path.clone() }, false),
        RedisAddress::Sentinel { hosts, master, username, password } => {
            let hosts = hosts.iter().map(|(host, port)| Server::new(host.clone(), *port)).collect();
            let (username, password) = (username.clone(), password.clone());
            (ServerConfig::Sentinel { hosts, service_name: master.clone(), username, password }, config.tls)
        }
    };
    let tls = if tls_host {
        Some(TlsConnector::default_rustls().map_err(|error| describe(config, &error))?.into())
    } else {
        None
    };
    let settings = Config {
        server,
        tls,
        username: config.username.clone(),
        password: config.password.clone(),
        database: (config.database != 0).then_some(config.database),
        ..Config::default()
    };
    let mut builder = Builder::from_config(settings);
    builder.set_performance_config(PerformanceConfig {
        broadcast_channel_capacity: RECEIVE_BACKLOG,
        default_command_timeout: COMMAND_TIMEOUT,
        ..PerformanceConfig::default()
    });
    builder.set_connection_config(ConnectionConfig {
        connection_timeout: CONNECT_TIMEOUT,
        internal_command_timeout: CONNECT_TIMEOUT,
        ..ConnectionConfig::default()
    });
    if let Some(policy) = reconnect {
        builder.set_policy(policy);
    }
    builder.build().map_err(|error| describe(config, &error))
}

pub(super) fn describe(config: &RedisConfig, error: &fred::error::Error) -> RedisError {
    explain(config, error.to_string())
}

fn explain(config: &RedisConfig, cause: String) -> RedisError {
    RedisError { address: config.address.to_string(), variable: config.variable, cause }
}
