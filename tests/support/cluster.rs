//! Several servers that act as one: real processes on one Redis and one database, with a proxy before each one's port for
//! peers and one between each and Redis, so that any two can be parted.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::Arc;

use rustix::process::Signal;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::database::Database;
use super::eventually::eventually;
use super::logs::LogLine;
use super::mesh::Mesh;
use super::network::Network;
use super::process::free_port;
use super::proxy::{Gate, Proxy};
use super::redis::Redis;
use super::redis_options::RedisOptions;
use super::resp::Reply;
use super::server::Server;
use super::server_options::{ServerOptions, Starting};

/// The name that clusters have if they are given none.
pub const DEFAULT_NAME: &str = "flodgatt";

/// The port for peers of a node that is alone on its host.
const PORT: u16 = 4500;

/// How many clusters run at a time. Each is several processes under load; nodes that get no processor for seconds are taken
/// for dead, and rightly so.
static ROOM: Semaphore = Semaphore::const_new(2);

/// What is special about single nodes, given their numbers.
type Each = dyn Fn(usize, ServerOptions) -> ServerOptions;

/// How a cluster is to be started.
#[derive(Clone)]
pub struct ClusterOptions {
    nodes: usize,
    environment: BTreeMap<String, String>,
    each: Rc<Each>,
    network: Option<Rc<Network>>,
}

impl ClusterOptions {
    /// Sets a variable of all nodes.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets what is special about single nodes, those added later too.
    pub fn each(mut self, change: impl Fn(usize, ServerOptions) -> ServerOptions + 'static) -> Self {
        self.each = Rc::new(change);
        self
    }

    /// On hosts of a network of their own, with Redis in its hub. There are no proxies then, and clients and PostgreSQL use
    /// unix sockets.
    pub fn on(mut self, network: &Rc<Network>) -> Self {
        self.network = Some(Rc::clone(network));
        self.env("CLUSTER_SECRET", "nobody-else-is-on-this-network")
    }

    /// Starts it and waits until all nodes know each other.
    pub async fn start(self) -> Cluster {
        let room = ROOM.acquire().await.expect("it is never closed");
        let place = self.network.as_ref().map(|network| network.hub().clone());
        let redis = Redis::start_with(RedisOptions { place, ..RedisOptions::default() }).await;
        let database = Database::create().await;
        let (mesh, nodes) = (Arc::new(Mesh::default()), self.nodes);
        let mut cluster =
            Cluster { redis, database, mesh, options: self, nodes: Vec::new(), seeds: Vec::new(), _room: room };
        let mut starting = Vec::new();
        for _ in 0..nodes {
            cluster.make_way().await;
        }
        for index in 0..nodes {
            starting.push(cluster.begin(index, |options| options));
        }
        for (index, starting) in starting.into_iter().enumerate() {
            cluster.nodes[index].server = Some(starting.answering().await);
        }
        cluster.await_formed().await;
        cluster
    }
}

/// A running cluster.
pub struct Cluster {
    pub redis: Redis,
    pub database: Database,
    mesh: Arc<Mesh>,
    options: ClusterOptions,
    nodes: Vec<Node>,
    /// Addresses that every node is told of: those of the first nodes.
    seeds: Vec<String>,
    _room: SemaphorePermit<'static>,
}

struct Node {
    /// None until it answers.
    server: Option<Server>,
    is_paused: Cell<bool>,
    /// Where it listens for peers, behind the proxy.
    port: u16,
    peers: Proxy,
    redis: Proxy,
}

impl Cluster {
    /// So many nodes, each with all defaults.
    pub async fn start(nodes: usize) -> Self {
        Self::of(nodes).start().await
    }

    /// To be modified and started. One node is no cluster: it is given no variable of a cluster.
    pub fn of(nodes: usize) -> ClusterOptions {
        ClusterOptions { nodes, environment: BTreeMap::new(), each: Rc::new(|_, options| options), network: None }
    }

    /// A node, dead or alive.
    pub fn node(&self, index: usize) -> &Server {
        self.nodes[index].server.as_ref().expect("the node has answered")
    }

