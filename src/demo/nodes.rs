//! The nodes of the demo's cluster: each is a server of its own, on threads of its own, and can end as a process does.

mod view;

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{Mutex as Turn, mpsc},
};

use super::{accounts, api, explain, reachable, traffic::Traffic};
use crate::{
    app::{self, Server},
    cluster::{ClusterConfig, ClusterName, NodeId, PeerAddress, Ring, Secret},
    domain::{AccountId, Channel},
    http::{BoundListener, ListenAddress, ListenError},
};

/// How many nodes there may be at a time.
pub const MOST: usize = 9;

/// How many channels show how the ring is shared out.
const SAMPLE: i64 = 10_000;

/// How many ports are tried for one node before any that is free.
const PORTS: u16 = 100;

/// Bytes of a node's log, and for how long it keeps events.
const LOG_BYTES: usize = 32_000_000;
const LOG_SECONDS: Duration = Duration::from_secs(60);

/// The nodes.
pub struct Nodes {
    host: String,
    port: u16,
    traffic: Arc<Traffic>,
    secret: Secret,
    /// What is done to nodes is done on threads that are none of theirs.
    home: Handle,
    /// Nodes start one after the other.
    turn: Turn<()>,
    state: Mutex<State>,
    failures: mpsc::UnboundedSender<NodeId>,
    failed: Turn<mpsc::UnboundedReceiver<NodeId>>,
}

struct State {
    /// In the order of their start; those that are gone too, as long as there is room.
    nodes: Vec<Node>,
    /// How many there ever were.
    ever: u16,
    /// Every port that a page may have come from.
    ports: Vec<u16>,
    ring: Ring,
    /// How much of the ring each node has, from 0 to 1.
    shares: BTreeMap<NodeId, f64>,
}

struct Node {
    id: NodeId,
    address: String,
    port: u16,
    /// Where other nodes reach it, as the log names it.
    relay: String,
    life: Life,
}

enum Life {
    Runs(Box<Running>),
    /// It still runs, and hands over.
    Leaves,
    Killed(Instant),
    Left(Instant),
}

/// Dropped, the threads end first.
struct Running {
    _threads: Threads,
    server: Server,
}

