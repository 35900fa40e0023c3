//! That the fixtures do what they say: services, rows, clients, and that nothing is left behind.

mod support;

#[path = "fixtures/clients.rs"]
mod clients;
#[path = "fixtures/proxy.rs"]
mod proxy;

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use support::process::{Process, state};
use support::resp::Reply;
use support::server::sample;
use support::*;

#[tokio::test]
async fn redis_counts_the_receivers_of_what_is_published() {
    let redis = Redis::start().await;
    assert_eq!(redis.publish("timeline:public", "nobody listens").await, 0);
    let mut subscription = redis.subscribe("timeline:public").await;
    redis.wait_for_subscribers("timeline:public", 1).await;
    assert_eq!(redis.subscriptions().await, ["timeline:public"]);
    assert_eq!(redis.publish("timeline:public", b"somebody does").await, 1);
    assert_eq!(subscription.next().await, "somebody does");
}

#[tokio::test]
async fn a_burst_arrives_in_its_order() {
    let redis = Redis::start().await;
    let mut subscription = redis.subscribe("a").await;
    redis.publish_all("a", (0..500).map(|number| number.to_string())).await;
    for number in 0..500 {
        assert_eq!(subscription.next().await, number.to_string());
    }
}

#[tokio::test]
async fn each_redis_has_keys_of_its_own() {
    let (one, other) = (Redis::start().await, Redis::start().await);
    one.command(&["SET", "key", "value", "EX", "1080"]).await;
    assert_eq!(one.get("key").await.as_deref(), Some("value"));
    assert!(one.ttl("key").await.is_some_and(|seconds| (1070..=1080).contains(&seconds)));
    assert_eq!((other.get("key").await, other.ttl("key").await), (None, None));
}

#[tokio::test]
async fn a_killed_redis_comes_back_empty_on_its_port() {
    let redis = Redis::start().await;
    redis.command(&["SET", "key", "value"]).await;
    let (pid, port) = (redis.pid(), redis.port());
    redis.kill();
    assert_eq!(state(pid), None);
    redis.restart().await;
    assert_eq!((redis.get("key").await, redis.port()), (None, port));
}

#[tokio::test]
async fn a_paused_redis_goes_on_when_resumed() {
    let redis = Redis::start().await;
    redis.pause();
    eventually("stop", || async { state(redis.pid()) == Some('T') }).await;
    redis.resume();
    assert_eq!(redis.command(&["PING"]).await, Reply::Status("PONG".into()));
}

#[tokio::test]
async fn dropped_clients_are_no_subscribers_any_more() {
    let redis = Redis::start().await;
    let _subscription = redis.subscribe("a").await;
    redis.wait_for_subscribers("a", 1).await;
    redis.drop_clients().await;
    redis.wait_for_subscribers("a", 0).await;
}

#[tokio::test]
async fn the_monitor_shows_what_others_do() {
    let redis = Redis::start().await;
    let monitor = redis.monitor().await;
    redis.subscribe("timeline:public").await;
    monitor.wait_for(r#""SUBSCRIBE" "timeline:public""#).await;
}

#[tokio::test]
async fn a_redis_with_tls_and_password_wants_both() {
    let options = RedisOptions { password: Some("secret".into()), tls: true, ..RedisOptions::default() };
    let redis = Redis::start_with(options).await;
    let ping = |arguments: &[&str]| {
        let port = redis.port().to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).arg("PING").output();
        String::from_utf8(output.expect("redis-cli can be started").stdout).unwrap()
    };
    let ca_file = redis.ca_file().to_string_lossy().into_owned();
    let tls = ["-h", "localhost", "--tls", "--cacert", &ca_file];
    assert_eq!(ping(&[&tls[..], &["--no-auth-warning", "-a", "secret"]].concat()), "PONG\n");
    assert!(ping(&tls).contains("NOAUTH"));
    assert_ne!(ping(&["--no-auth-warning", "-a", "secret"]), "PONG\n");
}

