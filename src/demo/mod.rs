//! A complete server in one process, with traffic to look at: no Redis, no PostgreSQL, no Mastodon.

mod pictures;
mod render;
mod statuses;
mod words;

use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::json;

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
    upstream::Upstream,
};
use statuses::{Cast, Post};

/// Opens everything in the demo, and nothing elsewhere.
const TOKEN: &str = "demo-token";

/// A list that the demo account owns.
const LIST: i64 = 1;

/// What whoever opens a stream sees at once, however slow the traffic is.
const WELCOME_POSTS: u32 = 5;

/// The pause between them: all are there within a second, and none before the stream is open.
const WELCOME_PAUSE: Duration = Duration::from_millis(150);

/// How the demo runs.
#[derive(Debug, Args)]
pub struct Options {
    /// Port to listen on [default: the variable PORT, or 4000]
    #[arg(long)]
    port: Option<u16>,
    /// Statuses and other happenings per second
    #[arg(long, default_value_t = 2.0, value_parser = pace)]
    rate: f64,
}

fn pace(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.01..=1000.0).contains(&rate) { Ok(rate) } else { Err("choose between 0.01 and 1000".to_owned()) }
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
    let mut stop = app::StopSignal::listen()?;
    let server = app::start_embedded(&listen, accounts(), page()).await.map_err(explain)?;
    print_greeting(&server.address);
    let upstream = std::sync::Arc::clone(&server.upstream);
    let lifecycle = server.lifecycle().clone();
    server.lifecycle().spawn_essential("demo traffic", async move {
        tokio::select! {
            () = publish(&upstream, Duration::from_secs_f64(1.0 / options.rate)) => {}
            () = lifecycle.stopping() => {}
        }
    });
    server.serve_until(&mut stop).await
}

fn explain(error: anyhow::Error) -> anyhow::Error {
    let taken = error.downcast_ref::<ListenError>().is_some_and(ListenError::is_taken);
    if taken { anyhow::anyhow!("{error}, such as --port 4010") } else { error }
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
    store::Embedded::new(vec![(TOKEN.to_owned(), viewer)], vec![(account, ListId(LIST))])
}

async fn publish(upstream: &Upstream, pause: Duration) {
    let Upstream::Embedded(upstream) = upstream else { return };
    let mut cast = Cast::new(fastrand::u64(..));
    let mut welcome: u32 = 0;
    loop {
        let now = SystemTime::now();
        let posts = if welcome > 0 { cast.welcome(now) } else { cast.next(now) };
        for Post { channels, event, payload } in posts {
            let message = json!({ "event": event, "payload": payload }).to_string();
            for channel in channels {
                upstream.publish(&channel, &message);
            }
        }
        let pause = if welcome > 0 { pause.min(WELCOME_PAUSE) } else { pause };
        tokio::select! {
            () = tokio::time::sleep(pause) => welcome = welcome.saturating_sub(1),
            () = upstream.opened() => welcome = WELCOME_POSTS,
        }
    }
}

fn page() -> String {
    include_str!("page.html")
        .replace("{{page.css}}", include_str!("page.css"))
        .replace("{{content.js}}", include_str!("content.js"))
        .replace("{{post.js}}", include_str!("post.js"))
        .replace("{{page.js}}", include_str!("page.js"))
        .replace("{{token}}", TOKEN)
}

fn print_greeting(address: &str) {
    // Who listens on all addresses is reached by the loopback one.
    let address = address.replace("[::]", "127.0.0.1").replace("0.0.0.0", "127.0.0.1");
    let api = format!("{address}/api/v1/streaming");
    println!("Flodgatt is running with made-up traffic. See it move: http://{address}/");
    println!();
    println!("  curl -N 'http://{api}/public?access_token={TOKEN}'");
    println!("  curl -N -H 'Authorization: Bearer {TOKEN}' 'http://{api}/user'");
    println!("  websocat 'ws://{api}?access_token={TOKEN}&stream=public:local'");
    println!();
    println!("Stop with Ctrl-C.");
}
