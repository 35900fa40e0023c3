//! PostgreSQL goes away while clients are connected.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::http::Response;
use crate::support::*;

const PUBLIC: &str = "timeline:public";
const UNAVAILABLE: &str = "The server cannot look up accounts at the moment, please try again";
const SCREENING_FAILED: (&str, &[(&str, &str)]) =
    ("flodgatt_deliveries_dropped_total", &[("cause", "screening_failed")]);

/// A server, and a viewer who watches a filtered and an unfiltered stream by a WebSocket, and the filtered one by an event
/// stream too.
struct Scene {
    redis: Redis,
    db: Database,
    server: Server,
    alice: Person,
    author: Account,
    ws: Ws,
    sse: Sse,
}

impl Scene {
    async fn on(db: Database) -> Self {
        let redis = Redis::start().await;
        let server = Server::start(&redis, &db).await;
        Self::with(redis, db, server).await
    }

    async fn with(redis: Redis, db: Database, server: Server) -> Self {
        let alice = db.person("alice").await;
        let author = db.account("bob@remote.example").await;
        let mut ws = Ws::open(&server, "/api/v1/streaming?stream=user", &alice.token).await;
        ws.subscribe("public").await;
        let sse = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
        let scene = Self { redis, db, server, alice, author, ws, sse };
        scene.redis.wait_for_subscribers(PUBLIC, 1).await;
        scene.redis.wait_for_subscribers(&scene.home(), 1).await;
        let streams = [("type", "websocket"), ("channel", "public")];
        scene.server.wait_for_metric("connected_channels", &streams, 1.0).await;
        scene
    }

    fn home(&self) -> String {
        format!("timeline:{}", self.alice.account_id)
    }

    async fn publish(&self, id: i64) {
        self.redis.publish(PUBLIC, update(&status(id, &self.author))).await;
    }

    /// The next event of both clients is this status, with its `filtered`.
    async fn expect_status(&mut self, id: i64) {
        let (ws, sse) = (self.ws.next_event().await.json(), self.sse.next_event().await.json());
        for status in [ws, sse] {
            assert_eq!((&status["id"], &status["filtered"]), (&json!(id.to_string()), &json!([])), "{status}");
        }
    }

    /// Breaks all connections of the server to PostgreSQL, none of which is in use.
    async fn break_idle_connections(&self) {
        let count = async |name| self.server.metric(name, &[]).await;
        eventually("idle connections", || async {
            let (idle, all) = (count("pg_pool_idle_connections").await, count("pg_pool_total_connections").await);
            if idle == all && all > 0.0 { Ok(()) } else { Err(format!("{idle} of {all}")) }
        })
        .await;
        self.db.drop_clients().await;
        eventually("end of the connections", || async { self.db.connections().await == 0 }).await;
    }

    async fn screening_failures(&self) -> f64 {
        self.server.metric(SCREENING_FAILED.0, SCREENING_FAILED.1).await
    }

    async fn tries_to_watch(&self) -> Response {
        self.server.get_as("/api/v1/streaming/user", &self.alice.token).await
    }

    async fn tries_to_upgrade(&self) -> Response {
        let authorization = format!("Bearer {}", self.alice.token);
        match Ws::try_open(&self.server, "/", &[("Authorization", &authorization)]).await {
            Ok(_) => panic!("it was opened"),
            Err(response) => response,
        }
    }

    /// Whoever wants to come in is asked to come again, and sessions that need to know something are told likewise.
    async fn newcomers_are_put_off(&mut self) {
        let (watching, upgrading) = tokio::join!(self.tries_to_watch(), self.tries_to_upgrade());
        assert_eq!((watching.status, watching.json()), (503, json!({"error": UNAVAILABLE})));
        assert_eq!((upgrading.status, upgrading.header("x-error-message")), (503, Some(UNAVAILABLE)));
        assert!(upgrading.body.is_empty());
        for answer in [watching, upgrading] {
            let retry: u32 = answer.header("retry-after").expect("a time to come again").parse().expect("seconds");
            assert!((1..=60).contains(&retry), "{retry}");
        }
    }
}