/// What a node runs on. Dropped, it ends at once with all that runs on it, which gets no chance to say anything: its
/// sockets are closed by their drop, as the system closes those of a dead process.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not there, or no more.
    #[error("no node of this name is alive")]
    Unknown,
    /// Nobody could add another one.
    #[error("this is the last node; add another one first")]
    Last,
    /// There are enough.
    #[error("there are {MOST} nodes, which is enough for one process")]
    TooMany,
    /// It could not be started.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl Nodes {
    /// No node yet. The first one listens where it is said, the others on the next ports.
    pub fn new(listen: ListenAddress, traffic: Arc<Traffic>) -> anyhow::Result<Arc<Self>> {
        let ListenAddress::Tcp(host, port) = listen else {
            anyhow::bail!("several nodes need a port each; unset SOCKET, or show one node");
        };
        let secret: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
        let (failures, failed) = mpsc::unbounded_channel();
        Ok(Arc::new(Self {
            host,
            port,
            traffic,
            secret: secret.parse().expect("letters and digits are a secret"),
            home: Handle::current(),
            turn: Turn::default(),
            state: Mutex::new(State {
                nodes: Vec::new(),
                ever: 0,
                ports: Vec::new(),
                ring: Ring::new([]),
                shares: BTreeMap::new(),
            }),
            failures,
            failed: Turn::new(failed),
        }))
    }

    /// The host at which all listen.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The ports of all nodes that there ever were.
    pub fn ports(&self) -> Vec<u16> {
        self.state.lock().ports.clone()
    }

    /// The nodes' names and where clients connect.
    pub fn addresses(&self) -> Vec<(String, String)> {
        self.state.lock().nodes.iter().map(|node| (node.id.to_string(), node.address.clone())).collect()
    }

    /// Waits until a node has failed by itself. Returns its name.
    pub async fn failed(&self) -> NodeId {
        match self.failed.lock().await.recv().await {
            Some(node) => node,
            None => std::future::pending().await,
        }
    }

    /// Starts a node, which gets to know those that are there. Returns its name.
    pub async fn start_one(self: &Arc<Self>) -> Result<String, Refused> {
        let nodes = Arc::clone(self);
        self.at_home(async move { nodes.start_next().await }).await
    }

    /// Starts a node while others run, and tells of it.
    pub async fn add(self: &Arc<Self>) -> Result<String, Refused> {
        let nodes = Arc::clone(self);
        self.at_home(async move {
            let name = Arc::clone(&nodes).start_next().await?;
            nodes.print(&name, "was added");
            Ok(name)
        })
        .await
    }

    /// Ends a node as `kill -9` would.
    pub async fn kill(self: &Arc<Self>, name: &str) -> Result<(), Refused> {
        let (nodes, name) = (Arc::clone(self), name.to_owned());
        self.at_home(async move {
            let killed = nodes.state.lock().take(&name, Life::Killed(Instant::now()))?;
            killed.server.lifecycle().abandon();
            drop(killed);
            nodes.print(&name, "was killed");
            Ok(())
        })
        .await
    }

    /// Stops a node, which hands over first.
    pub async fn leave(self: &Arc<Self>, name: &str) -> Result<(), Refused> {
        let (nodes, name) = (Arc::clone(self), name.to_owned());
        self.at_home(async move {
            let leaving = nodes.state.lock().take(&name, Life::Leaves)?;
            leaving.server.leave().await;
            leaving.server.end().await;
            drop(leaving);
            if let Some(left) = nodes.state.lock().nodes.iter_mut().find(|node| node.id.as_str() == name) {
                left.life = Life::Left(Instant::now());
            }
            nodes.print(&name, "was stopped");
            Ok(())
        })
        .await
    }

    /// Stops all nodes.
    pub async fn end(&self) {
        let nodes = std::mem::take(&mut self.state.lock().nodes);
        let running = nodes.iter().filter_map(Node::running);
        futures_util::future::join_all(running.map(|running| running.server.end())).await;
    }

    /// Tells the terminal what became of a node, and of the address by which the log names it.
    fn print(&self, name: &str, happened: &str) {
        let state = self.state.lock();
        let Some(node) = state.nodes.iter().find(|node| node.id.as_str() == name) else { return };
        let (address, relay) = (reachable(&node.address), &node.relay);
        // A terminal that is gone stops nothing.
        let _ = writeln!(std::io::stdout(), "{name} {happened}: http://{address}/ (other nodes call it {relay})");
    }

    /// Makes a change to its end, even if whoever asked for it is gone: it may be the node itself.
    async fn at_home<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Refused>> + Send + 'static,
    ) -> Result<T, Refused> {
        self.home.spawn(change).await.map_err(|error| Refused::Failed(error.into()))?
    }

    async fn start_next(self: Arc<Self>) -> Result<String, Refused> {
        let _turn = self.turn.lock().await;
        let (number, peers) = self.state.lock().next()?;
        let name = format!("node-{number}");
        let config = self.config(name.parse().expect("letters and digits are a name"), peers);
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(&name).enable_all().build();
        let runtime = runtime.context("cannot start threads")?;
        let (inside, threads) = (runtime.handle().clone(), Threads(Some(runtime)));
        let starting = inside.spawn(Arc::clone(&self).start(number, config.clone()));
        let server = starting.await.context("a node did not start")??;
        self.state.lock().started(config.node, Running { _threads: threads, server });
        Ok(name)
    }

    fn config(&self, node: NodeId, peers: Vec<PeerAddress>) -> ClusterConfig {
        ClusterConfig {
            bind: "127.0.0.1:0".parse().expect("it is an address"),
            peers,
            advertise: None,
            node,
            name: ClusterName::default(),
            secret: Some(self.secret.clone()),
            tls: None,
            log_seconds: LOG_SECONDS,
            log_bytes: LOG_BYTES,
        }
    }

    /// Starts a node on the threads that this runs on.
    async fn start(self: Arc<Self>, number: u16, config: ClusterConfig) -> anyhow::Result<Server> {
        let listener = self.bind(number).await.map_err(explain)?;
        let pages = api::of_a_node(Arc::clone(&self));
        let server = app::start_embedded(listener, accounts(), self.traffic.bus(), pages, Some(&config)).await?;
        let (upstream, lifecycle) = (Arc::clone(&server.upstream), server.lifecycle().clone());
        server.lifecycle().spawn("demo node", async move {
            tokio::select! {
                () = self.traffic.welcome(&upstream) => {}
                () = lifecycle.stopping() => {}
            }
            if lifecycle.has_failed() {
                let _ = self.failures.send(config.node);
            }
        });
        Ok(server)
    }

    async fn bind(&self, number: u16) -> Result<BoundListener, ListenError> {
        let at = |port| ListenAddress::Tcp(self.host.clone(), port);
        if number == 1 {
            return at(self.port).bind().await;
        }
        let first = self.port.saturating_add(number - 1);
        for port in first..first.saturating_add(PORTS) {
            match at(port).bind().await {
                Err(error) if error.is_taken() => {}
                _ if self.port == 0 => break,
                bound => return bound,
            }
        }
        at(0).bind().await
    }
}

