//! What an idle client costs: resident memory with ten thousand clients on `user`, each of an account of its own (four
//! channels each), against what is allowed; first WebSockets whose clients offer compression as browsers do, then event
//! streams, each with a server of their own. Run it with `cargo bench --bench idle_memory`; after `--`, a number is how many,
//! and `off` switches compression off. Redis, PostgreSQL and the clients run in processes of their own.

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::eventually::eventually_within;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

const KIB: u64 = 1024;

/// Resident memory of the process with nobody there, at most.
const MOST_FOR_THE_PROCESS: u64 = 30 * 1024 * KIB;

/// Resident memory for each idle connection, at most.
const MOST_PER_CONNECTION: u64 = 8 * KIB;

const CONNECTIONS: usize = 10_000;

/// How clients are connected, as metrics name it.
const WEB_SOCKET: &str = "websocket";
const EVENT_SOURCE: &str = "eventsource";

/// Connections that are made at once.
const AT_ONCE: usize = 100;

/// Connections from one loopback address: the system has about 28,000 ports for each.
const PER_ADDRESS: usize = 10_000;

const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started");
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, kind, address, count] = &arguments[..]
        && mode == "clients"
    {
        let address = address.parse().expect("an address");
        runtime.block_on(be_clients(kind, address, count.parse().expect("a number")));
        return ExitCode::SUCCESS;
    }
    let count = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(CONNECTIONS);
    let compression = if arguments.iter().any(|argument| argument == "off") { "off" } else { "on" };
    let allowed = [WEB_SOCKET, EVENT_SOURCE].map(|kind| runtime.block_on(measure(kind, count, compression)));
    if allowed == [true; 2] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints what was found; whether it is allowed.
async fn measure(kind: &'static str, count: usize, compression: &str) -> bool {
    let (redis, db) = (Redis::start().await, Database::create().await);
    create_accounts(&db, count).await;
    let server = Server::options(&redis, &db).env("LOG_LEVEL", "info").env("WS_COMPRESSION", compression).start().await;
    let before = server.rss_bytes();
    let started = Instant::now();
    let mut clients = start_clients(kind, &server, count);
    everybody_is_there(kind, &server, &redis, count).await;
    let after = server.rss_bytes();
    println!("{kind}: {count} connections in {:.1} s", started.elapsed().as_secs_f64());
    let each = after.saturating_sub(before) / count as u64;
    println!("resident before {:>9} KiB, at most {} KiB", before / KIB, MOST_FOR_THE_PROCESS / KIB);
    println!("resident after  {:>9} KiB", after / KIB);
    println!("per connection  {each:>9} bytes, at most {MOST_PER_CONNECTION} bytes");
    for (name, kilobytes) in memory_map(server.pid()) {
        println!("    {kilobytes:>9} KiB {name}");
    }
    clients.kill().expect("the clients can be ended");
    clients.wait().expect("the clients have ended");
    let clients = [("type", kind)];
    eventually_within(PATIENCE, "the end of all", || async {
        server.metric("connected_clients", &clients).await == 0.0
    })
    .await;
    println!("resident when all have left {} KiB", server.rss_bytes() / KIB);
    before <= MOST_FOR_THE_PROCESS && each <= MOST_PER_CONNECTION
}

async fn create_accounts(db: &Database, count: usize) {
    db.execute(format!(
        "WITH a AS (INSERT INTO accounts (username, created_at, updated_at) \
             SELECT 'idle' || n, now(), now() FROM generate_series(0, {count} - 1) AS n RETURNING id, username), \
         u AS (INSERT INTO users (email, account_id, disabled, confirmed_at, created_at, updated_at) \
             SELECT username, id, false, now(), now(), now() FROM a RETURNING id, email) \
         INSERT INTO oauth_access_tokens (token, resource_owner_id, scopes, created_at) \
             SELECT email, id, 'read', now() FROM u"
    ))
    .await;
}