    /// The nodes that run and are not paused.
    pub fn live(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.is_live(*index)).collect()
    }

    fn is_live(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        !node.is_paused.get() && node.server.as_ref().is_some_and(Server::is_running)
    }

    /// All nodes but these.
    pub fn others(&self, than: &[usize]) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| !than.contains(index)).collect()
    }

    /// Any node.
    pub fn random_node(&self) -> usize {
        fastrand::usize(..self.nodes.len())
    }

    /// Adds a node, which is told of the first nodes only, and waits until it answers; returns its number.
    pub async fn add(&mut self) -> usize {
        let (index, starting) = self.begin_to_add(|options| options).await;
        self.finish_adding(index, starting).await;
        index
    }

    /// Starts a node, with any options, and does not wait.
    pub async fn begin_to_add(&mut self, options: impl FnOnce(ServerOptions) -> ServerOptions) -> (usize, Starting) {
        let index = self.make_way().await;
        (index, self.begin(index, options))
    }

    /// Waits until the node answers.
    pub async fn finish_adding(&mut self, index: usize, starting: Starting) {
        self.nodes[index].server = Some(starting.answering().await);
    }

    /// Ends a node at once (SIGKILL).
    pub fn kill(&self, index: usize) {
        self.node(index).kill();
    }

    /// Asks a node to end (SIGTERM) and waits until it has.
    pub async fn stop(&self, index: usize) -> ExitStatus {
        self.node(index).terminate().await
    }

    /// Stops a node (SIGSTOP): its connections stay, and it does nothing.
    pub fn pause(&self, index: usize) {
        self.nodes[index].is_paused.set(true);
        self.node(index).signal(Signal::STOP);
    }

    /// Lets it go on after [`Cluster::pause`].
    pub fn resume(&self, index: usize) {
        self.node(index).signal(Signal::CONT);
        self.nodes[index].is_paused.set(false);
    }

    /// What lies between a node and Redis.
    pub fn way_to_redis(&self, index: usize) -> &Gate {
        self.nodes[index].redis.gate()
    }

    /// What lies between one node and another, for the connections that the first one makes.
    pub fn way(&self, from: usize, to: usize) -> Gate {
        self.mesh.gate(from, to)
    }

    /// All ways between a node and the others, in both directions.
    pub fn ways_of(&self, index: usize) -> Vec<Gate> {
        let others = self.others(&[index]).into_iter();
        others.flat_map(|other| [self.way(index, other), self.way(other, index)]).collect()
    }

    /// Where a node listens for its peers, without the proxy.
    pub fn peer_port(&self, index: usize) -> u16 {
        self.nodes[index].port
    }

    /// The addresses that nodes are told of.
    pub fn seeds(&self) -> &[String] {
        &self.seeds
    }

    /// The channel on which its ticks are published.
    pub fn tick_channel(&self) -> String {
        let name = self.options.environment.get("CLUSTER_NAME");
        format!("timeline:flodgatt:{}", name.map_or(DEFAULT_NAME, String::as_str))
    }

    /// Whether it is more than one node with all defaults.
    pub fn is_clustered(&self) -> bool {
        self.options.nodes > 1
    }

    /// Waits until each node that lives has links to all others that live.
    pub async fn await_formed(&self) {
        if !self.is_clustered() {
            return;
        }
        let live = self.live();
        for index in &live {
            self.node(*index).wait_for_metric("flodgatt_cluster_nodes", &[], live.len() as f64).await;
        }
    }

    /// Waits until each channel that anybody watches is subscribed at Redis by its owner and its standby and nobody else,
    /// the channel of ticks by each node, and no node sees a channel at risk. All nodes must be reached by all.
    #[track_caller]
    pub fn await_settled(&self) -> impl Future<Output = ()> {
        eventually("each channel subscribed by owner and standby", move || async move {
            let unsettled = self.unsettled().await;
            if unsettled.is_empty() { Ok(()) } else { Err(unsettled) }
        })
    }

    /// What [`Cluster::await_settled`] waits for, in words; empty if there is nothing.
    pub async fn unsettled(&self) -> String {
        let live = self.live();
        let holders = live.len().min(2);
        let mut wrong = Vec::new();
        for (channel, found) in self.subscribers().await {
            let wanted = if channel == self.tick_channel() { live.len() } else { holders };
            if found != wanted {
                wrong.push(format!("{channel}: {found} instead of {wanted}"));
            }
        }
        if self.is_clustered() && holders == 2 {
            for index in live {
                let at_risk = self.node(index).metric("flodgatt_relay_channels_at_risk", &[]).await;
                if at_risk > 0.0 {
                    wrong.push(format!("node {index} sees {at_risk} channels at risk"));
                }
            }
        }
        let count = wrong.len();
        wrong.truncate(10);
        if count > 10 {
            wrong.push(format!("and {} more", count - 10));
        }
        wrong.join(", ")
    }

    /// All channels with their number of subscribers.
    pub async fn subscribers(&self) -> Vec<(String, usize)> {
        let channels = self.redis.subscriptions().await;
        let words: Vec<&str> = ["PUBSUB", "NUMSUB"].into_iter().chain(channels.iter().map(String::as_str)).collect();
        let answer = self.redis.command(&words).await.array();
        let counts = answer.chunks(2).map(|pair| match pair {
            [channel, count] => (channel.text().unwrap_or_default(), count.integer()),
            _ => panic!("redis answers in pairs"),
        });
        counts.map(|(channel, count)| (channel, usize::try_from(count).expect("a count"))).collect()
    }

    /// How many gaps a node has counted, by all causes together.
    pub async fn gaps(&self, index: usize) -> f64 {
        let text = self.node(index).get("/metrics").await.text();
        let samples = text.lines().filter(|line| line.starts_with("flodgatt_relay_gaps_total{"));
        samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Requires that no node that lives has counted a gap, nor found something else at a position than was expected.
    pub async fn knows_of_no_gap(&self) {
        for index in self.live() {
            let gaps = self.gaps(index).await;
            assert!(gaps == 0.0, "node {index} has counted {gaps} gaps");
        }
        self.finds_no_mismatch().await;
    }

    /// Requires that no node that lives has found something else at a position than was expected.
    pub async fn finds_no_mismatch(&self) {
        for index in self.live() {
            for name in ["flodgatt_relay_gaps_total", "flodgatt_relay_refusals_total"] {
                let found = self.node(index).metric(name, &[("cause", "check_failed")]).await;
                assert!(found == 0.0, "node {index}: {found} mismatches among {name}");
            }
        }
    }

    /// Requires that no node, dead or alive, has panicked.
    pub fn nobody_panicked(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let logs = node.server.as_ref().map(Server::logs).unwrap_or_default();
            let panicked = logs.iter().find(|line| line.text.contains("panicked at"));
            assert!(panicked.is_none(), "node {index} panicked: {}", panicked.map_or("", |line| &line.text));
        }
    }

    /// A place for a further node, before it is started; returns its number.
    async fn make_way(&mut self) -> usize {
        let (index, port) = (self.nodes.len(), free_port());
        let mesh = Arc::clone(&self.mesh);
        let choose = move |own: &Gate, proxy: u16, client: u16| match mesh.who_dials(client, proxy) {
            Some(from) => mesh.gate(from, index),
            None => own.clone(),
        };
        let (peers, redis) = (Proxy::choosing(port, choose).await, Proxy::to(self.redis.port()).await);
        if index < self.options.nodes {
            self.seeds.push(match &self.options.network {
                Some(_) => format!("{}:{PORT}", Network::address(index)),
                None => format!("127.0.0.1:{}", peers.port()),
            });
        }
        self.nodes.push(Node { server: None, is_paused: Cell::new(false), port, peers, redis });
        index
    }

    fn begin(&self, index: usize, change: impl FnOnce(ServerOptions) -> ServerOptions) -> Starting {
        let mut options = Server::options(&self.redis, &self.database);
        options = match &self.options.network {
            Some(network) => self.on_a_host(network, index, options),
            None => self.behind_proxies(index, options),
        };
        for (name, value) in &self.options.environment {
            options = options.env(name, value.as_str());
        }
        self.mesh.begin(change((self.options.each)(index, options)), index)
    }

    fn behind_proxies(&self, index: usize, options: ServerOptions) -> ServerOptions {
        let node = &self.nodes[index];
        let options = options.env("REDIS_PORT", node.redis.port().to_string());
        if !self.is_clustered() {
            return options;
        }
        options
            .env("CLUSTER_BIND", format!("127.0.0.1:{}", node.port))
            .env("CLUSTER_ADVERTISE", format!("127.0.0.1:{}", node.peers.port()))
            .env("CLUSTER_PEERS", self.seeds.join(","))
            .env("CLUSTER_NODE_ID", format!("node-{index}"))
    }

    fn on_a_host(&self, network: &Network, index: usize, options: ServerOptions) -> ServerOptions {
        options
            .at(network.host(index).clone())
            .unix_socket()
            .env("REDIS_HOST", Network::hub_address())
            .env("DB_HOST", self.database.postgres().socket_folder().to_string_lossy())
            .env("CLUSTER_BIND", format!("{}:{PORT}", Network::address(index)))
            .env("CLUSTER_PEERS", self.seeds.join(","))
            .env("CLUSTER_NODE_ID", format!("node-{index}"))
    }

    /// Writes the logs of all nodes to the folder that `FLODGATT_CLUSTER_LOGS` names, if it does.
    fn keep_logs(&self) {
        let Ok(folder) = std::env::var("FLODGATT_CLUSTER_LOGS") else { return };
        let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
        for (index, node) in self.nodes.iter().enumerate() {
            let logs = node.server.as_ref().map(Server::logs).unwrap_or_default();
            let text: Vec<String> = logs.into_iter().map(|line: LogLine| line.text + "\n").collect();
            let file = format!("{folder}/{test}-{:04x}-node-{index}.log", fastrand::u16(..));
            if let Err(error) = fs::write(&file, text.concat()) {
                eprintln!("{file}: {error}");
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.keep_logs();
    }
}
