//! Redis pub/sub through fred.
//!
//! One connection is subscribed and nothing else; another sets keys. The subscribed one does not reconnect by itself:
//! fred tells of reconnects and of messages by separate ways, so what was received before a break and after it could
//! not be told apart. Here each connection is a client of its own, read to its end before the next is made.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use fred::{
    prelude::{Client, ClientLike, EventInterface, Expiration, KeysInterface, PubsubInterface},
    types::{Value, config::Options},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, try_join_all},
};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::{
    LinkState, RedisConfig, RedisError, Sink,
    connection::{COMMAND_TIMEOUT, Connection, Use, client},
    intake::{Intake, News},
    trouble::{describe, explain},
    wanted::{Changes, Wanted},
};
use crate::{
    domain::Channel,
    lifecycle::{Lifecycle, jittered},
    telemetry::{Metrics, Reminder},
};

/// Channels named by one SUBSCRIBE or UNSUBSCRIBE, keys set at once.
const BATCH: usize = 1_000;

/// Bytes of their names: Redis closes connections that send far larger commands.
const BATCH_BYTES: usize = 1024 * 1024;

/// How long a key tells Mastodon that somebody watches. The Node server's value: three renewals long.
const KEY_SECONDS: i64 = 1_080;

/// A connection that lasted longer is no sign of trouble: the next one may be tried without delay.
const STABLE: Duration = Duration::from_secs(10);
/// How often the subscribed connection is asked whether it is alive.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// How many moments of silence, each of which this process could run through, end a connection that was asked.
const SILENT_MOMENTS: u32 = 8;
const MOMENT: Duration = Duration::from_millis(500);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

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
        let down = LinkState::Down { since: Instant::now(), reason: "redis has not been reached yet".to_owned() };
        let (state, watcher) = watch::channel(down);
        let keys = client(&config, Use::Keys)?;
        lifecycle.spawn_essential("redis keys", keep_connected(keys.clone(), lifecycle.clone()));
        let prefix = config.prefix();
        let intake = Arc::new(Intake::new(Arc::clone(&metrics)));
        let (heard, namespace) = (Arc::clone(&intake), prefix.clone());
        lifecycle.spawn_lasting("redis deliveries", async move { heard.deliver(&namespace, sink).await });
        let subscriber = Subscriber {
            config: config.clone(),
            prefix,
            metrics,
            wanted: Arc::clone(&wanted),
            intake,
            state,
            reminder: Mutex::default(),
            silent_since: Mutex::default(),
        };
        let own = lifecycle.clone();
        lifecycle.spawn_lasting("redis subscriber", async move { subscriber.run(&own).await });
        Ok(Self { wanted, state: watcher, keys, config })
    }

    pub(super) fn change(&self, subscribe: Vec<Channel>, unsubscribe: Vec<Channel>) -> u64 {
        self.wanted.change(subscribe, unsubscribe)
    }

    pub(super) fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// Waits until events come and keys can be set: two connections.
    pub(super) async fn ready(&self) {
        let _ = self.state().wait_for(|state| matches!(state, LinkState::Up)).await;
        let (since, mut reminder) = (Instant::now(), Reminder::default());
        let mut errors = self.keys.error_rx();
        let mut reason = explain(&self.config, "has not taken a second connection, for keys, yet");
        while !self.keys.is_connected() {
            self.keys_connected_soon().await;
            while let Ok((error, _)) = errors.try_recv() {
                reason = describe(&self.config, &error);
            }
            let waited_s = since.elapsed().as_secs();
            if since.elapsed() > COMMAND_TIMEOUT && reminder.is_due(&reason.to_string()) {
                tracing::warn!(%reason, waited_s, "keys cannot be set at redis yet; trying again");
            }
        }
    }

    pub(super) async fn publish(&self, channel: &Channel, message: &str) -> Result<(), RedisError> {
        // The library would keep commands for later, without bound.
        if !self.keys.is_connected() {
            return Err(explain(&self.config, "is not connected"));
        }
        let name = format!("{}{channel}", self.config.prefix());
        // Of a message whose answer did not come nobody knows whether it was published: it must not be sent again.
        let once = Options { max_attempts: Some(1), ..Options::default() };
        let published: Result<i64, _> = self.keys.with_options(&once).publish(name, message).await;
        published.map(drop).map_err(|error| describe(&self.config, &error))
    }

    /// Waits a moment for the connection that sets keys.
    async fn keys_connected_soon(&self) {
        // The library tells a connection only to those who wait already.
        let _ = tokio::time::timeout(FIRST_BACKOFF, self.keys.wait_for_connect()).await;
    }

    pub(super) async fn renew_keys(&self, channels: &[Channel]) -> Result<(), RedisError> {
        // The library would keep commands for later, without bound. This connection may come back a little after the other.
        let since = Instant::now();
        while !self.keys.is_connected() && since.elapsed() < COMMAND_TIMEOUT {
            self.keys_connected_soon().await;
        }
        if !self.keys.is_connected() {
            return Err(explain(&self.config, "is not connected"));
        }
        let prefix = self.config.prefix();
        for batch in batches(channels) {
            // Not a pipeline: of one the library writes each command by a system call of its own.
            let set = batch.iter().map(|channel| {
                let key = format!("{prefix}subscribed:{channel}");
                self.keys.set::<Value, _, _>(key, 1, Some(Expiration::EX(KEY_SECONDS)), None, false)
            });
            try_join_all(set).await.map_err(|error| describe(&self.config, &error))?;
        }
        Ok(())
    }
}