#[tokio::test]
async fn sentinel_promotes_the_replica() {
    let options = SentinelOptions { redis_password: Some("one".into()), sentinel_password: Some("two".into()) };
    let sentinel = Sentinel::start_with(options).await;
    assert_eq!(sentinel.master().await.port(), sentinel.servers[0].port());
    let new = sentinel.fail_over().await;
    assert_eq!(new.port(), sentinel.servers[1].port());
    new.command(&["SET", "key", "value"]).await;
    assert_eq!(new.get("key").await.as_deref(), Some("value"));
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = (Database::create().await, Database::create().await);
    one.person("alice").await;
    assert_eq!(one.number("SELECT count(*) FROM accounts").await, 1);
    assert_eq!(other.number("SELECT count(*) FROM accounts").await, 0);
}

#[tokio::test]
async fn a_person_can_be_read_back() {
    let db = Database::create().await;
    let alice = db
        .person("alice")
        .scopes("read:statuses write")
        .chosen_languages(&["en", "de"])
        .role(1 << 20)
        .expires_in(60)
        .token_age(10.0)
        .disabled()
        .suspended()
        .revoked()
        .await;
    assert!(alice.account_id > 1 << 53, "{alice:?}");
    let found = format!(
        "SELECT count(*) FROM oauth_access_tokens t JOIN users u ON u.id = t.resource_owner_id \
         JOIN accounts a ON a.id = u.account_id JOIN user_roles r ON r.id = u.role_id \
         WHERE t.token = '{}' AND t.id = {} AND u.id = {} AND a.id = {} AND a.username = 'alice' AND a.domain IS NULL \
         AND t.scopes = 'read:statuses write' AND u.chosen_languages = '{{en,de}}' AND r.permissions = 1048576 \
         AND t.expires_in = 60 AND u.disabled AND a.suspended_at IS NOT NULL AND t.revoked_at IS NOT NULL \
         AND (now() AT TIME ZONE 'UTC') - t.created_at BETWEEN interval '10 s' AND interval '1 minute'",
        alice.token, alice.token_id, alice.user_id, alice.account_id
    );
    assert_eq!(db.number(found).await, 1);
}

#[tokio::test]
async fn time_stamps_are_in_utc() {
    let db = Database::create().await;
    let (alice, bob) = (db.person("alice").await, db.account("bob@remote.example").await);
    db.mute_for(alice.account_id, bob.account_id, 60.0).await;
    db.mute_for(bob.account_id, alice.account_id, -60.0).await;
    let active = "SELECT account_id FROM mutes WHERE expires_at > now() AT TIME ZONE 'UTC'";
    assert_eq!(db.number(active).await, alice.account_id);
}

#[tokio::test]
async fn relations_and_filters_can_be_read_back() {
    let db = Database::create().await;
    let (alice, bob) = (db.person("alice").null_scopes().await, db.account("bob@remote.example").await);
    db.block(alice.account_id, bob.account_id).await;
    db.mute(bob.account_id, alice.account_id).await;
    db.block_domain(alice.account_id, "remote.example").await;
    db.setting("local_live_feed_access", "--- public\n").await;
    db.setting("local_live_feed_access", "--- disabled\n").await;
    let list = db.list(alice.account_id).await;
    let filter = db.filter(alice.account_id, "birds").keyword("heron").whole_word("tern").action(1).await;
    let token = db.token(&alice, "read").await;
    let found = format!(
        "SELECT (SELECT count(*) FROM blocks WHERE target_account_id = {bob}) \
         + (SELECT count(*) FROM mutes WHERE account_id = {bob} AND expires_at IS NULL) \
         + (SELECT count(*) FROM account_domain_blocks WHERE domain = 'remote.example') \
         + (SELECT count(*) FROM settings WHERE value = E'--- disabled\\n') \
         + (SELECT count(*) FROM lists WHERE id = {list} AND account_id = {alice}) \
         + (SELECT count(*) FROM custom_filters WHERE id = {filter} AND action = 1 AND expires_at IS NULL) \
         + (SELECT count(*) FROM custom_filter_keywords WHERE (keyword, whole_word) IN (('heron', false), ('tern', true))) \
         + (SELECT count(*) FROM oauth_access_tokens WHERE id <> {} AND token = '{}')",
        alice.token_id,
        token.token,
        alice = alice.account_id,
        bob = bob.account_id,
    );
    assert_eq!(db.number(found).await, 9);
}

