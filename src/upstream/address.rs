//! Where Redis is and how it is reached.

use std::{fmt, path::PathBuf};

/// How Redis is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Where it is.
    pub address: RedisAddress,
    /// The database number: pub/sub does not know it, keys do.
    pub database: u8,
    /// The user of Redis's access control lists.
    pub username: Option<String>,
    /// Its password, or the one of `requirepass`.
    pub password: Option<String>,
    /// Whether the server publishes, as a node of a cluster does: its ticks.
    pub publishes: bool,
    /// Whether the connection is TLS, checked against the system's certificates.
    pub tls: bool,
    /// What Mastodon puts before channels and keys, without the colon.
    pub namespace: Option<String>,
    /// The variable that the address comes from, for messages.
    pub variable: &'static str,
}

impl RedisConfig {
    /// What stands before channels and keys at Redis.
    pub fn prefix(&self) -> String {
        self.namespace.as_ref().map(|namespace| format!("{namespace}:")).unwrap_or_default()
    }
}

/// Where Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAddress {
    /// A host name or address, and a port.
    Tcp(String, u16),
    /// A unix socket.
    Unix(PathBuf),
    /// Whatever the Sentinels say.
    Sentinel {
        /// Their hosts and ports.
        hosts: Vec<(String, u16)>,
        /// The name under which they know the master.
        master: String,
        /// Credentials of the Sentinels themselves.
        username: Option<String>,
        /// Credentials of the Sentinels themselves.
        password: Option<String>,
    },
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Sentinel { hosts, master, .. } => {
                let hosts: Vec<String> = hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
                write!(f, "{master} by sentinels {}", hosts.join(","))
            }
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Passwords stay out of logs.
        f.debug_struct("RedisConfig").field("address", &self.address.to_string()).finish_non_exhaustive()
    }
}
