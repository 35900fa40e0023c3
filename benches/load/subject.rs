//! What is measured: the server, and the servers of plain writes that it is held against.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::cores::Cores;
use super::reading::Transport;
use super::support::process::Process;
use super::support::{Redis, Server, ServerOptions};

/// With this as first argument, this program is a server of plain writes.
pub const PLAIN: &str = "plain-writes";

/// A server to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Flodgatt,
    /// One event a write.
    PlainOne,
    /// Up to four events a write, if so many wait.
    PlainFour,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Flodgatt => "flodgatt",
            Self::PlainOne => "plain, 1 a write",
            Self::PlainFour => "plain, 4 a write",
        }
    }
}

/// One that runs, until this is dropped.
pub enum Subject {
    Flodgatt(Server),
    Plain { process: Process, port: u16 },
}

impl Subject {
    /// Starts the program itself on the server's core.
    pub async fn flodgatt(options: ServerOptions, cores: &Cores) -> Self {
        // Clients connect to several loopback addresses.
        let options = options.env("LOG_LEVEL", "info").env("BIND", "0.0.0.0");
        let starting = cores.on_server(|| options.begin());
        Self::Flodgatt(starting.answering().await)
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

    pub fn port(&self) -> u16 {
        match self {
            Self::Flodgatt(server) => server.address().port(),
            Self::Plain { port, .. } => *port,
        }
    }

    pub fn pid(&self) -> u32 {
        match self {
            Self::Flodgatt(server) => server.pid(),
            Self::Plain { process, .. } => process.pid(),
        }
    }

    /// Waits until it knows that everybody has left.
    pub async fn is_empty(&self) {
        let Self::Flodgatt(server) = self else { return };
        for transport in [Transport::WebSocket, Transport::EventSource] {
            server.wait_for_metric("connected_clients", &[("type", transport.name())], 0.0).await;
        }
    }
}