#[tokio::test]
async fn the_statements_of_servers_are_known_and_those_of_fixtures_left_out() {
    let db = Database::create().await;
    let alice = db.person("alice").await;
    // As a server connects: over TCP, with a password, and with TLS here.
    let options: PgConnectOptions = db.url().parse().unwrap();
    let options = options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(db.postgres().ca_file()).host("localhost");
    let mut connection: PgConnection = options.connect().await.expect("the certificate is good");
    let query = sqlx::query("SELECT $1::bigint AS\n\tid").bind(alice.account_id).persistent(false);
    query.execute(&mut connection).await.unwrap();
    sqlx::query("SELECT 7").execute(&mut connection).await.unwrap();
    let statements = db.statements();
    let texts: Vec<&str> = statements.iter().map(|statement| statement.text.as_str()).collect();
    assert!(texts.contains(&"SELECT $1::bigint AS\n\tid"), "{statements:?}");
    let unnamed = statements.iter().find(|statement| statement.text.starts_with("SELECT $1")).unwrap();
    assert_eq!((&unnamed.name, &unnamed.parameters), (&None, &Some(format!("$1 = '{}'", alice.account_id))));
    let named = statements.iter().find(|statement| statement.text == "SELECT 7").unwrap();
    assert!(named.name.is_some(), "{named:?}");
    assert!(!texts.iter().any(|text| text.contains("INSERT INTO accounts")), "{statements:?}");
    assert_eq!(db.connections().await, 1);
    db.drop_clients().await;
    assert!(connection.ping().await.is_err());
}

#[tokio::test]
async fn a_cluster_of_its_own_can_be_paused_and_stopped() {
    let postgres = Postgres::start_own().await;
    let db = postgres.database().await;
    db.person("alice").await;
    postgres.pause();
    eventually("stop", || async { state(postgres.pid()) == Some('T') }).await;
    postgres.resume();
    assert_eq!(db.number("SELECT count(*) FROM users").await, 1);
    postgres.stop();
    let options: PgConnectOptions = db.url().parse().unwrap();
    assert!(options.connect().await.is_err());
    postgres.start_again().await;
    assert_eq!(db.number("SELECT count(*) FROM users").await, 1);
}

/// This test runs itself a second time, with this variable set, as a process to be killed.
const VICTIM: &str = "FLODGATT_TEST_VICTIM";

#[tokio::test]
async fn nothing_outlives_a_killed_test() {
    if std::env::var_os(VICTIM).is_some() {
        return be_a_victim().await;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "nothing_outlives_a_killed_test", "--nocapture"]).env(VICTIM, "1");
    let victim = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let (sender, mut lines) = tokio::sync::mpsc::channel(100);
    victim.read_stdout(move |line| sender.blocking_send(line).unwrap_or_default());
    // Starting all that takes a while on a busy machine.
    let told = tokio::time::timeout(Duration::from_secs(150), async {
        loop {
            let line = lines.recv().await.expect("the victim says what it has started");
            if let Some((_, told)) = line.split_once("victim: ") {
                break serde_json::from_str::<Value>(told).unwrap();
            }
        }
    })
    .await
    .expect("the victim says in time what it has started");
    victim.kill();
    let root = std::path::PathBuf::from(told["root"].as_str().unwrap());
    eventually("end of everything", || async {
        let pids = told["pids"].as_array().unwrap().iter();
        let alive: Vec<&Value> =
            pids.filter(|pid| state(pid.as_u64().unwrap() as u32).is_some_and(|s| s != 'Z')).collect();
        if alive.is_empty() && !root.exists() { Ok(()) } else { Err(format!("{alive:?}, folder {}", root.exists())) }
    })
    .await;
}