/// Every connection is there, its four channels are subscribed, and its two keys are set.
async fn everybody_is_there(kind: &'static str, server: &Server, redis: &Redis, count: usize) {
    for (name, labels, wanted) in [
        ("connected_channels", &[("type", kind), ("channel", "user")][..], count),
        ("redis_subscriptions", &[], 4 * count),
    ] {
        eventually_within(PATIENCE, name, || async {
            match server.metric(name, labels).await {
                found if found == wanted as f64 => Ok(()),
                found => Err(found),
            }
        })
        .await;
    }
    eventually_within(PATIENCE, "keys", || async {
        match redis.command(&["DBSIZE"]).await.integer() {
            found if found == 2 * count as i64 => Ok(()),
            found => Err(found),
        }
    })
    .await;
}

/// This program again, as the clients; it has connected them all when this returns.
fn start_clients(kind: &str, server: &Server, count: usize) -> Child {
    let address = format!("127.0.0.1:{}", server.address().port());
    let mut clients = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["clients", kind, &address, &count.to_string()])
        // The clients end when this closes, however this process ends.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be started again");
    let mut said = String::new();
    let output = clients.stdout.as_mut().expect("its output is a pipe");
    BufReader::new(output).read_line(&mut said).expect("it says something");
    assert_eq!(said, "connected\n");
    clients
}

/// Where the memory is: kilobytes by kind of mapping.
fn memory_map(pid: u32) -> Vec<(String, u64)> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let wanted = ["RssAnon", "RssFile", "Anonymous", "VmData", "VmHWM"];
    let lines = rollup.lines().chain(status.lines()).filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| wanted.contains(name))
        .filter_map(|(name, rest)| Some((name.to_owned(), rest.trim().strip_suffix(" kB")?.parse().ok()?)))
        .collect()
}

/// Connects, says so, and stays until the standard input closes.
async fn be_clients(kind: &str, address: SocketAddr, count: usize) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut connecting = Vec::new();
    for number in 0..count {
        let (places, request) = (Arc::clone(&places), Request::of(kind, number));
        connecting.push(tokio::spawn(async move {
            let _place = places.acquire().await.expect("the semaphore is never closed");
            connect(address, &request).await
        }));
    }
    for connected in connecting {
        let connection = connected.await.expect("a connection is made");
        tokio::spawn(stay(connection));
    }
    println!("connected");
    let closed = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    let _ = closed.await;
}

/// What a client asks for.
struct Request {
    /// From which loopback address: not from one on which connections of others linger.
    from: [u8; 4],
    bytes: Vec<u8>,
    /// How the answer begins.
    answer: &'static [u8],
}

impl Request {
    fn of(kind: &str, number: usize) -> Self {
        let own = u8::try_from(1 + number / PER_ADDRESS).expect("few addresses are needed");
        if kind == WEB_SOCKET {
            let target = format!("/api/v1/streaming?stream=user&access_token=idle{number}");
            let bytes = websocket::handshake(&target, &[websocket::OFFER]);
            return Self { from: [127, 0, 0, own], bytes, answer: b"HTTP/1.1 101 " };
        }
        let target = format!("/api/v1/streaming/user?access_token=idle{number}");
        let bytes = http::encode("GET", &target, &[], b"");
        Self { from: [127, 0, 1, own], bytes, answer: b"HTTP/1.1 200 " }
    }
}

async fn connect(address: SocketAddr, request: &Request) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.bind((request.from, 0).into()).expect("loopback addresses can be used");
    let mut connection = socket.connect(address).await.expect("the server is there");
    connection.write_all(&request.bytes).await.expect("it takes the request");
    let mut head = Vec::new();
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        assert_ne!(connection.read_buf(&mut head).await.expect("it answers"), 0, "it closed");
    }
    assert!(head.starts_with(request.answer), "{}", String::from_utf8_lossy(&head));
    connection
}

/// Answers pings, which is all that comes, but for heartbeats.
async fn stay(mut connection: TcpStream) {
    let mut bytes = [0; 64];
    while let Ok(count @ 1..) = connection.read(&mut bytes).await {
        for _ in bytes[..count].windows(2).filter(|pair| *pair == [0x89, 0]) {
            let pong = Frame::new(frames::PONG, b"").encode();
            if connection.write_all(&pong).await.is_err() {
                return;
            }
        }
    }
}
