//! How this node takes part in a cluster.

use std::{num::ParseIntError, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use rustls::pki_types::ServerName;

use super::{ConfigError, Environment, number};
use crate::{
    cluster::{ClusterConfig, ClusterName, NodeId, PeerAddress, Secret, TlsFiles},
    http::ListenAddress,
};

/// Shorter logs could not bridge the time in which a dead node is found out; longer ones are nothing that clients wait for.
const SECONDS: RangeInclusive<u64> = 5..=3_600;

/// Up to a terabyte.
const MEGABYTES: RangeInclusive<usize> = 1..=1_000_000;

/// `None` if this node is alone.
pub(super) fn read(environment: &Environment) -> Result<Option<ClusterConfig>, ConfigError> {
    let Some(bind) = parsed::<PeerAddress>(environment, "CLUSTER_BIND")? else { return Ok(None) };
    let secret = parsed::<Secret>(environment, "CLUSTER_SECRET")?;
    let tls = tls(environment)?;
    if secret.is_none() && tls.is_none() && !bind.is_loopback() {
        let problem = format!(
            "{bind} can be reached by others, and nothing keeps them out of the cluster: set CLUSTER_SECRET, or \
             CLUSTER_TLS_CERT, CLUSTER_TLS_KEY and CLUSTER_TLS_CA, or listen on 127.0.0.1"
        );
        return Err(ConfigError::new("CLUSTER_BIND", problem));
    }
    let peers = peers(environment)?;
    if tls.is_some() && !peers.iter().any(may_be_certified) {
        let problem = "with certificates, at least one host or address is needed for which those of nodes are valid; this node's \
                       own will do";
        return Err(ConfigError::new("CLUSTER_PEERS", problem));
    }
    let megabytes = within(environment, "CLUSTER_LOG_MEGABYTES", 256, MEGABYTES)?;
    Ok(Some(ClusterConfig {
        peers,
        advertise: advertise(environment, &bind)?,
        node: node(environment)?,
        name: parsed::<ClusterName>(environment, "CLUSTER_NAME")?.unwrap_or_default(),
        secret,
        tls,
        log_seconds: Duration::from_secs(within(environment, "CLUSTER_LOG_SECONDS", 60, SECONDS)?),
        log_bytes: megabytes.saturating_mul(1_000_000),
        bind,
    }))
}

/// Requires that nodes and clients do not connect to the same address.
pub(super) fn apart(bind: &PeerAddress, listen: &ListenAddress) -> Result<(), ConfigError> {
    let ListenAddress::Tcp(host, port) = listen else { return Ok(()) };
    let of_host = |host: &str| if host == "localhost" { "127.0.0.1".to_owned() } else { host.to_owned() };
    let is_all = |host: &str| host.is_empty() || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_unspecified());
    let is_same = of_host(host) == of_host(bind.host()) || is_all(host) || is_all(bind.host());
    if *port == 0 || *port != bind.port() || !is_same {
        return Ok(());
    }
    let problem = format!("clients connect there already (BIND, PORT): {listen}; nodes need another port");
    Err(ConfigError::new("CLUSTER_BIND", problem))
}

/// A variable that is not empty, by the rules of its type, without what stands around it.
fn parsed<T>(environment: &Environment, variable: &'static str) -> Result<Option<T>, ConfigError>
where
    T: FromStr<Err: ToString>,
{
    let value = environment.get(variable).map(|value| value.trim().parse());
    value.transpose().map_err(|error: T::Err| ConfigError::new(variable, error.to_string()))
}

fn peers(environment: &Environment) -> Result<Vec<PeerAddress>, ConfigError> {
    let list = environment.get("CLUSTER_PEERS").unwrap_or_default();
    let mut peers = Vec::new();
    for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let peer = address_of_a_peer("CLUSTER_PEERS", entry)?;
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }
    Ok(peers)
}

/// Whether there can be a certificate for it.
fn may_be_certified(peer: &PeerAddress) -> bool {
    ServerName::try_from(peer.host().trim_end_matches('.')).is_ok()
}

fn advertise(environment: &Environment, bind: &PeerAddress) -> Result<Option<PeerAddress>, ConfigError> {
    match environment.get("CLUSTER_ADVERTISE") {
        Some(text) => address_of_a_peer("CLUSTER_ADVERTISE", text.trim()).map(Some),
        None => Ok(Some(bind.clone()).filter(PeerAddress::is_concrete)),
    }
}

/// An address that somebody can connect to.
fn address_of_a_peer(variable: &'static str, text: &str) -> Result<PeerAddress, ConfigError> {
    match text.parse::<PeerAddress>() {
        Ok(peer) if peer.is_concrete() => Ok(peer),
        Ok(peer) => Err(ConfigError::new(
            variable,
            format!("nobody can connect to {peer}; name one place, such as 10.0.0.2:4500"),
        )),
        Err(error) => Err(ConfigError::new(variable, error.to_string())),
    }
}

fn node(environment: &Environment) -> Result<NodeId, ConfigError> {
    let of_host = || {
        NodeId::of_host().map_err(|error| {
            ConfigError::new("CLUSTER_NODE_ID", format!("the name of this machine cannot stand in for it: {error}"))
        })
    };
    parsed(environment, "CLUSTER_NODE_ID")?.map_or_else(of_host, Ok)
}

/// All three files or none.
fn tls(environment: &Environment) -> Result<Option<TlsFiles>, ConfigError> {
    let names = ["CLUSTER_TLS_CERT", "CLUSTER_TLS_KEY", "CLUSTER_TLS_CA"];
    let paths = names.map(|name| environment.get(name).map(PathBuf::from));
    match paths {
        [None, None, None] => Ok(None),
        [Some(certificate), Some(key), Some(authorities)] => Ok(Some(TlsFiles { certificate, key, authorities })),
        paths => {
            let (missing, given): (Vec<_>, Vec<_>) = names.iter().zip(paths).partition(|(_, path)| path.is_none());
            let given: Vec<&str> = given.into_iter().map(|(name, _)| *name).collect();
            let problem = format!("is missing, and {} needs it", given.join(" with "));
            Err(ConfigError::new(*missing[0].0, problem))
        }
    }
}

fn within<N>(
    environment: &Environment,
    variable: &'static str,
    default: N,
    range: RangeInclusive<N>,
) -> Result<N, ConfigError>
where
    N: FromStr<Err = ParseIntError> + PartialOrd + std::fmt::Display,
{
    let value = number(environment, variable, default, 1)?;
    if range.contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::new(variable, format!("{value} is not between {} and {}", range.start(), range.end())))
}
