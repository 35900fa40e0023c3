//! Where scenarios take place: Redis, PostgreSQL, the servers, and the clients.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::cores::Cores;
use super::figures::Turn;
use super::generator::{Generator, Wish};
use super::processes::processor_time;
use super::publisher::{Publisher, Traffic};
use super::reading::Transport;
use super::subject::{Kind, Subject};
use super::support::{Database, Redis, Server, postgres};

/// Connections that are made at once.
const AT_ONCE: usize = 64;

/// How long events come before anything is measured.
const WARM_UP: Duration = Duration::from_millis(700);

/// The figure that says how many deliveries there were in a second.
pub const DELIVERIES: &str = "deliveries/s";

/// The figure that says how many bytes a client reads for a delivery.
pub const BYTES: &str = "bytes each";

/// The figure that says what a delivery takes of the server's processor time.
pub const SERVER_TIME: &str = "server µs each";

pub struct Stage {
    pub runtime: Runtime,
    pub cores: Cores,
    pub redis: Redis,
    pub database: Database,
    pub subjects: BTreeMap<Kind, Subject>,
    pub generator: Generator,
}

/// What the clients of a turn have, and what is published for them.
pub struct Load {
    /// Its connections; one to another server has another port.
    pub wishes: Vec<Wish>,
    /// The channels, each with the authors of its events.
    pub channels: Vec<(String, Vec<i64>)>,
    pub traffic: Vec<Traffic>,
    /// Which events do not come to which clients, see [`super::ledger::Ledger::leave_out`].
    pub left_out: Option<u64>,
    pub time: Duration,
}

/// Seconds of processor time, by what has had it.
pub struct Spent {
    pub server: f64,
    pub redis: f64,
    pub postgres: f64,
    pub clients: f64,
}

impl Stage {
    /// Starts Redis and PostgreSQL.
    pub fn set(cores: Cores) -> Self {
        cores.leave_server_alone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let (redis, database) = runtime.block_on(async { (Redis::start().await, Database::create().await) });
        runtime.block_on(be_silent(&database));
        Self { runtime, cores, redis, database, subjects: BTreeMap::new(), generator: Generator::new() }
    }

    /// Starts these servers, in place of those that run.
    pub fn start(&mut self, kinds: &[Kind], transport: Transport) {
        self.subjects.clear();
        for kind in kinds {
            let (redis, cores) = (&self.redis, &self.cores);
            let options = || Server::options(redis, &self.database);
            let subject = match kind {
                Kind::Flodgatt => self.runtime.block_on(Subject::flodgatt(options(), cores)),
                Kind::Uncompressed => {
                    let options = options().env("WS_COMPRESSION", "off");
                    self.runtime.block_on(Subject::flodgatt(options, cores))
                }
                Kind::ThreeNodes => self.runtime.block_on(Subject::three_nodes(options, cores)),
                Kind::PlainOne => Subject::plain(1, transport, redis, cores),
                Kind::PlainFour => Subject::plain(4, transport, redis, cores),
            };
            self.subjects.insert(*kind, subject);
        }
    }

