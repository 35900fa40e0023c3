//! What is measured: the server, and the servers of plain writes that it is held against.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::cores::Cores;
use super::reading::Transport;
use super::support::process::{Process, free_port};
use super::support::{Redis, Server, ServerOptions};

/// With this as first argument, this program is a server of plain writes.
pub const PLAIN: &str = "plain-writes";

/// A server to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Flodgatt,
    /// One that compresses for nobody.
    Uncompressed,
    /// Three of them as one, with clients on each.
    ThreeNodes,
    /// One event a write.
    PlainOne,
    /// Up to four events a write, if so many wait.
    PlainFour,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Flodgatt => "flodgatt",
            Self::Uncompressed => "WS_COMPRESSION=off",
            Self::ThreeNodes => "flodgatt, 3 nodes",
            Self::PlainOne => "plain, 1 a write",
            Self::PlainFour => "plain, 4 a write",
        }
    }
}

impl Kind {
    /// Whether it is what others are held against.
    pub fn is_plain(self) -> bool {
        matches!(self, Self::Uncompressed | Self::PlainOne | Self::PlainFour)
    }
}

/// One that runs, until this is dropped.
pub enum Subject {
    /// One node or several.
    Flodgatt(Vec<Server>),
    Plain {
        process: Process,
        port: u16,
    },
}

impl Subject {
    /// Starts the program itself on the server's core.
    pub async fn flodgatt(options: ServerOptions, cores: &Cores) -> Self {
        Self::Flodgatt(vec![start(options, cores).await])
    }

    /// Starts three nodes of a cluster on the server's core.
    pub async fn three_nodes(options: impl Fn() -> ServerOptions, cores: &Cores) -> Self {
        let ports: Vec<String> = (0..3).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let mut nodes = Vec::new();
        for (number, port) in ports.iter().enumerate() {
            let options = options().env("CLUSTER_BIND", port).env("CLUSTER_PEERS", ports.join(","));
            nodes.push(start(options.env("CLUSTER_NODE_ID", format!("node-{number}")), cores).await);
        }
        for node in &nodes {
            node.wait_for_metric("flodgatt_cluster_nodes", &[], nodes.len() as f64).await;
        }
        Self::Flodgatt(nodes)
    }

    /// Starts a server of plain writes on the server's core.
    pub fn plain(at_once: usize, transport: Transport, redis: &Redis, cores: &Cores) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args([PLAIN, transport.name(), &at_once.to_string()]).arg(redis.unix_socket());
        command.stdout(Stdio::piped());
        let process = cores.on_server(|| Process::start(&mut command));
        let (said, port) = mpsc::channel();
        process.read_stdout(move |line| {
            let _ = said.send(line);
        });
        let port = port.recv_timeout(Duration::from_secs(10)).expect("it says its port");
        Self::Plain { process, port: port.parse().expect("it is a number") }
    }

    /// Where it listens, on all addresses: a port for each node.
    pub fn ports(&self) -> Vec<u16> {
        match self {
            Self::Flodgatt(nodes) => nodes.iter().map(|node| node.address().port()).collect(),
            Self::Plain { port, .. } => vec![*port],
        }
    }

    pub fn pids(&self) -> Vec<u32> {
        match self {
            Self::Flodgatt(nodes) => nodes.iter().map(Server::pid).collect(),
            Self::Plain { process, .. } => vec![process.pid()],
        }
    }

    /// Waits until it knows that everybody has left.
    pub async fn is_empty(&self) {
        let Self::Flodgatt(nodes) = self else { return };
        for (node, transport) in nodes.iter().flat_map(|node| TRANSPORTS.map(|transport| (node, transport))) {
            node.wait_for_metric("connected_clients", &[("type", transport.name())], 0.0).await;
        }
    }
}

const TRANSPORTS: [Transport; 2] = [Transport::WebSocket, Transport::EventSource];

async fn start(options: ServerOptions, cores: &Cores) -> Server {
    // Clients connect to several loopback addresses.
    let options = options.env("LOG_LEVEL", "info").env("BIND", "0.0.0.0");
    let starting = cores.on_server(|| options.begin());
    starting.answering().await
}
