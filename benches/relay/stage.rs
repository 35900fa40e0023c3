//! What events go through: servers as processes of their own, and the three ways to a client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flodgatt::{
    cluster::{NodeId, Ring},
    domain::Channel,
};

use super::clients::{Clients, Ledger};
use super::figures::Run;
use super::processes::processor_time;
use super::publisher::{Pace, Publisher};
use super::support::{Address, Database, Redis, Server, eventually, process::free_port, server::sample};

/// Channels on each way, each with one client.
const CHANNELS: usize = 200;

/// Accounts, of which some are the right ones: owned by the first node with the second as standby is one in six.
const ACCOUNTS: i64 = 4_000;

/// Their ids are as long as Mastodon's.
const FIRST_ACCOUNT: i64 = 110_000_000_000_000_000;

const NODES: [&str; 3] = ["node-0", "node-1", "node-2"];

/// How long the last events may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How an event comes to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// By a node without a cluster.
    Alone,
    /// By a node of a cluster that owns the channel.
    Local,
    /// By a node of a cluster that does not hold the channel.
    Relayed,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Alone, Self::Local, Self::Relayed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Local => "local",
            Self::Relayed => "relayed",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }
}

/// A process whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Alone,
    Owner,
    Standby,
    Edge,
    Redis,
}

impl Role {
    pub const ALL: [Self; 5] = [Self::Alone, Self::Owner, Self::Standby, Self::Edge, Self::Redis];

    pub fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Owner => "owner",
            Self::Standby => "standby",
            Self::Edge => "edge",
            Self::Redis => "redis",
        }
    }
}

/// Everything that runs.
pub struct Stage {
    alone: Server,
    /// Owner, standby and edge.
    nodes: Vec<Server>,
    clients: Clients,
    publishers: BTreeMap<Way, Publisher>,
    redis: Redis,
    _database: Database,
}

impl Stage {
    /// Starts everything, and waits until each client gets what is published for it.
    pub async fn set() -> Self {
        let (redis, database) = (Redis::start().await, Database::create().await);
        create_accounts(&database).await;
        let options = || Server::options(&redis, &database).env("LOG_LEVEL", "info");
        let alone = options().start().await;
        let ports: Vec<String> = NODES.iter().map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let mut nodes = Vec::new();
        for (name, port) in NODES.iter().zip(&ports) {
            let options = options().env("CLUSTER_BIND", port).env("CLUSTER_PEERS", ports.join(","));
            nodes.push(options.env("CLUSTER_NODE_ID", *name).start().await);
        }
        for node in &nodes {
            node.wait_for_metric("flodgatt_cluster_nodes", &[], NODES.len() as f64).await;
        }
        let clients = Clients::start();
        let mut stage = Self { alone, nodes, clients, publishers: BTreeMap::new(), redis, _database: database };
        let mut accounts = accounts();
        for way in Way::ALL {
            stage.populate(way, &mut accounts).await;
        }
        stage
    }