async fn be_a_victim() {
    let (redis, paused) = (Redis::start().await, Redis::start().await);
    let own = Postgres::start_own().await;
    let db = own.database().await;
    db.person("alice").await;
    paused.pause();
    own.pause();
    let pids = [vec![redis.pid(), paused.pid()], own.pids()].concat();
    let root = redis.folder().parent().unwrap();
    println!("\nvictim: {}", json!({"pids": pids, "root": root}));
    std::future::pending::<()>().await;
}

#[test]
fn a_status_has_the_size_of_a_real_one() {
    let bob = Account { account_id: 1, username: "bob".into(), domain: Some("remote.example".into()) };
    let status = status(7, &bob).mention(&bob).picture("a heron").poll(&["yes", "no"]).tag("birds").language(None);
    let message: Value = serde_json::from_str(&update(&status)).unwrap();
    assert!((3000..6000).contains(&message.to_string().len()), "{} bytes", message.to_string().len());
    assert_eq!((&message["event"], &message["payload"]["id"]), (&json!("update"), &json!("7")));
    assert_eq!(message["payload"]["account"]["acct"], "bob@remote.example");
    assert_eq!(message["payload"]["mentions"][0]["id"], "1");
    assert_eq!(message["payload"].get("filtered"), None);
}

#[test]
fn metrics_are_found_by_their_labels_in_any_order() {
    let text = "# TYPE a gauge\na{y=\"2\",x=\"1\"} 3\na{x=\"1\"} 4\nb 5.5\n";
    assert_eq!(sample(text, "a", &[("x", "1"), ("y", "2")]), Some(3.0));
    assert_eq!(sample(text, "a", &[("x", "1")]), Some(4.0));
    assert_eq!(sample(text, "b", &[]), Some(5.5));
    assert_eq!(sample(text, "a", &[]), None);
}

#[tokio::test]
#[should_panic(expected = "not within 10ms: a miracle; seen last: nothing special")]
async fn waiting_in_vain_says_what_was_seen() {
    let deadline = Duration::from_millis(10);
    eventually_within(deadline, "a miracle", || async { Err::<(), _>("nothing special") }).await;
}

#[tokio::test]
async fn a_server_tells_of_itself_and_ends_when_asked() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = Server::start(&redis, &db).await;
    server.wait_for_log(|line| line.message() == "listening" && line.level() == "INFO").await;
    assert_eq!(server.metric("connected_clients", &[("type", "websocket")]).await, 0.0);
    assert!(server.rss_bytes() > 1 << 20 && server.open_files() > 3);
    assert!(server.terminate().await.success());
    assert!(!server.is_running());
}

#[tokio::test]
async fn a_server_can_listen_on_a_unix_socket() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = Server::options(&redis, &db).unix_socket().start().await;
    assert!(matches!(server.address(), Address::Unix(path) if path.starts_with(server.folder())));
    assert_eq!(server.get("/api/v1/streaming/health").await.text(), "OK");
}

#[tokio::test]
async fn a_server_that_cannot_start_tells_why() {
    let ended = ServerOptions::bare().env("PORT", "no port").run_to_end().await;
    assert!(!ended.status.success() && ended.text().contains("PORT"), "{}", ended.text());
}

#[tokio::test]
#[should_panic(expected = "nothing but the marker was expected")]
async fn an_event_before_the_marker_is_noticed() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let server = Server::start(&redis, &db).await;
    let mut ws = Ws::open(&server, "/?stream=public", &alice.token).await;
    redis.wait_for_subscribers("timeline:public", 1).await;
    ws.silent_until(&redis, "timeline:public").await;
    ws.silent_so_far().await;
    redis.publish("timeline:public", event("delete", "1")).await;
    ws.silent_until(&redis, "timeline:public").await;
}
