//! The simulated hosts, the network between them, and Redis.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::{format::Writer, time::FormatTime};
use turmoil::{Builder, Sim};

use super::{
    host::{self, Common, PORT, Place, Run, channel},
    redis::Line,
};
use crate::cluster::Found;

/// How much time passes at once.
const STEP: Duration = Duration::from_millis(1);

/// The longest that a message is under way as long as nothing is wrong.
const LATENCY: Duration = Duration::from_millis(8);

/// How late an event may come when a node is silent, and has to be passed over.
const LATE: Duration = Duration::from_secs(10);

/// What may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The process dies, and its host closes its connections.
    Crash(usize),
    /// The host dies, and nobody is told.
    PowerLoss(usize),
    /// Two nodes do not hear each other.
    Parted(usize, usize),
    /// One does not hear the other.
    Deaf(usize, usize),
    /// What two nodes send each other arrives when that is over.
    Held(usize, usize),
    /// One message of a hundred gets lost between two nodes.
    Lossy(usize, usize),
    /// Messages between two nodes take up to so many milliseconds.
    Slow(usize, usize, u64),
    /// Redis closes the connection of a node and is not there for it.
    Cut(usize),
    /// Nothing comes from Redis.
    Silent(usize),
    /// The process is told to end, hands over what it can, and is killed.
    Leaving(usize),
}

pub(super) struct Cluster {
    pub random: fastrand::Rng,
    sim: Sim<'static>,
    common: Arc<Common>,
    places: Vec<Place>,
    /// Runs that are no more.
    pub buried: Vec<Run>,
    /// When the events of each channel were published.
    pub published: Vec<Vec<Duration>>,
    /// Events a second, on all channels together.
    pub pace: f64,
    /// How long events may be under way from Redis.
    pub under_way: Duration,
    /// How late an event may come.
    pub late: Duration,
    troubles: Vec<Trouble>,
    /// How often a node was told to leave.
    operators_ever: usize,
    journal: Vec<String>,
    _log: Option<DefaultGuard>,
}

/// The time of the simulation, for logs.
struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:>9.3} s", turmoil::sim_elapsed().unwrap_or_default().as_secs_f64())
    }
}

/// What nodes log, if that is wanted.
fn log() -> Option<DefaultGuard> {
    let filter = std::env::var("FLODGATT_LOG").ok()?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_timer(SimulatedTime).with_ansi(false);
    Some(tracing::subscriber::set_default(log.with_test_writer().finish()))
}

fn name(node: usize) -> String {
    format!("node-{node}")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what was done:\n{}", self.journal.join("\n"));
        }
    }
}

impl Cluster {
    /// Nodes that have just started.
    pub(super) fn new(seed: u64, nodes: usize, channels: usize) -> Self {
        // Pauses between calls are chosen with the generator of the thread.
        fastrand::seed(seed);
        let mut builder = Builder::new();
        builder.rng_seed(seed).tick_duration(STEP).simulation_duration(Duration::MAX).epoch(std::time::UNIX_EPOCH);
        let sim = builder.min_message_latency(STEP).max_message_latency(LATENCY).tcp_capacity(256).build();
        let found: BTreeSet<Found> = (0..nodes)
            .map(|node| Found { address: SocketAddr::new(sim.lookup(name(node)), PORT), host: name(node).into() })
            .collect();
        let mut cluster = Self {
            random: fastrand::Rng::with_seed(seed),
            sim,
            common: Arc::new(Common::new(found, seed)),
            places: Vec::new(),
            buried: Vec::new(),
            published: vec![Vec::new(); channels],
            pace: 0.0,
            under_way: Line::LONGEST + 5 * STEP,
            late: LATE,
            troubles: Vec::new(),
            operators_ever: 0,
            journal: Vec::new(),
            _log: log(),
        };
        for node in 0..nodes {
            let (common, place) = (Arc::clone(&cluster.common), Place::default());
            cluster.places.push(Arc::clone(&place));
            cluster.sim.host(name(node), move || host::run(Arc::clone(&common), name(node), Arc::clone(&place)));
        }
        cluster.step();
        cluster
    }

    pub(super) fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    fn note(&mut self, what: &str) {
        self.journal.push(format!("{:>9.3} s  {what}", self.now().as_secs_f64()));
    }

    /// The nodes that run.
    pub(super) fn living(&self) -> Vec<usize> {
        (0..self.places.len()).filter(|node| self.places[*node].lock().is_some()).collect()
    }

    pub(super) fn any_living(&mut self) -> usize {
        let living = self.living();
        living[self.random.usize(0..living.len())]
    }

    /// Two different nodes, whether they run or not.
    pub(super) fn any_pair(&mut self) -> (usize, usize) {
        let one = self.random.usize(0..self.places.len());
        let other = (one + self.random.usize(1..self.places.len())) % self.places.len();
        (one, other)
    }

