//! What is told while the server waits, in a time that passes at once.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::{
    store::{DatabaseConfig, TlsMode},
    upstream::{RedisAddress, RedisConfig, Sink},
};

/// The lines of the log of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// How long each line says that something is down, of those with these words.
    fn down_s(&self, words: &str) -> Vec<u64> {
        let text = String::from_utf8(self.0.lock().clone()).expect("logs are text");
        let lines = text.lines().filter(|line| line.contains(words));
        let down = lines.filter_map(|line| line.split("down_s=").nth(1)?.split(' ').next()?.parse().ok());
        down.collect()
    }

    fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(self.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A line at once, and one in each of the next minutes; attempts come every few seconds at most.
fn assert_once_a_minute(down_s: &[u64]) {
    assert_eq!(down_s.len(), 4, "{down_s:?}");
    for (minute, down_s) in (0..).zip(down_s) {
        assert!((minute * 60..minute * 60 + 20).contains(down_s), "{down_s}");
    }
}

/// Long enough for four lines.
const WHILE: Duration = Duration::from_secs(60 * 3 + 30);

#[tokio::test(start_paused = true)]
async fn a_server_that_waits_for_postgresql_says_so_at_once_and_then_once_a_minute() {
    let lines = Lines::default();
    let _capturing = lines.capture();
    let database = Database::new(
        &DatabaseConfig {
            host: "/nowhere".to_owned(),
            port: 5432,
            name: "mastodon".to_owned(),
            user: "mastodon".to_owned(),
            password: String::new(),
            tls: TlsMode::Off,
            root_certificate: None,
            client_certificate: None,
            settings: Vec::new(),
            pool: 1,
            variable: "DB_HOST",
        },
        Arc::default(),
    );
    let waited = tokio::time::timeout(WHILE, database_ready(&database, "mastodon")).await;
    assert!(waited.is_err(), "there is none");
    let words = "postgresql cannot be used yet; trying again \
        reason=\"the database at unix:/nowhere/.s.PGSQL.5432 cannot be reached: no such file or socket \
        (DB_HOST and DB_PORT)\"";
    assert_once_a_minute(&lines.down_s(words));
}

struct Nobody;

impl Sink for Nobody {
    fn receive(&self, _: &str, _: &str, _: Duration) {}
    fn lagged(&self, _: u64) {}
    fn connected(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_server_that_waits_for_redis_says_so_at_once_and_then_once_a_minute() {
    let lines = Lines::default();
    let _capturing = lines.capture();
    let config = RedisConfig {
        address: RedisAddress::Unix(PathBuf::from("/nowhere/redis.sock")),
        database: 0,
        username: None,
        password: None,
        publishes: false,
        tls: false,
        namespace: None,
        variable: "REDIS_URL",
    };
    let lifecycle = Lifecycle::new();
    let redis = Redis::start(config, Arc::new(Nobody), Arc::default(), &lifecycle).expect("it begins to connect");
    let upstream = Upstream::Redis(Box::new(redis));
    let waited = tokio::time::timeout(WHILE, upstream.ready()).await;
    assert!(waited.is_err(), "there is none");
    lifecycle.stop();
    let words = "redis cannot be used; trying again \
        reason=\"redis at unix:/nowhere/redis.sock cannot be reached: no such file or socket (REDIS_URL)\"";
    // For how long, these lines say by the system's clock, which did not run ahead.
    assert_eq!(lines.down_s(words).len(), 4);
}
