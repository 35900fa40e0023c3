//! From environment variables to typed configuration. The variables are those of Mastodon's Node server.

mod database;
mod dotenv;
mod environment;
mod redis;
mod variables;

use std::path::PathBuf;

pub use environment::{Environment, Origin};
pub use variables::{VARIABLES, Variable, libpq, replaced_by};

use crate::{
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
    /// How Redis is reached.
    pub redis: RedisConfig,
    /// How PostgreSQL is reached.
    pub database: DatabaseConfig,
}

/// A variable whose value makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct ConfigError {
    variable: &'static str,
    problem: String,
}

impl ConfigError {
    fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self { variable, problem: problem.into() }
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
        Ok(Self {
            listen: listen_address(environment)?,
            trusted_proxies: trusted_proxies(environment)?,
            redis: redis::read(environment)?,
            database: database::read(environment)?,
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
    // An empty BIND means all addresses, unlike a missing one.
    let host = environment.given("BIND").unwrap_or("127.0.0.1");
    Ok(ListenAddress::Tcp(bare(host).to_owned(), number(environment, "PORT", 4000)?))
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

/// A number within the range of its type.
fn number<N>(environment: &Environment, variable: &'static str, default: N) -> Result<N, ConfigError>
where
    N: std::str::FromStr + Copy,
{
    environment.get(variable).map_or(Ok(default), |value| {
        value.trim().parse().map_err(|_| ConfigError::new(variable, format!("{value:?} is not a valid number")))
    })
}

#[cfg(test)]
mod tests;
