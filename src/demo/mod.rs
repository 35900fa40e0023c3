//! A complete server in one process, or a cluster of them, with traffic to look at: no Redis, no PostgreSQL, no Mastodon.

mod api;
mod nodes;
mod page;
mod pictures;
mod render;
mod statuses;
mod traffic;
mod words;

use std::{sync::Arc, time::Duration};

use clap::Args;

use crate::{
    app,
    config::{self, Environment},
    domain::{
        AccountId, ListId, TokenId, Viewer,
        viewer::{Permissions, Scopes},
    },
    http::{ListenAddress, ListenError},
    store,
    telemetry::logs::{self, LogConfig, LogLevel},
};
use nodes::Nodes;
use traffic::{NUMBERED, Traffic};

/// Opens everything in the demo, and nothing elsewhere.
const TOKEN: &str = "demo-token";

/// A list that the demo account owns, besides those with numbers.
const LIST: i64 = 1;

/// How the demo runs.
#[derive(Debug, Args)]
pub struct Options {
    /// Port to listen on; further nodes take the next ones that are free [default: the variable PORT, or 4000]
    #[arg(long)]
    port: Option<u16>,
    /// Statuses and other happenings per second
    #[arg(long, default_value_t = 2.0, value_parser = pace)]
    rate: f64,
    /// Nodes of the cluster to show, each one a server with a port of its own; 1 is a server without a cluster
    #[arg(long, default_value_t = 1, value_parser = nodes)]
    nodes: usize,
}

fn pace(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.01..=1000.0).contains(&rate) { Ok(rate) } else { Err("choose between 0.01 and 1000".to_owned()) }
}

fn nodes(text: &str) -> Result<usize, String> {
    let nodes: usize = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
    if (1..=nodes::MOST).contains(&nodes) { Ok(nodes) } else { Err(format!("choose between 1 and {}", nodes::MOST)) }
}

/// Runs until told to stop.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let environment = Environment::of_process(std::path::Path::new("."))?;
    logs::start(LogConfig { level: LogLevel::Warn, json: false });
    let listen = match (options.port, config::listen_address(&environment)?) {
        (Some(port), ListenAddress::Tcp(host, _)) => ListenAddress::Tcp(host, port),
        (_, address) => address,
    };
    app::raise_file_limit();
    let stop = app::StopSignal::listen()?;
    let pause = Duration::from_secs_f64(1.0 / options.rate);
    match options.nodes {
        1 => run_alone(&listen, pause, stop).await,
        nodes => run_cluster(listen, nodes, pause, stop).await,
    }
}

async fn run_alone(listen: &ListenAddress, pause: Duration, mut stop: app::StopSignal) -> anyhow::Result<()> {
    let listener = listen.bind().await.map_err(explain)?;
    let traffic = Traffic::default();
    let server = app::start_embedded(listener, accounts(), traffic.bus(), api::front_page(), None).await?;
    print_greeting(&server.address, &[]);
    let upstream = Arc::clone(&server.upstream);
    server.lifecycle().spawn_lasting("demo traffic", async move {
        tokio::join!(traffic.talk(pause), traffic.welcome(&upstream));
    });
    server.serve_until(&mut stop).await
}

async fn run_cluster(
    listen: ListenAddress,
    count: usize,
    pause: Duration,
    mut stop: app::StopSignal,
) -> anyhow::Result<()> {
    let traffic = Arc::<Traffic>::default();
    let nodes = Nodes::new(listen, Arc::clone(&traffic))?;
    for _ in 0..count {
        nodes.start_one().await.map_err(|refused| match refused {
            nodes::Refused::Failed(error) => error,
            refused => refused.into(),
        })?;
    }
    let addresses = nodes.addresses();
    print_greeting(addresses.first().map_or("", |(_, address)| address), &addresses);
    tokio::select! {
        () = stop.received() => {}
        name = nodes.failed() => anyhow::bail!("a part of {name} has failed"),
        ((), ()) = async { tokio::join!(traffic.talk(pause), traffic.count()) } => {}
    }
    tokio::select! {
        () = nodes.end() => Ok(()),
        () = stop.received() => anyhow::bail!("told to stop twice; sessions were cut off"),
    }
}

/// Adds what to do about a port that is taken.
fn explain(error: ListenError) -> anyhow::Error {
    if error.is_taken() { anyhow::anyhow!("{error}, such as --port 4010") } else { error.into() }
}

fn accounts() -> store::Embedded {
    let account = AccountId(statuses::VIEWER_ID.parse().expect("the demo account's id is a number"));
    let viewer = Viewer {
        account,
        token: TokenId(1),
        scopes: Scopes::parse("read"),
        languages: None,
        permissions: Permissions::default(),
    };
    let lists = std::iter::once(LIST).chain(NUMBERED).map(|list| (account, ListId(list)));
    store::Embedded::new(vec![(TOKEN.to_owned(), viewer)], lists.collect())
}

/// Who listens on all addresses is reached by the loopback one.
fn reachable(address: &str) -> String {
    address.replace("[::]", "127.0.0.1").replace("0.0.0.0", "127.0.0.1")
}

fn print_greeting(address: &str, nodes: &[(String, String)]) {
    let address = reachable(address);
    let api = format!("{address}/api/v1/streaming");
    println!("Flodgatt is running with made-up traffic. See it move: http://{address}/");
    println!();
    println!("  curl -N 'http://{api}/public?access_token={TOKEN}'");
    println!("  curl -N -H 'Authorization: Bearer {TOKEN}' 'http://{api}/user'");
    println!("  websocat 'ws://{api}?access_token={TOKEN}&stream=public:local'");
    println!();
    for (name, address) in nodes {
        println!("  {name} at {}", reachable(address));
    }
    if !nodes.is_empty() {
        println!();
    }
    println!("Stop with Ctrl-C.");
}
