//! Which nodes there are, where they are, and which of them is to hold a channel.

mod discovery;
mod node;
mod ring;

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

pub use discovery::{Found, Resolve, discover, system_resolver};
pub use node::{Incarnation, InvalidAddress, InvalidNodeId, NodeId, PeerAddress};
pub use ring::{Holders, Ring};

/// How this node takes part in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Where it listens for peers; port 0 for any that is free.
    pub bind: PeerAddress,
    /// Where peers may be; it may itself be among them.
    pub peers: Vec<PeerAddress>,
    /// Under which address peers reach it; `None` if they find out by the connection.
    pub advertise: Option<PeerAddress>,
    /// Its name.
    pub node: NodeId,
    /// The name of its cluster.
    pub name: ClusterName,
    /// What every peer must know too.
    pub secret: Option<Secret>,
    /// With which certificates it speaks to peers; without them it does not encrypt.
    pub tls: Option<TlsFiles>,
    /// How long events stay in the log.
    pub log_seconds: Duration,
    /// How many bytes the log has at most.
    pub log_bytes: usize,
}

/// The files of mutual TLS, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// This node's certificate, with those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whose certificates are believed.
    pub authorities: PathBuf,
}

/// The name of a cluster, which is part of a Redis channel: 1 to 64 letters, digits, dots, dashes and underscores.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterName(Arc<str>);

/// A text that is no name of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("may have only letters (a to z), digits, dots, - and _; at most 64, such as social.example")]
pub struct InvalidClusterName;

impl ClusterName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self("flodgatt".into())
    }
}

impl FromStr for ClusterName {
    type Err = InvalidClusterName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        valid.then(|| Self(text.into())).ok_or(InvalidClusterName)
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What all nodes of a cluster know and nobody else: visible ASCII characters, so that it can be written anywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

/// A text that is no secret. It is not in the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// It could be guessed.
    #[error("at least {} characters are needed; `openssl rand -hex 32` makes a good one", Secret::MIN_LENGTH)]
    Short,
    /// It is not a secret that was made by a program.
    #[error("only visible ASCII characters without spaces are allowed; `openssl rand -hex 32` makes a good one")]
    Characters,
    /// It is no secret that somebody made.
    #[error("at most {} characters are allowed", Secret::MAX_LENGTH)]
    Long,
}

impl Secret {
    /// Fewer characters could be guessed.
    pub const MIN_LENGTH: usize = 16;

    /// More characters make nothing safer.
    pub const MAX_LENGTH: usize = 1_024;

    /// The secret itself, to make proofs with, and to be sent nowhere.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.len() {
            _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Err(InvalidSecret::Characters),
            ..Self::MIN_LENGTH => Err(InvalidSecret::Short),
            length if length > Self::MAX_LENGTH => Err(InvalidSecret::Long),
            _ => Ok(Self(text.into())),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It stays out of logs.
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_named_by_what_may_be_in_a_channel() {
        for name in ["a", "flodgatt", "Mastodon_2.example-1", &"x".repeat(64)] {
            assert_eq!(name.parse::<ClusterName>().unwrap().as_str(), name);
        }
        for name in ["", "a:b", "a b", "a*", "a[b]", "ä", "a\n", &"x".repeat(65)] {
            assert!(name.parse::<ClusterName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_secret_is_long_enough_and_can_be_written() {
        assert_eq!("x".repeat(16).parse::<Secret>().unwrap().expose(), "x".repeat(16));
        assert!("x".repeat(1_024).parse::<Secret>().is_ok());
        for (text, problem) in [
            (String::new(), InvalidSecret::Short),
            ("x".repeat(15), InvalidSecret::Short),
            ("x".repeat(1_025), InvalidSecret::Long),
            ("x y ".repeat(8), InvalidSecret::Characters),
            ("ä".repeat(16), InvalidSecret::Characters),
            (format!("{}\n", "x".repeat(16)), InvalidSecret::Characters),
        ] {
            assert_eq!(text.parse::<Secret>(), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret: Secret = "correct-horse-battery".parse().unwrap();
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret Some(Secret)");
    }
}
