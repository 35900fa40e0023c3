//! From environment variables to typed configuration. The variables are those of Mastodon's Node server,
//! and `WS_COMPRESSION` and `CLUSTER_`, which it does not have.

mod cluster;
mod database;
mod dotenv;
mod environment;
mod redis;
mod variables;

use std::{
    borrow::Cow,
    net::IpAddr,
    num::{IntErrorKind, ParseIntError},
    path::PathBuf,
    str::FromStr,
};

pub use environment::{Environment, Origin};
pub use variables::{
    VARIABLES, Variable, default_in_force, ignored_variables, libpq, replaced_by, unknown_variables, useless_without,
};

use crate::{
    cluster::ClusterConfig,
    http::{ListenAddress, TrustedProxies},
    store::DatabaseConfig,
    telemetry::logs::{LogConfig, LogLevel},
    upstream::RedisConfig,
};

/// Everything that the server is told.
#[derive(Clone)]
pub struct Config {
    /// Where clients connect.
    pub listen: ListenAddress,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether WebSockets are compressed for clients that offer it.
    pub compression: bool,
    /// How Redis is reached.
    pub redis: RedisConfig,
    /// How PostgreSQL is reached.
    pub database: DatabaseConfig,
    /// How this node takes part in a cluster; `None` if it is alone.
    pub cluster: Option<ClusterConfig>,
}

/// A variable whose value makes no sense, or a file that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct ConfigError {
    variable: Cow<'static, str>,
    problem: String,
}

impl ConfigError {
    fn new(variable: impl Into<Cow<'static, str>>, problem: impl Into<String>) -> Self {
        Self { variable: variable.into(), problem: problem.into() }
    }
}

/// What `NODE_ENV` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Production,
    Development,
    Other,
}

impl Config {
    /// Reads all of it.
    pub fn read(environment: &Environment) -> Result<Self, ConfigError> {
        let cluster = cluster::read(environment)?;
        let listen = listen_address(environment)?;
        if let Some(cluster) = &cluster {
            cluster::apart(&cluster.bind, &listen)?;
        }
        Ok(Self {
            listen,
            trusted_proxies: trusted_proxies(environment)?,
            compression: compression(environment)?,
            redis: RedisConfig { publishes: cluster.is_some(), ..redis::read(environment)? },
            database: database::read(environment)?,
            cluster,
        })
    }
}

/// How logs are written.
pub fn log_config(environment: &Environment) -> Result<LogConfig, ConfigError> {
    let production = mode(environment) == Mode::Production;
    let level = match environment.get("LOG_LEVEL") {
        None if mode(environment) == Mode::Development => LogLevel::Debug,
        None => LogLevel::Info,
        Some(name) => LogLevel::parse(name).ok_or_else(|| {
            ConfigError::new("LOG_LEVEL", format!("{name:?} is none of trace, debug, info, warn, error, fatal"))
        })?,
    };
    Ok(LogConfig { level, json: production })
}

/// Where clients connect.
pub fn listen_address(environment: &Environment) -> Result<ListenAddress, ConfigError> {
    if let Some(path) = environment.get("SOCKET") {
        return Ok(ListenAddress::Unix(PathBuf::from(path)));
    }
    if let Some(path) = environment.get("PORT").filter(|port| port.contains('/')) {
        return Err(ConfigError::new("PORT", format!("{path:?} is a path: set SOCKET to listen on a unix socket")));
    }
    // An empty BIND means all addresses, unlike a missing one.
    let host = environment.given("BIND").unwrap_or("127.0.0.1");
    if !may_be_host(bare(host)) {
        let allowed = "give an IPv4 or IPv6 address or a host name, without port (PORT), or nothing for all addresses";
        return Err(ConfigError::new("BIND", format!("{host:?} is no address; {allowed}")));
    }
    Ok(ListenAddress::Tcp(bare(host).to_owned(), port(environment, "PORT", 4000)?))
}

/// Whether it is empty, an address, or could be the name of a host.
fn may_be_host(text: &str) -> bool {
    // An IPv6 address may name its interface (RFC 4007).
    let without_zone = text.split_once('%').map_or(text, |(address, _)| address);
    without_zone.parse::<IpAddr>().is_ok()
        || text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn trusted_proxies(environment: &Environment) -> Result<TrustedProxies, ConfigError> {
    environment.get("TRUSTED_PROXY_IP").map_or_else(
        || Ok(TrustedProxies::default()),
        |list| {
            TrustedProxies::parse(list).map_err(|entry| {
                ConfigError::new("TRUSTED_PROXY_IP", format!("{entry:?} is neither an address nor a network"))
            })
        },
    )
}

fn compression(environment: &Environment) -> Result<bool, ConfigError> {
    match environment.get("WS_COMPRESSION") {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(other) => Err(ConfigError::new("WS_COMPRESSION", format!("{other:?} is neither on nor off"))),
    }
}

fn mode(environment: &Environment) -> Mode {
    match environment.get("NODE_ENV") {
        Some("production") => Mode::Production,
        None | Some("development") => Mode::Development,
        Some(_) => Mode::Other,
    }
}

/// An IPv6 address without its square brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A number within the range of its type. `least` is for the message alone.
fn number<N>(environment: &Environment, variable: &'static str, default: N, least: u8) -> Result<N, ConfigError>
where
    N: FromStr<Err = ParseIntError>,
{
    environment.get(variable).map_or(Ok(default), |value| {
        value.trim().parse().map_err(|error: ParseIntError| {
            let problem = match error.kind() {
                IntErrorKind::PosOverflow => "is too large".to_owned(),
                _ => format!("is not a whole number from {least} on"),
            };
            ConfigError::new(variable, format!("{value:?} {problem}"))
        })
    })
}

/// That an `@` stands behind the place where the host of a URL ends. What stands before it is part of a password then, and
/// would be taken for the host. Parameters may have one.
fn ensure_encoded(url: &str) -> Result<(), String> {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let behind = rest.find(['/', '?', '#']).map_or("", |end| &rest[end..]);
    match behind.split_once('@') {
        Some((before, _)) if !before.contains('=') => {
            let how = "such as / ? # @, have to be percent-encoded (%2F %3F %23 %40)";
            Err(format!("there is an @ behind the host: special characters in a password, {how}"))
        }
        _ => Ok(()),
    }
}

/// Why a URL cannot be read.
fn no_url(error: url::ParseError) -> String {
    format!("is not a URL: {error}. Special characters in a password have to be percent-encoded (such as / as %2F)")
}

/// A port.
fn port(environment: &Environment, variable: &'static str, default: u16) -> Result<u16, ConfigError> {
    number(environment, variable, default, 0).map_err(|_| {
        let value = environment.get(variable).unwrap_or_default();
        ConfigError::new(variable, format!("{value:?} is no port: a whole number up to 65535"))
    })
}

#[cfg(test)]
mod tests;
