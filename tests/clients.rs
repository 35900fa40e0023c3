//! Clients that are not made for this server, of pinned versions and unmodified. `tests/run` installs them.

#[path = "clients/instance.rs"]
mod instance;
mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use instance::Instance;
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::process::Process;
use support::*;

/// A running client that says line by line what it is told: `["stream","what",value]`.
struct Client {
    process: Process,
    said: Arc<Mutex<Vec<Value>>>,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Client {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = Process::start(&mut command);
        let (said, complaints) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (lines, errors) = (Arc::clone(&said), Arc::clone(&complaints));
        process.read_stdout(move |line| lines.lock().push(serde_json::from_str(&line).unwrap_or(json!(line))));
        process.read_stderr(move |line| errors.lock().push(line));
        Self { process, said, complaints }
    }

    /// Waits until it has said this.
    async fn says(&self, stream: &str, what: &str, value: impl Into<Value>) {
        let line = json!([stream, what, value.into()]);
        eventually(format!("{line} of a client"), || async {
            let said = self.said.lock();
            if said.contains(&line) {
                Ok(())
            } else {
                Err(format!("{:#?}\n{}", *said, self.complaints.lock().join("\n")))
            }
        })
        .await;
    }

    /// What it was told on a stream, but for heartbeats.
    fn told(&self, stream: &str) -> Vec<String> {
        let said = self.said.lock();
        let of_stream = said.iter().filter(|line| line[0] == stream && line[1] != "heartbeat");
        of_stream.map(|line| line[1].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A server, and somebody with a list.
struct Harbour {
    redis: Redis,
    db: Database,
    server: Server,
    alice: Person,
    list: String,
}

impl Harbour {
    async fn new() -> Self {
        let (redis, db) = (Redis::start().await, Database::create().await);
        let server = Server::start(&redis, &db).await;
        let alice = db.person("alice").await;
        let list = db.list(alice.account_id).await.to_string();
        Self { redis, db, server, alice, list }
    }

    fn home(&self) -> String {
        format!("timeline:{}", self.alice.account_id)
    }

    /// The client has opened so many connections, and all its streams are open on each of them that says so.
    async fn watched(&self, channels: &[(&str, &str, f64)]) {
        for (transport, channel, count) in channels {
            let labels = [("type", *transport), ("channel", *channel)];
            self.server.wait_for_metric("connected_channels", &labels, *count).await;
        }
        let (home, account) = (self.home(), self.alice.account_id);
        let own = [
            format!("{home}:notifications"),
            format!("timeline:direct:{account}"),
            format!("timeline:list:{}", self.list),
        ];
        let common = ["timeline:public", "timeline:public:remote:media", "timeline:hashtag:herons"];
        for channel in own.iter().map(String::as_str).chain(common).chain([home.as_str()]) {
            self.redis.wait_for_subscribers(channel, 1).await;
        }
    }

    /// Publishes something of each kind, and one status on each stream.
    async fn publish(&self) {
        let bob = self.db.account("bob@remote.example").await;
        let home = self.home();
        let notification = json!({"id": "5", "type": "favourite", "created_at": "2026-03-14T08:15:26.535Z", "account": status(1, &bob).value()["account"]});
        let conversation = json!({"id": "9", "unread": true, "accounts": [], "last_status": null});
        let announcement = json!({"id": "3", "content": "<p>low tide</p>", "published_at": "2026-03-14T08:15:26.535Z", "updated_at": "2026-03-14T08:15:26.535Z", "all_day": false, "mentions": [], "tags": [], "emojis": [], "reactions": []});
        for (channel, message) in [
            (home.clone(), update(&status(101, &bob))),
            (home.clone(), event("status.update", status(101, &bob).content("<p>edited</p>"))),
            (home.clone(), event("delete", "101")),
            (home.clone(), event("announcement", announcement)),
            (home.clone(), r#"{"event":"filters_changed"}"#.to_owned()),
            (format!("{home}:notifications"), event("notification", notification)),
            (format!("{home}:notifications"), event("notifications_merged", "1")),
            (format!("timeline:direct:{}", self.alice.account_id), event("conversation", conversation)),
            ("timeline:public".to_owned(), update(&status(102, &bob))),
            ("timeline:public:remote:media".to_owned(), update(&status(103, &bob).picture("a heron"))),
            ("timeline:hashtag:herons".to_owned(), update(&status(104, &bob).tag("herons"))),
            (format!("timeline:list:{}", self.list), update(&status(105, &bob))),
        ] {
            assert_eq!(self.redis.publish(&channel, message).await, 1, "{channel}");
        }
    }

    async fn kill(&self) {
        let control = format!("timeline:access_token:{}", self.alice.token_id);
        self.redis.publish(&control, r#"{"event":"kill"}"#).await;
    }
}

#[tokio::test]
async fn mastodon_py_watches_every_stream_over_both_transports() {
    let python = folder().join(".venv/bin/python");
    assert!(python.exists(), "Mastodon.py is not installed: tests/run does it");
    let harbour = Harbour::new().await;
    let instance = Instance::in_front_of(&harbour.server).await;
    let script = ["mastodon_py.py", &instance.url(), &harbour.alice.token, "herons", &harbour.list];
    let client = Client::start(&python.to_string_lossy(), &script);
    client.says("streaming", "healthy", true).await;
    let channels = ["user", "public", "public:remote:media", "hashtag", "list", "direct"];
    let open = channels.iter().flat_map(|channel| [("eventsource", *channel, 1.0), ("websocket", *channel, 1.0)]);
    let open: Vec<_> = open.chain([("eventsource", "user:notification", 1.0)]).collect();
    harbour.watched(&open).await;
    harbour.publish().await;
    for prefix in ["", "ws "] {
        let of = |stream: &str| format!("{prefix}{stream}");
        client.says(&of("user"), "update", "101").await;
        client.says(&of("user"), "status.update", "<p>edited</p>").await;
        client.says(&of("user"), "delete", "101").await;
        client.says(&of("user"), "announcement", "<p>low tide</p>").await;
        client.says(&of("user"), "filters_changed", Value::Null).await;
        client.says(&of("user"), "notification", "favourite").await;
        client.says(&of("user"), "notifications_merged", Value::Null).await;
        client.says(&of("direct"), "conversation", "9").await;
        client.says(&of("public"), "update", "102").await;
        client.says(&of("public media"), "update", "103").await;
        client.says(&of("hashtag"), "update", "104").await;
        client.says(&of("list"), "update", "105").await;
    }
    client.says("notifications", "notification", "favourite").await;
    for stream in ["user", "public", "hashtag", "list"] {
        let beats = || {
            let said = client.said.lock();
            said.iter().filter(|line| line[0] == stream && line[1] == "heartbeat").count()
        };
        // The first one is the greeting.
        eventually(format!("heartbeats of {stream}"), || async { beats() >= 2 }).await;
    }
    assert_eq!(client.told("user").len(), 7, "nothing came twice: {:?}", client.told("user"));
    assert_eq!(client.told("public"), ["update"]);
    // Which subscription an error belongs to is not said: the client tells all of them.
    assert_eq!(client.told("ws list"), ["error", "update"]);
    client.says("ws", "error", json!(["WebSocket streaming subscription failed", "400", "Unknown stream type"])).await;
    harbour.kill().await;
    for stream in ["user", "notifications", "public", "public media", "hashtag", "list", "direct", "ws"] {
        client.says(stream, "ended", Value::Null).await;
    }
    // An event stream ends regularly, a WebSocket with a close frame, which the client reports as it is.
    assert_eq!(client.told("user").last().map(String::as_str), Some("ended"));
    client.says("ws", "abort", "WebSocket streaming server closed the connection.").await;
    assert!(client.process.exited().await.success());
}

#[tokio::test]
async fn masto_js_watches_every_stream_with_its_token_as_subprotocol() {
    assert!(folder().join("node_modules/masto").exists(), "masto.js is not installed: tests/run does it");
    let harbour = Harbour::new().await;
    let address = format!("ws://127.0.0.1:{}", harbour.server.address().port());
    let client = Client::start("node", &["masto.mjs", &address, &harbour.alice.token, "herons", &harbour.list]);
    let channels = ["user", "public", "public:remote:media", "hashtag", "list", "direct"];
    let open: Vec<_> = channels.iter().map(|channel| ("websocket", *channel, 1.0)).collect();
    harbour.watched(&open).await;
    harbour.publish().await;
    client.says("user", "update", "101").await;
    client.says("user", "status.update", "<p>edited</p>").await;
    client.says("user", "delete", "101").await;
    client.says("user", "notification", "favourite").await;
    client.says("user", "filters_changed", Value::Null).await;
    client.says("direct", "conversation", "9").await;
    client.says("public", "update", "102").await;
    client.says("public media", "update", "103").await;
    client.says("hashtag", "update", "104").await;
    client.says("list", "update", "105").await;
    assert_eq!(client.told("public"), ["update"]);
    // It comes back by itself after every close.
    harbour.kill().await;
    let killed = [("type", "websocket"), ("reason", "killed")];
    harbour.server.wait_for_metric("flodgatt_sessions_closed_total", &killed, 1.0).await;
    harbour.watched(&open).await;
    harbour.redis.publish(&harbour.home(), event("delete", "201")).await;
    client.says("user", "delete", "201").await;
}

/// What clients that offer compression agree on with the server, each by the name that its script has for it.
async fn get_events_compressed_as_agreed(client: Client, harbour: &Harbour, agreed: &[(&str, &str)]) {
    for (name, extensions) in agreed {
        client.says(name, "extensions", *extensions).await;
        client.says(name, "error", "Unknown stream type").await;
    }
    let labels = [("type", "websocket"), ("channel", "user")];
    harbour.server.wait_for_metric("connected_channels", &labels, agreed.len() as f64).await;
    harbour.redis.wait_for_subscribers(&harbour.home(), 1).await;
    let bob = harbour.db.account("bob@remote.example").await;
    let content = |id: i64| format!("<p>{} ♥ {id}</p>", "Herons stand in the shallows. ".repeat(300));
    for id in 1..=3 {
        harbour.redis.publish(&harbour.home(), update(&status(id, &bob).content(&content(id)))).await;
    }
    harbour.redis.publish(&harbour.home(), event("delete", "3")).await;
    for (name, _) in agreed {
        for id in 1..=3 {
            client.says(name, "update", content(id)).await;
        }
        client.says(name, "delete", "3").await;
        assert_eq!(client.told(name), ["extensions", "error", "update", "update", "update", "delete"]);
    }
    harbour.kill().await;
    for (name, _) in agreed {
        client.says(name, "closed", 1005).await;
    }
    assert!(client.process.exited().await.success());
}

#[tokio::test]
async fn what_ws_of_node_offers_is_agreed_on_or_declined() {
    assert!(folder().join("node_modules/ws").exists(), "ws is not installed: tests/run does it");
    let harbour = Harbour::new().await;
    let address = format!("ws://127.0.0.1:{}", harbour.server.address().port());
    let client = Client::start("node", &["compressed.mjs", &address, &harbour.alice.token]);
    let agreed = [
        ("plain", ""),
        ("default", "permessage-deflate"),
        ("small windows", "permessage-deflate"),
        ("no takeover", "permessage-deflate"),
        ("too small a window", ""),
    ];
    get_events_compressed_as_agreed(client, &harbour, &agreed).await;
}

#[tokio::test]
async fn what_websockets_of_python_offers_is_agreed_on_or_declined() {
    let python = folder().join(".venv/bin/python");
    assert!(python.exists(), "websockets is not installed: tests/run does it");
    let harbour = Harbour::new().await;
    let address = format!("ws://127.0.0.1:{}", harbour.server.address().port());
    let client = Client::start(&python.to_string_lossy(), &["compressed.py", &address, &harbour.alice.token]);
    let without = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let with_window = format!("{without}; server_max_window_bits=12");
    let agreed = [
        ("plain", ""),
        ("default", without),
        ("no takeover", without),
        ("small windows", &with_window),
        ("too small a window", ""),
    ];
    get_events_compressed_as_agreed(client, &harbour, &agreed).await;
}
