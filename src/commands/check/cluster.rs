//! What a node would find of its cluster.

use std::{collections::HashSet, net::SocketAddr};

use super::Report;
use crate::{
    cluster::{ClusterConfig, PeerAddress, Secret},
    config::Config,
    relay::{self, Answer, Probed},
    upstream,
};

/// A secret that a program made has more different characters than this.
const FEW_CHARACTERS: usize = 8;

impl Report {
    pub(super) async fn cluster(&mut self, config: &Config, cluster: &ClusterConfig, has_redis: bool) {
        let (node, name) = (&cluster.node, &cluster.name);
        println!("cluster  would be the node {node} of the cluster {name}, with {}", credentials(cluster));
        let may_run = self.listening_for_nodes(cluster).await;
        if let Some(secret) = &cluster.secret {
            weigh(secret);
        }
        if has_redis {
            self.ticks(config, cluster).await;
        }
        if cluster.peers.is_empty() {
            println!("hint     CLUSTER_PEERS is not set: this node learns of others only when they connect to it");
        }
        match relay::probe(cluster).await {
            Ok(probed) => probed.iter().for_each(|probed| self.peer(probed, cluster, may_run)),
            Err(error) => self.fail(&error),
        }
    }

    /// Listens for a moment, unless somebody does: whether that may be this node itself.
    async fn listening_for_nodes(&mut self, cluster: &ClusterConfig) -> bool {
        match relay::try_to_listen(cluster).await {
            Ok(address) => println!("listen   would listen for other nodes on {address}"),
            Err(error) if error.is_taken() => {
                println!("hint     {error}; that is well if it is this node");
                return true;
            }
            Err(error) => self.fail(&error),
        }
        false
    }

    /// Without ticks a node cannot hold channels.
    async fn ticks(&mut self, config: &Config, cluster: &ClusterConfig) {
        let channel = relay::tick_channel(&cluster.name);
        match upstream::publish(&config.redis, channel.as_str(), relay::NO_TICK).await {
            Ok(nodes) => println!("ok       ticks may be published on {channel}; nodes that listen there: {nodes}"),
            Err(error) => self.fail(&format!("no ticks could be published on {channel}: {error}")),
        }
    }

    fn peer(&mut self, probed: &Probed, cluster: &ClusterConfig, may_run: bool) {
        let peer = &probed.peer;
        match &probed.addresses {
            Err(error) => println!("warning  CLUSTER_PEERS: {peer} cannot be looked up: {error}"),
            Ok(addresses) if addresses.is_empty() => println!("warning  CLUSTER_PEERS: {peer} has no address"),
            Ok(addresses) => {
                out_of_reach(peer, addresses.iter().map(|(address, _)| address), &cluster.bind);
                for (address, answer) in addresses {
                    self.answer(&place(probed, *address), answer, cluster, may_run);
                }
            }
        }
    }

    fn answer(&mut self, place: &str, answer: &Answer, cluster: &ClusterConfig, may_run: bool) {
        match answer {
            Answer::Node { node, .. } if *node == cluster.node && may_run => {
                println!("ok       node {node} at {place}: this node, which runs");
            }
            Answer::Node { node, .. } if *node == cluster.node => {
                self.fail(&format!("another node at {place} goes by the name {node} (CLUSTER_NODE_ID)"));
            }
            Answer::Node { node, version } => println!("ok       node {node} at {place}: version {version}"),
            Answer::Refused(problem) => self.fail(&format!("no link to {place}: {problem}")),
            // It may be this node, or one that is to be started later.
            Answer::Nobody(problem) => println!("warning  no node answers at {place}: {}", plain(problem)),
        }
    }
}

fn credentials(cluster: &ClusterConfig) -> &'static str {
    match (&cluster.tls, &cluster.secret) {
        (Some(_), Some(_)) => "certificates and a secret",
        (Some(_), None) => "certificates",
        (None, Some(_)) => "a secret, and nothing encrypted",
        (None, None) => "no credentials, on loopback only",
    }
}

/// Nodes elsewhere cannot connect to one that listens on loopback, and links go both ways.
fn out_of_reach<'a>(peer: &PeerAddress, addresses: impl IntoIterator<Item = &'a SocketAddr>, bind: &PeerAddress) {
    let is_elsewhere = addresses.into_iter().any(|address| !address.ip().to_canonical().is_loopback());
    if bind.is_loopback() && is_elsewhere {
        println!(
            "warning  CLUSTER_BIND: only this machine can connect to {bind}, and {peer} (CLUSTER_PEERS) is elsewhere"
        );
    }
}

/// The system's words without their number.
fn plain(problem: &str) -> &str {
    problem.split_once(" (os error").map_or(problem, |(words, _)| words)
}

/// The entry, and what it stands for if it is a name.
fn place(probed: &Probed, address: SocketAddr) -> String {
    match probed.peer.ip() {
        Some(_) => probed.peer.to_string(),
        None => format!("{address} ({})", probed.peer),
    }
}

fn weigh(secret: &Secret) {
    let different = secret.expose().bytes().collect::<HashSet<u8>>().len();
    if different < FEW_CHARACTERS {
        println!(
            "warning  CLUSTER_SECRET has {different} different characters: it could be guessed; `openssl rand -hex 32` makes \
             a good one"
        );
    }
}