impl State {
    /// The number of the next node, and where it finds those that are there.
    fn next(&mut self) -> Result<(u16, Vec<PeerAddress>), Refused> {
        let running: Vec<&Running> = self.nodes.iter().filter_map(Node::running).collect();
        if running.len() >= MOST {
            return Err(Refused::TooMany);
        }
        let addresses = running.iter().filter_map(|running| running.server.relay_address());
        let peers = addresses.map(|address| address.to_string().parse().expect("an address is one")).collect();
        self.ever += 1;
        Ok((self.ever, peers))
    }

    fn started(&mut self, id: NodeId, running: Running) {
        let address = running.server.address.clone();
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default();
        let relay = running.server.relay_address().map(|relay| relay.to_string()).unwrap_or_default();
        self.ports.push(port);
        self.nodes.push(Node { id, address, port, relay, life: Life::Runs(Box::new(running)) });
        if self.nodes.len() > MOST
            && let Some(gone) = self.nodes.iter().position(|node| node.life.ended().is_some())
        {
            self.nodes.remove(gone);
        }
        self.share_out();
    }

    /// Takes a node that runs from among those that do, unless it is the last one.
    fn take(&mut self, name: &str, life: Life) -> Result<Box<Running>, Refused> {
        let running = self.nodes.iter().filter(|node| node.running().is_some()).count();
        let named = |node: &&mut Node| node.id.as_str() == name && node.running().is_some();
        let node = self.nodes.iter_mut().find(named).ok_or(Refused::Unknown)?;
        if running == 1 {
            return Err(Refused::Last);
        }
        let Life::Runs(taken) = std::mem::replace(&mut node.life, life) else { return Err(Refused::Unknown) };
        self.share_out();
        Ok(taken)
    }

    fn share_out(&mut self) {
        let running = self.nodes.iter().filter(|node| node.running().is_some());
        self.ring = Ring::new(running.map(|node| node.id.clone()));
        let mut counts: BTreeMap<NodeId, u32> = BTreeMap::new();
        for number in 0..SAMPLE {
            if let Some(owner) = self.ring.owner(&Channel::home(AccountId(number))) {
                *counts.entry(owner.clone()).or_default() += 1;
            }
        }
        let all: u32 = counts.values().sum();
        self.shares = counts.into_iter().map(|(node, count)| (node, f64::from(count) / f64::from(all))).collect();
    }
}

impl Life {
    /// Since when it is over.
    fn ended(&self) -> Option<Instant> {
        match self {
            Self::Killed(at) | Self::Left(at) => Some(*at),
            Self::Runs(_) | Self::Leaves => None,
        }
    }
}

impl Node {
    fn running(&self) -> Option<&Running> {
        if let Life::Runs(running) = &self.life { Some(running) } else { None }
    }
}

#[cfg(test)]
mod tests;