    async fn populate(&mut self, way: Way, accounts: &mut [Vec<i64>; 2]) {
        let (server, accounts) = match way {
            Way::Alone => (&self.alone, &mut accounts[0]),
            Way::Local => (&self.nodes[0], &mut accounts[1]),
            Way::Relayed => (&self.nodes[2], &mut accounts[1]),
        };
        let accounts: Vec<i64> = accounts.drain(..CHANNELS).collect();
        let Address::Tcp(address) = *server.address() else { panic!("servers listen on TCP") };
        for account in &accounts {
            self.clients.add(address, format!("token{account}"));
        }
        let channels: Vec<String> = accounts.into_iter().map(channel).collect();
        self.await_subscribers(&channels, if way == Way::Alone { 1 } else { 2 }).await;
        let mut publisher = Publisher::new(&self.redis.unix_socket(), &channels);
        let wanted = self.clients.ledger.ready() + CHANNELS as u64;
        let ledger = &self.clients.ledger;
        let mut marked = None::<Instant>;
        while ledger.ready() < wanted {
            // An edge takes its channels a moment after they are subscribed.
            if marked.is_none_or(|at| at.elapsed() > Duration::from_millis(200)) {
                publisher.mark();
                marked = Some(Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.publishers.insert(way, publisher);
    }

    /// Each channel has exactly as many subscribers.
    async fn await_subscribers(&self, channels: &[String], wanted: usize) {
        let words: Vec<&str> = ["PUBSUB", "NUMSUB"].into_iter().chain(channels.iter().map(String::as_str)).collect();
        eventually(format!("{wanted} subscribers of each channel"), || async {
            let answer = self.redis.command(&words).await.array();
            let found: Vec<i64> = answer.iter().skip(1).step_by(2).map(super::support::resp::Reply::integer).collect();
            if found.iter().all(|count| *count == wanted as i64) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }

    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.clients.ledger)
    }

    /// For who wants to look into one of them meanwhile.
    pub fn print_processes(&self) {
        let processes = self.processes().into_iter().map(|(role, pid)| format!("{} {pid}", role.name()));
        println!("processes: {}", processes.collect::<Vec<_>>().join(", "));
    }

    fn processes(&self) -> Vec<(Role, u32)> {
        let pids = [&self.alone, &self.nodes[0], &self.nodes[1], &self.nodes[2]].map(Server::pid);
        Role::ALL.into_iter().zip(pids.into_iter().chain([self.redis.pid()])).collect()
    }

    /// Publishes for the clients of one way, and waits until they have everything.
    pub fn run(&mut self, way: Way, pace: Pace) -> Run {
        let ledger = self.ledger();
        let (delivered, before, begun) = (ledger.delivered(), self.processor_times(), Instant::now());
        let publisher = self.publishers.get_mut(&way).expect("each way has its publisher");
        let events = publisher.publish(pace, &ledger);
        self.await_events(way, delivered + events);
        let seconds = begun.elapsed().as_secs_f64();
        let after = self.processor_times();
        let spent = before.into_iter().zip(after).map(|((role, before), (_, after))| (role, after - before));
        Run { events, seconds, latencies: ledger.take_latencies(), processor: spent.collect() }
    }

    fn await_events(&self, way: Way, wanted: u64) {
        let ledger = self.ledger();
        let published = Instant::now();
        while ledger.delivered() < wanted {
            if published.elapsed() > PATIENCE || !ledger.problems().is_empty() {
                let missing = wanted - ledger.delivered();
                return ledger.complain(format!("{}: {missing} events did not come", way.name()));
            }
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Seconds of processor time that each process has had.
    fn processor_times(&self) -> Vec<(Role, f64)> {
        self.processes().into_iter().map(|(role, pid)| (role, processor_time(pid))).collect()
    }

    /// What the nodes themselves know of that went wrong.
    pub async fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for (name, node) in NODES.iter().zip(&self.nodes) {
            let page = node.get("/metrics").await.text();
            for line in page.lines() {
                let is_bad = line.starts_with("flodgatt_relay_gaps_total{")
                    || line.starts_with("flodgatt_relay_refusals_total{")
                    || line.starts_with("flodgatt_relay_links_closed_total{reason=\"too_slow\"");
                if is_bad && !line.ends_with(" 0") {
                    complaints.push(format!("{name}: {line}"));
                }
            }
            assert!(sample(&page, "flodgatt_relay_channels", &[]).is_some(), "{page}");
        }
        complaints
    }
}

fn channel(account: i64) -> String {
    format!("timeline:{account}")
}

/// Any accounts, and those whose channels are owned by the first node with the second as standby.
fn accounts() -> [Vec<i64>; 2] {
    let names = NODES.map(|name| name.parse::<NodeId>().expect("a name"));
    let ring = Ring::new(names.clone());
    let all = FIRST_ACCOUNT..FIRST_ACCOUNT + ACCOUNTS;
    let (chosen, others) = all.partition(|account| {
        let holders = ring.holders(&Channel::named(&channel(*account))).expect("there are nodes");
        *holders.owner == names[0] && holders.standby == Some(&names[1])
    });
    [others, chosen]
}

async fn create_accounts(database: &Database) {
    database
        .execute(format!(
            "WITH a AS (INSERT INTO accounts (id, username, created_at, updated_at) \
                 SELECT {FIRST_ACCOUNT} + n, 'token' || ({FIRST_ACCOUNT} + n), now(), now() \
                 FROM generate_series(0, {ACCOUNTS} - 1) AS n RETURNING id, username), \
             u AS (INSERT INTO users (email, account_id, disabled, confirmed_at, created_at, updated_at) \
                 SELECT username, id, false, now(), now(), now() FROM a RETURNING id, email) \
             INSERT INTO oauth_access_tokens (token, resource_owner_id, scopes, created_at) \
                 SELECT email, id, 'read', now() FROM u"
        ))
        .await;
}