struct Subscriber {
    config: RedisConfig,
    prefix: String,
    metrics: Arc<Metrics>,
    wanted: Arc<Wanted>,
    intake: Arc<Intake>,
    state: watch::Sender<LinkState>,
    reminder: Mutex<Reminder>,
    /// Since when nothing came, if the last connection ended for that.
    silent_since: Mutex<Option<Instant>>,
}

impl Subscriber {
    async fn run(&self, lifecycle: &Lifecycle) {
        let mut backoff = FIRST_BACKOFF;
        let mut connections = 0_u64;
        loop {
            let cause = match Connection::open(&self.config, Use::Subscribing).await {
                Ok(connection) => {
                    connections += 1;
                    if connections > 1 {
                        self.metrics.redis_reconnects.inc();
                    }
                    let opened = Instant::now();
                    let cause = self.serve(connection, lifecycle).await;
                    if opened.elapsed() > STABLE {
                        backoff = FIRST_BACKOFF;
                    }
                    cause
                }
                Err(error) => error,
            };
            self.wanted.disconnected();
            self.metrics.redis_subscriptions.set(0);
            self.mark_down(&cause, backoff);
            tokio::time::sleep(jittered(backoff)).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    /// Serves one connection to its end, and says why it ended.
    async fn serve(&self, mut connection: Connection, lifecycle: &Lifecycle) -> RedisError {
        let messages = connection.client.message_rx();
        let intake = Arc::clone(&self.intake);
        let (running, mut ended) = oneshot::channel::<()>();
        let (stop, stopped) = oneshot::channel::<()>();
        let own = lifecycle.clone();
        lifecycle.spawn("redis receive loop", async move {
            let _running = running;
            // The library keeps its channel open when nobody is left to say good-bye to Redis.
            tokio::select! {
                () = intake.receive(messages) => {}
                () = own.stopping() => {}
                _ = stopped => {}
            }
        });
        let cause = tokio::select! {
            cause = self.keep_subscribed(&connection.client) => cause,
            cause = self.watch_over(&connection.client) => cause,
            error = connection.errors.recv() => match error {
                Ok((error, _)) => describe(&self.config, &error),
                Err(_) => explain(&self.config, "closed the connection"),
            },
            _ = &mut ended => explain(&self.config, "is not read any more"),
        };
        connection.close().await;
        // What was received before the break is handed on before anything of the next connection.
        if !ended.is_terminated() && tokio::time::timeout(COMMAND_TIMEOUT, &mut ended).await.is_err() {
            tracing::debug!("the receive loop of a lost connection to redis is stopped");
        }
        // Whatever the library still holds of the old connection must not come after what the next one brings.
        drop(stop);
        if !ended.is_terminated() {
            let _ = ended.await;
        }
        self.intake.put(News::Broken);
        cause
    }

    async fn keep_subscribed(&self, client: &Client) -> RedisError {
        let result: Result<std::convert::Infallible, RedisError> = async {
            self.tell(client, self.wanted.all()).await?;
            self.mark_up();
            self.intake.put(News::Connected);
            loop {
                let changes = self.wanted.changes().await;
                self.tell(client, changes).await?;
            }
        }
        .await;
        let Err(error) = result;
        error
    }

    async fn tell(&self, client: &Client, changes: Changes) -> Result<(), RedisError> {
        for batch in batches(&changes.subscribe) {
            heard(client, &self.config, client.subscribe(self.names(batch)).boxed()).await?;
        }
        for batch in batches(&changes.unsubscribe) {
            heard(client, &self.config, client.unsubscribe(self.names(batch)).boxed()).await?;
        }
        self.metrics.redis_subscriptions.set(i64::try_from(self.wanted.count()).unwrap_or(i64::MAX));
        self.intake.put(News::Subscribed(changes.number));
        Ok(())
    }

    fn names(&self, channels: &[Channel]) -> Vec<String> {
        channels.iter().map(|channel| format!("{}{channel}", self.prefix)).collect()
    }

    /// A connection that stays open but silent is as good as lost: asks it again and again until nothing comes for a while,
    /// no answer and no message. Time in which this process could not run does not count: what came then is still to be read.
    async fn watch_over(&self, client: &Client) -> RedisError {
        loop {
            tokio::time::sleep(PING_INTERVAL).await;
            let mut answer = pin!(ping(client, &self.config));
            let mut heard = self.metrics.redis_messages_received.get();
            let (mut silent, mut since) = (0, Instant::now());
            while silent < SILENT_MOMENTS {
                match tokio::time::timeout(MOMENT, &mut answer).await {
                    Ok(Ok(())) => break,
                    Ok(Err(error)) => return error,
                    Err(_) => silent += 1,
                }
                let now = self.metrics.redis_messages_received.get();
                if now != std::mem::replace(&mut heard, now) {
                    (silent, since) = (0, Instant::now());
                }
            }
            if silent == SILENT_MOMENTS {
                *self.silent_since.lock() = Some(since);
                return explain(
                    &self.config,
                    format!("did not answer within {} s", (MOMENT * SILENT_MOMENTS).as_secs()),
                );
            }
        }
    }

    fn mark_up(&self) {
        self.reminder.lock().forget();
        let down_s = match self.state.send_replace(LinkState::Up) {
            LinkState::Down { since, .. } => since.elapsed().as_secs(),
            LinkState::Up => 0,
        };
        tracing::info!(address = %self.config.address, down_s, "connected to redis");
    }

    fn mark_down(&self, cause: &RedisError, retry_in: Duration) {
        let reason = cause.to_string();
        let mut since = self.silent_since.lock().take().unwrap_or_else(Instant::now);
        self.state.send_if_modified(|state| {
            let known = match state {
                LinkState::Up => false,
                LinkState::Down { since: before, reason: known } => {
                    since = *before;
                    *known == reason
                }
            };
            *state = LinkState::Down { since, reason: reason.clone() };
            !known
        });
        if self.reminder.lock().is_due(&reason) {
            let (down_s, retry_in_s) = (since.elapsed().as_secs(), retry_in.as_secs_f64());
            tracing::warn!(reason, down_s, retry_in_s, "redis cannot be used; trying again");
        }
    }
}

/// Keeps a client connected that reconnects by itself. Commands fail in time while it is not.
async fn keep_connected(client: Client, lifecycle: Lifecycle) {
    loop {
        // The library gives up for good after errors that it thinks to be ours.
        let mut connecting = client.connect();
        tokio::select! {
            ended = &mut connecting => tracing::debug!(?ended, "the library gave up a connection to redis"),
            () = lifecycle.stopping() => return connecting.abort(),
        }
        tokio::select! {
            () = tokio::time::sleep(LONGEST_BACKOFF) => {}
            () = lifecycle.stopping() => return,
        }
    }
}

/// Channels in portions that fit one command.
fn batches(channels: &[Channel]) -> impl Iterator<Item = &[Channel]> {
    let mut rest = channels;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |channel: &&Channel| {
            bytes += channel.as_str().len();
            bytes <= BATCH_BYTES
        };
        // A single name over the limit goes alone.
        let count = rest.iter().take(BATCH).take_while(fits).count().max(1);
        let (batch, following) = rest.split_at_checked(count)?;
        rest = following;
        Some(batch)
    })
}

/// Sends a command of whose answer the library tells nothing, and hears what Redis says to it.
///
/// Answers come in order: an error, such as that this user may not subscribe, is taken for the answer to the next command.
/// That one must be on its way before the error comes, or the library drops it: so both are sent at once.
pub(super) async fn heard(
    client: &Client,
    config: &RedisConfig,
    command: BoxFuture<'_, Result<(), fred::error::Error>>,
) -> Result<(), RedisError> {
    let (sent, answered) = tokio::join!(command, ping(client, config));
    sent.map_err(|error| describe(config, &error))?;
    answered
}

/// Asks for an answer.
pub(super) async fn ping(client: &Client, config: &RedisConfig) -> Result<(), RedisError> {
    let pong: Result<Value, _> = client.ping(None).await;
    pong.map(drop).map_err(|error| describe(config, &error))
}

#[cfg(test)]
mod tests;
