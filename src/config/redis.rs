//! How Redis is reached.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

use super::{ConfigError, Environment, bare, ensure_encoded, no_url, number, port};
use crate::upstream::{RedisAddress, RedisConfig};

pub(super) fn read(environment: &Environment) -> Result<RedisConfig, ConfigError> {
    let mut config = if let Some(url) = environment.get("REDIS_URL") {
        from_url(url).map_err(|problem| ConfigError::new("REDIS_URL", problem))?
    } else {
        from_parts(environment)?
    };
    config.namespace = environment.get("REDIS_NAMESPACE").map(str::to_owned);
    Ok(config)
}

fn from_parts(environment: &Environment) -> Result<RedisConfig, ConfigError> {
    let text = |name| environment.get(name).map(str::to_owned);
    let (username, password) = (text("REDIS_USER"), text("REDIS_PASSWORD"));
    let (address, variable) = match environment.get("REDIS_SENTINELS") {
        Some(list) => {
            let master = text("REDIS_SENTINEL_MASTER").ok_or_else(|| {
                ConfigError::new("REDIS_SENTINEL_MASTER", "REDIS_SENTINELS needs the name of the master")
            })?;
            let address = RedisAddress::Sentinel {
                hosts: sentinels(list, port(environment, "REDIS_SENTINEL_PORT", 26_379)?)?,
                master,
                username: text("REDIS_SENTINEL_USERNAME").or_else(|| username.clone()),
                password: text("REDIS_SENTINEL_PASSWORD").or_else(|| password.clone()),
            };
            (address, "REDIS_SENTINELS")
        }
        None => {
            let host = text("REDIS_HOST").unwrap_or_else(|| "127.0.0.1".to_owned());
            (RedisAddress::Tcp(bare(&host).to_owned(), port(environment, "REDIS_PORT", 6_379)?), "REDIS_HOST")
        }
    };
    let database = number(environment, "REDIS_DB", 0, 0)?;
    Ok(RedisConfig { address, database, username, password, publishes: false, tls: false, namespace: None, variable })
}

fn sentinels(list: &str, default_port: u16) -> Result<Vec<(String, u16)>, ConfigError> {
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let hosts: Result<Vec<_>, _> = entries
        .map(|entry| {
            let problem = || ConfigError::new("REDIS_SENTINELS", format!("{entry:?} is not host or host:port"));
            match entry.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                    port.parse().map(|port| (bare(host).to_owned(), port)).map_err(|_| problem())
                }
                _ => Ok((bare(entry).to_owned(), default_port)),
            }
        })
        .collect();
    match hosts {
        Ok(hosts) if hosts.is_empty() => Err(ConfigError::new("REDIS_SENTINELS", "there is no host in it")),
        hosts => hosts,
    }
}

/// Problems are told without the URL, which may contain a password.
fn from_url(text: &str) -> Result<RedisConfig, String> {
    // The name of a socket may contain anything.
    if !text.starts_with("unix:") {
        ensure_encoded(text)?;
    }
    let url = Url::parse(text).map_err(no_url)?;
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let parameter = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let (address, database) = match url.scheme() {
        "redis" | "rediss" => {
            let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("127.0.0.1");
            let address = RedisAddress::Tcp(bare(&decoded(host)).to_owned(), url.port().unwrap_or(6_379));
            let path = url.path().trim_matches('/');
            (address, if path.is_empty() { parameter("db") } else { Some(path.to_owned()) })
        }
        "unix" => (RedisAddress::Unix(PathBuf::from(decoded(url.path()))), parameter("db")),
        other => return Err(format!("{other}:// is none of redis://, rediss://, unix://")),
    };
    let database = match database {
        None => 0,
        Some(number) => number.parse().map_err(|_| format!("{number:?} is not a database number"))?,
    };
    let some = |part: &str| Some(decoded(part)).filter(|part| !part.is_empty());
    Ok(RedisConfig {
        address,
        database,
        username: some(url.username()),
        password: url.password().and_then(some).or_else(|| parameter("password")),
        publishes: false,
        tls: url.scheme() == "rediss",
        namespace: None,
        variable: "REDIS_URL",
    })
}
