//! Connections to Redis through fred.

use std::time::Duration;

use fred::{
    error::Error,
    prelude::{Builder, Client, ClientLike, EventInterface, ReconnectPolicy},
    types::{
        ConnectHandle,
        config::{Config, ConnectionConfig, PerformanceConfig, Server, ServerConfig, TlsConnector, UnresponsiveConfig},
    },
};
use tokio::sync::broadcast;

use super::{RedisAddress, RedisConfig, RedisError, trouble::describe};

/// Messages that may wait between fred and the receive loop. Beyond it fred skips the oldest, which is counted. fred
/// allocates this many places for each of eight kinds of news, so only where it is needed.
const RECEIVE_BACKLOG: usize = 16_384;

/// News that may wait where nobody listens for messages.
const NEWS_BACKLOG: usize = 32;

/// How long a connection may take to be made, to each host that is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a command may take, except on the subscribed connection: there an answer waits behind messages, and what comes
/// is watched instead.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long Redis may owe an answer before its connection is given up. Shorter than a command's time-out, so that it is
/// the connection that ends, and nothing of it can arrive later.
const SILENCE: Duration = Duration::from_secs(4);

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Receiving messages over one connection.
    Subscribing,
    /// Setting keys, for ever: it reconnects by itself.
    Keys,
    /// A few commands.
    ByHand,
}

/// A client that is connected once and never again.
pub(super) struct Connection {
    pub(super) client: Client,
    /// Why the connection broke.
    pub(super) errors: broadcast::Receiver<(Error, Option<Server>)>,
    driver: ConnectHandle,
}

impl Connection {
    pub(super) async fn open(config: &RedisConfig, purpose: Use) -> Result<Self, RedisError> {
        let client = client(config, purpose)?;
        let errors = client.error_rx();
        // The library bounds each step by itself: it may have to ask one Sentinel after the other.
        let driver = client.init().await.map_err(|error| describe(config, &error))?;
        Ok(Self { client, errors, driver })
    }

    /// Says good-bye if that is possible, and ends the connection in any case.
    pub(super) async fn close(self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.client.quit()).await;
        self.driver.abort();
    }
}

/// A client that has not connected yet.
pub(super) fn client(config: &RedisConfig, purpose: Use) -> Result<Client, RedisError> {
    let (server, may_be_tls) = match &config.address {
        RedisAddress::Tcp(host, port) => (ServerConfig::new_centralized(host.clone(), *port), true),
        RedisAddress::Unix(path) => (ServerConfig::Unix { path: path.clone() }, false),
        RedisAddress::Sentinel { hosts, master, username, password } => {
            let hosts = hosts.iter().map(|(host, port)| Server::new(host.clone(), *port)).collect();
            let (username, password) = (username.clone(), password.clone());
            (ServerConfig::Sentinel { hosts, service_name: master.clone(), username, password }, true)
        }
    };
    let tls = if config.tls && may_be_tls {
        Some(TlsConnector::default_rustls().map_err(|error| describe(config, &error))?.into())
    } else {
        None
    };
    let mut builder = Builder::from_config(Config {
        server,
        tls,
        username: config.username.clone(),
        password: config.password.clone(),
        database: (config.database != 0).then_some(config.database),
        // Whoever reconnects must do so after a failed first attempt too.
        fail_fast: purpose != Use::Keys,
        ..Config::default()
    });
    limit(&mut builder, purpose);
    builder.build().map_err(|error| describe(config, &error))
}

fn limit(builder: &mut Builder, purpose: Use) {
    builder.set_performance_config(PerformanceConfig {
        broadcast_channel_capacity: if purpose == Use::Subscribing { RECEIVE_BACKLOG } else { NEWS_BACKLOG },
        // Zero is no limit.
        default_command_timeout: if purpose == Use::Subscribing { Duration::ZERO } else { COMMAND_TIMEOUT },
        ..PerformanceConfig::default()
    });
    builder.set_connection_config(ConnectionConfig {
        connection_timeout: CONNECT_TIMEOUT,
        internal_command_timeout: CONNECT_TIMEOUT,
        // The library would blame Redis also if it was this process that could not run.
        unresponsive: UnresponsiveConfig {
            max_timeout: (purpose != Use::Subscribing).then_some(SILENCE),
            interval: Duration::from_secs(1),
        },
        ..ConnectionConfig::default()
    });
    if purpose == Use::Keys {
        builder.set_policy(ReconnectPolicy::new_exponential(0, 100, 2_000, 2));
    }
}
