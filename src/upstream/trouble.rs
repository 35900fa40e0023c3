//! What goes wrong at Redis, told to operators in plain words and with the variables to look at.

use fred::error::{Error, ErrorKind};

use super::{RedisAddress, RedisConfig};
use crate::telemetry::{concerns_tls, plain_words};

/// What went wrong at Redis, in words for an operator.
#[derive(Debug, thiserror::Error)]
#[error("redis at {address} {cause} ({variables})")]
pub struct RedisError {
    address: String,
    cause: String,
    variables: &'static str,
}

/// Something that only its address can be blamed for.
pub(super) fn explain(config: &RedisConfig, cause: impl Into<String>) -> RedisError {
    trouble(config, cause, of_address(config))
}

/// What the library says: a text of its own, or the one of Redis, or Rust's debug output of an error.
pub(super) fn describe(config: &RedisConfig, error: &Error) -> RedisError {
    let (kind, text) = (error.kind(), error.details());
    if let Some(refused) = refused(config, text) {
        return refused;
    }
    if *kind == ErrorKind::Timeout {
        let by = if config.tls { ", by TLS" } else { "" };
        return explain(config, format!("did not answer in time{by}"));
    }
    if matches!(config.address, RedisAddress::Sentinel { .. })
        && let Some(unfound) = unfound(config, text)
    {
        return unfound;
    }
    match plain_words(text, host(config)) {
        Some(words) if concerns_tls(text) => {
            trouble(config, format!("cannot be trusted: {words}"), "REDIS_URL and SSL_CERT_FILE")
        }
        Some(words) => explain(config, format!("cannot be reached: {words}")),
        None if *kind == ErrorKind::IO => explain(config, format!("cannot be reached: {text}")),
        None => explain(config, format!("fails: {text}")),
    }
}

/// Redis itself said no. Its errors begin with a word in capital letters (Redis documentation, "Redis serialization
/// protocol").
fn refused(config: &RedisConfig, text: &str) -> Option<RedisError> {
    if let Some(what) = text.strip_prefix("NOPERM ") {
        return Some(not_permitted(config, what));
    }
    if text.starts_with("READONLY") {
        let cause = "is a replica and takes no keys; the server needs its master";
        return Some(trouble(config, cause, or_url(config, of_host(config))));
    }
    let credentials = |cause: &str| Some(trouble(config, cause, of_credentials(config)));
    if text.starts_with("WRONGPASS") || text.contains("invalid password") {
        return credentials("refuses the user or its password");
    }
    if text.starts_with("NOAUTH") {
        return credentials("demands a password");
    }
    if text.contains("DB index") || text.contains("SELECT is not allowed") {
        let cause = format!("has no database {}", config.database);
        return Some(trouble(config, cause, or_url(config, "REDIS_DB")));
    }
    let said = text.strip_prefix("ERR ").or_else(|| text.starts_with("LOADING ").then_some(text))?;
    // What follows may be a password: Redis repeats a command that it does not know.
    let said = said.split(", with args beginning with").next().unwrap_or(said);
    Some(explain(config, format!("refuses: {said}")))
}

/// The user may not do what the server has to: subscribe to channels of timelines, set keys that say so, ask whether Redis
/// is alive, and, as a node of a cluster or by hand, publish.
pub(super) fn not_permitted(config: &RedisConfig, what: &str) -> RedisError {
    let (user, prefix) = (config.username.as_deref().unwrap_or("default"), config.prefix());
    let publish = if config.publishes || what.contains("'publish'") { " +publish" } else { "" };
    let cause = format!(
        "does not permit enough to the user {user}: {what}; ACL SETUSER {user} &{prefix}timeline:* \
         ~{prefix}subscribed:* +subscribe +unsubscribe +set +ping{publish} would"
    );
    trouble(config, cause, or_url(config, "REDIS_USER"))
}

/// Sentinels do not say where Redis is.
fn unfound(config: &RedisConfig, text: &str) -> Option<RedisError> {
    let RedisAddress::Sentinel { password, .. } = &config.address else { return None };
    if text.starts_with("Missing primary address") {
        return Some(trouble(config, "is not known to the sentinels by this name", "REDIS_SENTINEL_MASTER"));
    }
    // The library does not tell why.
    if text.starts_with("Failed to connect to all sentinel") {
        return Some(match password {
            None => trouble(config, "cannot be found: no sentinel answers", "REDIS_SENTINELS"),
            Some(_) => {
                let cause = "cannot be found: no sentinel answers and takes the password";
                trouble(config, cause, "REDIS_SENTINELS and REDIS_SENTINEL_PASSWORD")
            }
        });
    }
    None
}

fn host(config: &RedisConfig) -> &str {
    match &config.address {
        RedisAddress::Tcp(host, _) => host,
        RedisAddress::Unix(_) | RedisAddress::Sentinel { .. } => "the name of its host",
    }
}

fn of_address(config: &RedisConfig) -> &'static str {
    match config.variable {
        "REDIS_HOST" => "REDIS_HOST and REDIS_PORT",
        variable => variable,
    }
}

/// What says which Redis it is, and not at which port.
fn of_host(config: &RedisConfig) -> &'static str {
    if matches!(config.address, RedisAddress::Sentinel { .. }) { "REDIS_SENTINELS" } else { "REDIS_HOST" }
}

fn of_credentials(config: &RedisConfig) -> &'static str {
    // The library does not tell which of the two wants a password.
    if matches!(config.address, RedisAddress::Sentinel { .. }) {
        return "REDIS_PASSWORD or REDIS_SENTINEL_PASSWORD";
    }
    or_url(config, if config.username.is_some() { "REDIS_USER and REDIS_PASSWORD" } else { "REDIS_PASSWORD" })
}

/// Whether all comes from the URL, or each from a variable of its own.
fn or_url(config: &RedisConfig, variable: &'static str) -> &'static str {
    if config.variable == "REDIS_URL" { "REDIS_URL" } else { variable }
}

fn trouble(config: &RedisConfig, cause: impl Into<String>, variables: &'static str) -> RedisError {
    RedisError { address: config.address.to_string(), cause: cause.into(), variables }
}
