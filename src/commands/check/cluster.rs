//! What a node would find of its cluster.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::Report;
use crate::{
    cluster::{ClusterConfig, PeerAddress, Secret},
    config::Config,
    relay::{self, Answer, Probed},
    upstream,
};

/// A secret that a program made has more different characters than this.
const FEW_CHARACTERS: usize = 8;

/// How long something that is no node may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

impl Report {
    pub(super) async fn cluster(&mut self, config: &Config, cluster: &ClusterConfig, has_redis: bool) {
        let (node, name) = (&cluster.node, &cluster.name);
        println!("cluster  would be the node {node} of the cluster {name}, with {}", credentials(cluster));
        let may_run = self.listening_for_nodes(cluster).await;
        told_to_call(cluster);
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
            Ok(probed) => self.peers(&probed, cluster, may_run).await,
            Err(error) => self.fail(&error),
        }
    }

    /// Listens for a moment, unless somebody does: whether that is this node itself.
    async fn listening_for_nodes(&mut self, cluster: &ClusterConfig) -> bool {
        if cluster.bind.port() == 0 {
            println!(
                "hint     CLUSTER_BIND: port 0 stands for another port at each start, so that others cannot name this node in \
                 CLUSTER_PEERS"
            );
        }
        match relay::try_to_listen(cluster).await {
            Ok(address) => println!("listen   would listen for other nodes on {address}"),
            Err(error) if error.is_taken() => return self.who_listens(cluster).await,
            Err(error) => self.fail(&error),
        }
        false
    }

    /// Who is in this node's place: whether it is this node itself, which runs.
    async fn who_listens(&mut self, cluster: &ClusterConfig) -> bool {
        let bind = &cluster.bind;
        let Some(mut address) = addresses(bind).await.first().copied() else { return false };
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let problem = match relay::who_answers(cluster, address).await {
            Ok(Answer::Node { node, .. }) if node == cluster.node => {
                println!("hint     CLUSTER_BIND: this node runs already, and listens on {bind}");
                return true;
            }
            Ok(Answer::Node { node, .. }) => format!("it is the node {node}, and each needs an address of its own"),
            Ok(Answer::Refused(problem) | Answer::Nobody(problem)) => problem,
            // Told of the certificates as such.
            Err(_) => return false,
        };
        self.fail(&format!(
            "cannot listen for other nodes on {bind} (CLUSTER_BIND), as something else does: {problem}"
        ));
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

    async fn peers(&mut self, probed: &[Probed], cluster: &ClusterConfig, may_run: bool) {
        let own = OwnAddresses::of(cluster).await;
        for probed in probed {
            self.peer(probed, cluster, &own, may_run).await;
        }
        let names_own = |probed: &Probed| match &probed.addresses {
            Ok(addresses) => !addresses.is_empty() && addresses.iter().all(|(address, _)| own.has(*address)),
            Err(_) => false,
        };
        if !probed.is_empty() && probed.iter().all(names_own) {
            println!("hint     CLUSTER_PEERS: that is this node itself, and nobody else: name the others");
        }
    }

    async fn peer(&mut self, probed: &Probed, cluster: &ClusterConfig, own: &OwnAddresses, may_run: bool) {
        let peer = &probed.peer;
        match &probed.addresses {
            Err(error) => println!("warning  CLUSTER_PEERS: {peer} cannot be looked up: {error}"),
            Ok(addresses) if addresses.is_empty() => println!("warning  CLUSTER_PEERS: {peer} has no address"),
            Ok(addresses) => {
                out_of_reach(peer, addresses.iter().map(|(address, _)| address), &cluster.bind);
                for (address, answer) in addresses {
                    let place = place(probed, *address);
                    match answer {
                        Answer::Nobody(_) if own.has(*address) && !may_run => {
                            println!("ok       {place}: this node itself");
                        }
                        // It may be one that is to be started later.
                        Answer::Nobody(problem) if !is_answered(*address).await => {
                            println!("warning  no node answers at {place}: {}", plain(problem));
                        }
                        answer => self.answer(&place, answer, cluster, may_run),
                    }
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
            Answer::Nobody(_) => {
                let (here, there) = if cluster.tls.is_some() { ("is", "is not") } else { ("is not", "is") };
                self.fail(&format!(
                    "no link to {place} (CLUSTER_PEERS): CLUSTER_TLS_CERT {here} set here and {there} set there, or what answers \
                     there is no node"
                ));
            }
        }
    }
}

/// Where this node itself is reached.
struct OwnAddresses {
    addresses: Vec<SocketAddr>,
    /// If it listens on all addresses of this machine: on this port.
    port: Option<u16>,
}

impl OwnAddresses {
    async fn of(cluster: &ClusterConfig) -> Self {
        let mut own = addresses(&cluster.bind).await;
        let port = own.iter().find(|address| address.ip().to_canonical().is_unspecified()).map(SocketAddr::port);
        if let Some(advertise) = &cluster.advertise {
            own.extend(addresses(advertise).await);
        }
        Self { addresses: own, port }
    }

    fn has(&self, address: SocketAddr) -> bool {
        self.addresses.contains(&address) || (self.port == Some(address.port()) && is_of_this_machine(address.ip()))
    }
}

/// What stands behind a name, or the address itself; nothing if that is not known.
async fn addresses(peer: &PeerAddress) -> Vec<SocketAddr> {
    lookup_host((peer.host(), peer.port())).await.map(Iterator::collect).unwrap_or_default()
}

fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// Whether anything comes back from there, or the connection is closed: from a node that hangs nothing does.
async fn is_answered(address: SocketAddr) -> bool {
    let asked = async {
        let mut wire = TcpStream::connect(address).await?;
        // The beginning of HTTP/2 (RFC 9113, 3.4), as a node would send it, and empty settings.
        wire.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
        Ok::<_, std::io::Error>(wire.read(&mut [0]).await)
    };
    matches!(timeout(PATIENCE, asked).await, Ok(Ok(_)))
}

/// Others may have to be told another address than the one this node listens on.
fn told_to_call(cluster: &ClusterConfig) {
    let (Some(advertise), bind) = (&cluster.advertise, &cluster.bind) else { return };
    match advertise.ip() {
        Some(ip) if !is_of_this_machine(ip) => println!(
            "hint     others are told to call {advertise} (CLUSTER_ADVERTISE), which is no address of this machine: something \
             has to lead from there to {bind}"
        ),
        _ => println!("cluster  others are told to call {advertise}"),
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