    /// The servers in the order of a round: in each of them another one is first.
    pub fn order(&self, round: usize) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.subjects.keys().copied().collect();
        let count = kinds.len();
        kinds.rotate_left(round % count);
        kinds
    }

    pub fn is_alright(&self) -> bool {
        self.generator.ledger.problems().is_empty()
    }

    /// Connects all clients to a server and publishes for them; what came of it.
    pub fn turn(&mut self, kind: Kind, load: Load) -> Turn {
        let mut publisher = self.connect(load.wishes, load.channels, load.left_out);
        let mut traffic = load.traffic;
        let turn = self.measure(kind, &mut publisher, &mut traffic, load.time);
        self.leave(kind);
        turn
    }

    /// Makes all these connections and waits until they are subscribed.
    pub fn connect(
        &mut self,
        wishes: Vec<Wish>,
        channels: Vec<(String, Vec<i64>)>,
        left_out: Option<u64>,
    ) -> Publisher {
        let (count, wanted) = (channels.len(), wishes.iter().map(|wish| wish.channels.len()).sum());
        let mut publisher = self.open(wishes, channels, left_out);
        self.generator.await_subscriptions(&mut publisher, count, wanted);
        publisher
    }

    /// Makes all these connections; the publisher for their channels.
    pub fn open(&mut self, wishes: Vec<Wish>, channels: Vec<(String, Vec<i64>)>, left_out: Option<u64>) -> Publisher {
        let mut clients = vec![0; channels.len()];
        for channel in wishes.iter().flat_map(|wish| &wish.channels) {
            clients[*channel] += 1;
        }
        self.generator.ledger.begin(clients);
        if let Some(modulus) = left_out {
            self.generator.ledger.leave_out(modulus);
        }
        self.generator.open(wishes, AT_ONCE);
        Publisher::new(&self.redis.unix_socket(), channels)
    }

    /// Publishes for who is connected; what came of it.
    pub fn measure(&mut self, kind: Kind, publisher: &mut Publisher, traffic: &mut [Traffic], time: Duration) -> Turn {
        let generator = &mut self.generator;
        generator.drive(publisher, traffic, WARM_UP);
        generator.ledger.take_latencies();
        let (deliveries, published) = (generator.ledger.deliveries(), generator.ledger.published());
        let bytes = generator.bytes();
        let (before, begun) = (self.spent(kind), std::time::Instant::now());
        self.generator.drive(publisher, traffic, time);
        let (seconds, after) = (begun.elapsed().as_secs_f64(), self.spent(kind));
        let bytes = (self.generator.bytes() - bytes) as f64;
        let ledger = &mut self.generator.ledger;
        let deliveries = (ledger.deliveries() - deliveries) as f64;
        let events = (ledger.published() - published) as f64;
        let latencies = ledger.take_latencies();
        self.generator.drain();
        let each = |after: f64, before: f64| (after - before) * 1e6 / deliveries;
        vec![
            (DELIVERIES, deliveries / seconds),
            ("events/s", events / seconds),
            (BYTES, bytes / deliveries),
            (SERVER_TIME, each(after.server, before.server)),
            ("postgres µs each", each(after.postgres, before.postgres)),
            ("clients µs each", each(after.clients, before.clients)),
            ("redis µs each", each(after.redis, before.redis)),
            ("server busy", (after.server - before.server) / seconds),
            ("p50 ms", latencies.percentile_ms(50.0)),
            ("p99 ms", latencies.percentile_ms(99.0)),
            ("p99.9 ms", latencies.percentile_ms(99.9)),
        ]
    }

    /// Ends all connections, and waits until the server knows it.
    pub fn leave(&mut self, kind: Kind) {
        self.generator.close_all();
        self.runtime.block_on(self.subjects[&kind].is_empty());
    }

    /// Processor time so far.
    pub fn spent(&self, kind: Kind) -> Spent {
        let pids = self.database.postgres().pids();
        Spent {
            server: self.subjects[&kind].pids().into_iter().map(processor_time).sum(),
            redis: processor_time(self.redis.pid()),
            postgres: pids.into_iter().map(processor_time).sum(),
            clients: processor_time(std::process::id()),
        }
    }
}

/// The fixtures have PostgreSQL log each statement, which costs more than many a statement.
async fn be_silent(database: &Database) {
    use sqlx::{ConnectOptions, Connection};
    let options = database.postgres().options(postgres::SUPERUSER, postgres::SUPERUSER);
    let mut connection = options.connect().await.expect("postgres is there");
    let statement = format!("ALTER ROLE {} SET log_statement = 'none'", postgres::USER);
    let silenced = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await;
    silenced.expect("a superuser may do that");
    connection.close().await.expect("the connection can be closed");
}