/// What happens while PostgreSQL is away, and afterwards.
async fn an_outage(end: impl Fn(&Postgres), begin_again: impl AsyncFn(&Postgres)) {
    let postgres = Postgres::start_own().await;
    let mut scene = Scene::on(postgres.database().await).await;
    scene.publish(1).await;
    scene.expect_status(1).await;
    let mut asking = Ws::open(&scene.server, "/", &scene.alice.token).await;
    end(&postgres);
    scene.publish(2).await;
    let published = Instant::now();
    scene.redis.publish(PUBLIC, event("delete", "77")).await;
    // Unfiltered streams flow; on the filtered one nothing passes the status that waits.
    scene.redis.publish(&scene.home(), event("delete", "78")).await;
    assert_eq!(scene.ws.next_event().await.payload, Some("78".into()));
    assert!(published.elapsed() < Duration::from_secs(5), "held up for {:?}", published.elapsed());
    assert_eq!(scene.screening_failures().await, 0.0);
    asking.send_json(json!({"type": "subscribe", "stream": "list", "list": "1"})).await;
    scene.newcomers_are_put_off().await;
    // The status was dropped for both sessions and is never seen; what came after it is.
    assert_eq!(scene.ws.next_event().await.payload, Some("77".into()));
    assert_eq!(scene.sse.next_event().await.data(), "77");
    assert_eq!(scene.screening_failures().await, 2.0);
    asking.expect_error(UNAVAILABLE, 503).await;
    begin_again(&postgres).await;
    eventually("an open door", || async {
        Sse::try_open(&scene.server, "/api/v1/streaming/user", &[("Authorization", &scene.alice.token)]).await.is_ok()
    })
    .await;
    scene.publish(3).await;
    scene.expect_status(3).await;
    assert_eq!(scene.screening_failures().await, 2.0);
    assert_eq!(scene.server.metric("connected_clients", &[("type", "websocket")]).await, 2.0);
    scene.server.wait_for_log(|line| line.message().contains("screened again")).await;
    let said = |words: &str| scene.server.logs().iter().filter(|line| line.message().contains(words)).count();
    assert_eq!((said("are dropped"), said("screened again")), (1, 1), "the beginning and the end are said once");
}

#[tokio::test]
async fn while_postgresql_is_stopped_sessions_stay_and_statuses_are_dropped_after_a_while() {
    an_outage(|postgres| postgres.stop(), async |postgres| postgres.start_again().await).await;
}

#[tokio::test]
async fn the_return_of_postgresql_is_told_once_with_how_long_it_was_away() {
    let postgres = Postgres::start_own().await;
    let scene = Scene::on(postgres.database().await).await;
    let told = || {
        let lines = scene.server.logs().into_iter().filter(|line| line.message() == "connected to postgresql");
        lines.map(|line| line.field("down_s").as_u64().expect("seconds")).collect::<Vec<_>>()
    };
    assert_eq!(told().len(), 1, "at start");
    postgres.stop();
    eventually("a closed door", || async { (scene.tries_to_watch().await.status == 503).then_some(()) }).await;
    let away = Instant::now();
    postgres.start_again().await;
    eventually("an open door", || async {
        Sse::try_open(&scene.server, "/api/v1/streaming/user", &[("Authorization", &scene.alice.token)]).await.is_ok()
    })
    .await;
    eventually("its return in the log", || async { told().len() > 1 }).await;
    let told = told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1] <= away.elapsed().as_secs() + 1, "{told:?}");
}

#[tokio::test]
async fn while_postgresql_is_silent_sessions_stay_and_statuses_are_dropped_after_a_while() {
    an_outage(|postgres| postgres.pause(), async |postgres| postgres.resume()).await;
}

#[tokio::test]
async fn statuses_wait_ten_seconds_for_postgresql_no_less_and_not_much_more() {
    let postgres = Postgres::start_own().await;
    let scene = Scene::on(postgres.database().await).await;
    postgres.stop();
    let published = Instant::now();
    scene.publish(1).await;
    scene.server.wait_for_metric(SCREENING_FAILED.0, SCREENING_FAILED.1, 2.0).await;
    let waited = published.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn what_waits_when_postgresql_is_back_in_time_is_served_in_order() {
    let postgres = Postgres::start_own().await;
    let mut scene = Scene::on(postgres.database().await).await;
    postgres.stop();
    for id in 1..=50 {
        scene.publish(id).await;
    }
    postgres.start_again().await;
    for id in 1..=50 {
        scene.expect_status(id).await;
    }
    assert_eq!(scene.screening_failures().await, 0.0);
}

#[tokio::test]
async fn a_long_queue_at_a_slow_database_is_no_outage() {
    let mut scene = Scene::on(Database::create().await).await;
    scene.publish(1).await;
    scene.expect_status(1).await;
    // Every screening takes a tenth of a second: the last of these waits for longer than a database may be silent.
    let slow = "ALTER TABLE blocks RENAME TO fast; \
        CREATE VIEW blocks AS SELECT fast.* FROM (SELECT pg_sleep(0.1) OFFSET 0) AS pause LEFT JOIN fast ON true";
    scene.db.execute(slow).await;
    let published = Instant::now();
    for id in 2..=130 {
        scene.publish(id).await;
    }
    for id in 2..=130 {
        scene.expect_status(id).await;
    }
    assert!(published.elapsed() > Duration::from_secs(11), "the database was not slow: {:?}", published.elapsed());
    assert_eq!(scene.screening_failures().await, 0.0);
}

#[tokio::test]
async fn a_crash_of_postgresql_and_its_recovery_costs_no_session_and_no_event() {
    let postgres = Postgres::start_own().await;
    let mut scene = Scene::on(postgres.database().await).await;
    scene.publish(1).await;
    scene.expect_status(1).await;
    // One process of the cluster killed makes it end all others and recover.
    let backend = scene.db.number("SELECT pg_backend_pid()::bigint").await;
    let backend = rustix::process::Pid::from_raw(i32::try_from(backend).unwrap()).unwrap();
    rustix::process::kill_process(backend, rustix::process::Signal::KILL).unwrap();
    for id in 2..=20 {
        scene.publish(id).await;
    }
    for id in 2..=20 {
        scene.expect_status(id).await;
    }
}

#[tokio::test]
async fn a_statement_whose_connection_breaks_is_made_again() {
    let mut scene = Scene::on(Database::create().await).await;
    let lock = scene.db.lock("blocks").await;
    scene.publish(1).await;
    lock.wait_for_waiting(1).await;
    scene.db.drop_clients().await;
    lock.release().await;
    scene.expect_status(1).await;
    assert_eq!(scene.screening_failures().await, 0.0);
}

#[tokio::test]
async fn connections_that_broke_while_idle_are_replaced_unnoticed() {
    let mut scene = Scene::on(Database::create().await).await;
    for id in 1..=5 {
        scene.break_idle_connections().await;
        scene.publish(id).await;
        scene.expect_status(id).await;
        scene.break_idle_connections().await;
        Sse::open(&scene.server, "/api/v1/streaming/user", &scene.alice.token).await;
    }
    let complaints: Vec<LogLine> =
        scene.server.logs().into_iter().filter(|line| matches!(line.level(), "WARN" | "ERROR")).collect();
    assert_eq!(complaints, []);
    assert_eq!(scene.screening_failures().await, 0.0);
}

#[tokio::test]
async fn connections_to_postgresql_that_fall_silent_are_replaced_in_time() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let proxy = Proxy::to(db.postgres().port()).await;
    let server = Server::options(&redis, &db).env("DB_PORT", proxy.port().to_string()).start().await;
    let mut scene = Scene::with(redis, db, server).await;
    // Several connections are in the pool.
    for id in 1..=5 {
        scene.publish(id).await;
        scene.expect_status(id).await;
    }
    proxy.forget_connections();
    scene.publish(6).await;
    scene.expect_status(6).await;
    Sse::open(&scene.server, "/api/v1/streaming/user", &scene.alice.token).await;
    assert_eq!(scene.screening_failures().await, 0.0);
}