    /// Does something with a node that runs.
    pub(super) fn with<T>(&self, node: usize, act: impl FnOnce(&mut Run) -> T) -> Option<T> {
        self.places[node].lock().as_mut().map(act)
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            self.step();
        }
    }

    pub(super) fn run_up_to_ms(&mut self, most: u64) {
        let time = Duration::from_millis(self.random.u64(0..=most));
        self.run(time);
    }

    fn step(&mut self) {
        let mut due = self.pace * STEP.as_secs_f64();
        while due > 0.0 {
            if self.random.f64() < due {
                let number = self.random.usize(0..self.published.len());
                self.publish(number);
            }
            due -= 1.0;
        }
        self.sim.step().unwrap_or_else(|error| panic!("a node has ended by itself: {error}"));
    }

    pub(super) fn publish(&mut self, number: usize) {
        let (event, now) = (self.published[number].len(), self.now());
        self.published[number].push(now);
        // Every other event has the same text as the one before, but for the number that only tests read.
        self.common.bus.publish(&channel(number), &format!("{event} {}", event / 2));
    }

    /// A session subscribes at a node.
    pub(super) fn watch(&mut self, node: usize, number: usize) {
        let now = self.now();
        self.with(node, |run| run.watch(number, now));
    }

    pub(super) fn begin(&mut self, trouble: Trouble) {
        self.note(&format!("{trouble:?}"));
        match trouble {
            Trouble::Crash(node) => self.kill(node),
            Trouble::PowerLoss(node) => {
                for other in (0..self.places.len()).filter(|other| *other != node) {
                    self.sim.partition(name(node), name(other));
                }
                self.kill(node);
            }
            Trouble::Parted(one, other) => self.sim.partition(name(one), name(other)),
            Trouble::Deaf(one, other) => self.sim.partition_oneway(name(other), name(one)),
            Trouble::Held(one, other) => self.sim.hold(name(one), name(other)),
            Trouble::Lossy(one, other) => self.sim.set_link_fail_rate(name(one), name(other), 0.01),
            Trouble::Slow(one, other, most) => {
                self.sim.set_link_max_message_latency(name(one), name(other), Duration::from_millis(most));
            }
            Trouble::Cut(node) => drop(self.with(node, |run| run.redis().cut())),
            Trouble::Silent(node) => drop(self.with(node, |run| run.line.goes_silent(true))),
            Trouble::Leaving(node) => drop(self.leave(node)),
        }
        self.troubles.push(trouble);
    }

    fn kill(&mut self, node: usize) {
        self.sim.crash(name(node));
        if let Some(run) = self.places[node].lock().take() {
            run.received.ended();
            self.buried.push(run);
        }
    }

    /// Ends one trouble.
    fn end(&mut self, trouble: Trouble) {
        self.note(&format!("no more {trouble:?}"));
        match trouble {
            Trouble::Leaving(node) if self.places[node].lock().is_some() => {
                self.kill(node);
                self.sim.bounce(name(node));
            }
            Trouble::Leaving(_) => {}
            Trouble::Crash(node) | Trouble::PowerLoss(node) => {
                for other in (0..self.places.len()).filter(|other| *other != node) {
                    self.sim.repair(name(node), name(other));
                }
                self.sim.bounce(name(node));
            }
            Trouble::Parted(one, other) | Trouble::Deaf(one, other) => self.sim.repair(name(one), name(other)),
            Trouble::Held(one, other) => self.sim.release(name(one), name(other)),
            Trouble::Lossy(one, other) => {
                self.sim.set_link_fail_rate(name(one), name(other), 0.0);
                self.sim.repair(name(one), name(other));
            }
            Trouble::Slow(one, other, _) => {
                self.sim.set_link_max_message_latency(name(one), name(other), LATENCY);
            }
            Trouble::Cut(node) => drop(self.with(node, |run| run.redis().restore())),
            Trouble::Silent(node) => drop(self.with(node, |run| run.line.goes_silent(false))),
        }
    }

    /// Ends all troubles.
    pub(super) fn mend(&mut self) {
        for trouble in std::mem::take(&mut self.troubles) {
            self.end(trouble);
        }
        self.step();
    }

    /// Ends one trouble or another.
    pub(super) fn mend_one(&mut self) {
        if !self.troubles.is_empty() {
            let trouble = self.troubles.swap_remove(self.random.usize(0..self.troubles.len()));
            self.end(trouble);
            self.step();
        }
    }

    /// Messages are lost on a node's way from Redis, and the node is told of it.
    pub(super) fn lag(&mut self, node: usize) {
        self.note(&format!("{node} lags"));
        self.with(node, |run| run.line.lags());
    }

    /// Tells a node to hand over what it holds; whether that is done.
    fn leave(&mut self, node: usize) -> Option<Arc<Mutex<bool>>> {
        let holding = self.with(node, |run| Arc::clone(&run.holding))?;
        let left = Arc::new(Mutex::new(false));
        let told = Arc::clone(&left);
        self.operators_ever += 1;
        self.sim.client(format!("operator-{}", self.operators_ever), async move {
            holding.leave().await;
            *told.lock() = true;
            Ok(())
        });
        Some(left)
    }

    /// A node hands over what it holds, and ends when that is done.
    pub(super) fn retire(&mut self, node: usize) {
        self.note(&format!("{node} leaves"));
        let Some(left) = self.leave(node) else { return };
        let limit = self.now() + Duration::from_secs(10);
        while !*left.lock() {
            assert!(self.now() < limit, "{node} has not left within 10 seconds");
            self.step();
        }
        self.begin(Trouble::Crash(node));
    }
}