#[tokio::test]
async fn a_statement_that_fails_at_a_reachable_server_is_an_internal_error() {
    let mut scene = Scene::on(Database::create().await).await;
    let unexpected = "An unexpected error occurred";
    scene.db.execute("ALTER TABLE oauth_access_tokens RENAME TO elsewhere").await;
    let (watching, upgrading) = tokio::join!(scene.tries_to_watch(), scene.tries_to_upgrade());
    assert_eq!((watching.status, watching.json()), (500, json!({"error": unexpected})));
    assert_eq!((upgrading.status, upgrading.header("x-error-message")), (500, Some(unexpected)));
    assert!(upgrading.body.is_empty());
    assert_eq!((watching.header("retry-after"), upgrading.header("retry-after")), (None, None));
    let line = scene.server.wait_for_log(|line| line.message() == "accounts could not be looked up").await;
    let error = line.field("error").as_str().unwrap_or_default();
    let told = "failed a statement: relation \"oauth_access_tokens\" does not exist (DB_NAME)";
    assert!(error.ends_with(told), "{error}");
    scene.db.execute("ALTER TABLE elsewhere RENAME TO oauth_access_tokens").await;
    scene.db.execute("ALTER TABLE lists RENAME TO elsewhere").await;
    scene.ws.send_json(json!({"type": "subscribe", "stream": "list", "list": "1"})).await;
    scene.ws.expect_error(unexpected, 500).await;
    scene.db.execute("ALTER TABLE elsewhere RENAME TO lists").await;
    scene.db.execute("ALTER TABLE settings RENAME TO elsewhere").await;
    scene.ws.send_json(json!({"type": "subscribe", "stream": "hashtag", "tag": "x"})).await;
    scene.ws.expect_error(unexpected, 500).await;
    scene.db.execute("ALTER TABLE elsewhere RENAME TO settings").await;
    // The connection lives, and nothing was kept.
    Sse::open(&scene.server, "/api/v1/streaming/user", &scene.alice.token).await;
    scene.publish(1).await;
    scene.expect_status(1).await;
}

#[tokio::test]
async fn a_status_that_cannot_be_screened_is_dropped_at_once_if_waiting_would_not_help() {
    for table in ["blocks", "mutes", "account_domain_blocks", "custom_filters", "custom_filter_keywords"] {
        let mut scene = Scene::on(Database::create().await).await;
        scene.db.execute(format!("ALTER TABLE {table} RENAME TO elsewhere")).await;
        let published = Instant::now();
        scene.publish(1).await;
        scene.server.wait_for_metric(SCREENING_FAILED.0, SCREENING_FAILED.1, 2.0).await;
        assert!(published.elapsed() < Duration::from_secs(8), "{table}: waited {:?}", published.elapsed());
        scene.db.execute(format!("ALTER TABLE elsewhere RENAME TO {table}")).await;
        scene.publish(2).await;
        scene.expect_status(2).await;
    }
}
