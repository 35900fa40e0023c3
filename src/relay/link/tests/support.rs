//! Nodes with real holders, whose edges are played by the tests.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split},
    sync::{mpsc, watch},
    time::timeout,
};

use super::super::{
    super::{
        door::{Letter, Orders, door},
        log::Limits,
        message::{Notice, Order, Take},
    },
    neighbours::Linked,
    *,
};
use crate::{
    cluster::NodeId,
    domain::Channel,
    upstream::{Bus, Embedded, Upstream},
};

/// Much longer than anything takes here.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a node of a test is like.
#[derive(Clone)]
pub(super) struct Plan {
    pub config: ClusterConfig,
    pub incarnation: u64,
    pub net: Option<Net>,
}

/// A node of that name, on loopback.
pub(super) fn plan(node: &str) -> Plan {
    let config = ClusterConfig {
        bind: "127.0.0.1:0".parse().unwrap(),
        peers: vec!["localhost:1".parse().unwrap()],
        advertise: None,
        node: node.parse().unwrap(),
        name: "test".parse().unwrap(),
        secret: None,
        tls: None,
        log_seconds: Duration::from_secs(60),
        log_bytes: 1 << 30,
    };
    Plan { config, incarnation: 1_000, net: None }
}

impl Plan {
    pub(super) fn on(mut self, net: &Net) -> Self {
        self.net = Some(net.clone());
        self
    }
}

/// A node that runs. It stops when it is dropped.
pub(super) struct Node {
    pub address: SocketAddr,
    pub bus: Arc<Bus>,
    pub metrics: Arc<Metrics>,
    pub lifecycle: Lifecycle,
    pub linked: watch::Receiver<Arc<Linked>>,
    found: watch::Sender<Arc<BTreeSet<Found>>>,
    letters: mpsc::Receiver<Letter>,
}

/// A link as an edge has it.
#[derive(Debug)]
pub(super) struct Link {
    pub node: NodeId,
    pub orders: Arc<Orders>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

impl Node {
    pub(super) async fn start(plan: Plan) -> Self {
        let (metrics, lifecycle, bus) = (Arc::new(Metrics::default()), Lifecycle::new(), Arc::<Bus>::default());
        let limits = Limits { age: plan.config.log_seconds, bytes: plan.config.log_bytes };
        let ticks = Channel::named("timeline:flodgatt:test");
        let holding = Arc::new(Holding::new(plan.incarnation, limits, ticks, Arc::clone(&metrics)));
        let upstream = Embedded::start(&bus, Arc::clone(&holding) as _, Arc::clone(&metrics), &lifecycle);
        holding.attach(&Arc::new(Upstream::Embedded(upstream)));
        let (own, ticking) = (lifecycle.clone(), Arc::clone(&holding));
        lifecycle.spawn("ticks", async move {
            tokio::select! {
                () = ticking.tick() => {}
                () = own.stopping() => {}
            }
        });
        let (listener, connector) = match &plan.net {
            None => (Listener::bind(&plan.config.bind).await.unwrap(), Connector::Tcp),
            Some(net) => (net.listen(), net.connector()),
        };
        let (address, (found, receiver), (door, letters)) = (listener.address, watch::channel(Arc::default()), door());
        let mut config = plan.config;
        if plan.net.is_some() {
            config.advertise = config.advertise.or_else(|| address.to_string().parse().ok());
        }
        let ends = Ends {
            incarnation: Incarnation(plan.incarnation),
            config,
            listener,
            connector,
            found: receiver,
            resolve: crate::cluster::system_resolver(),
            holding,
            door,
            metrics: Arc::clone(&metrics),
            lifecycle: lifecycle.clone(),
        };
        let neighbours = Arc::new(ends.neighbours());
        let linked = neighbours.linked();
        ends.start(neighbours).unwrap_or_else(|error| panic!("{error}"));
        Self { address, bus, metrics, lifecycle, linked, found, letters }
    }

    /// Discovery finds these, and nothing else.
    pub(super) fn finds(&self, addresses: &[SocketAddr]) {
        self.finds_as("localhost", addresses);
    }

    pub(super) fn finds_as(&self, host: &str, addresses: &[SocketAddr]) {
        let found = addresses.iter().map(|address| Found { address: *address, host: host.into() });
        self.found.send_replace(Arc::new(found.collect()));
    }

    pub(super) async fn letter(&mut self) -> Letter {
        timeout(PATIENCE, self.letters.recv()).await.expect("something is heard in time").expect("links are open")
    }

    /// The next link that opens.
    pub(super) async fn link(&mut self) -> Link {
        loop {
            if let Letter::Open { node, orders, .. } = self.letter().await {
                return Link { node, orders };
            }
        }
    }

    pub(super) async fn closed(&mut self) {
        while !matches!(self.letter().await, Letter::Closed { .. }) {}
    }

    /// What is said, without ticks, until something is.
    pub(super) async fn hears(&mut self, mut until: impl FnMut(&Notice) -> bool) -> Vec<Notice> {
        let mut heard = Vec::new();
        loop {
            let Letter::Notices { notices, .. } = self.letter().await else { panic!("the link has ended: {heard:?}") };
            heard.extend(notices.into_iter().filter(|notice| !matches!(notice, Notice::Tick(_))));
            if heard.iter().any(&mut until) {
                return heard;
            }
        }
    }

    /// Takes a channel over a link from now on.
    pub(super) async fn takes(&mut self, link: &Link, ask: u64, channel: &str) {
        let take = Take { round: 1, from: None, strict: false };
        link.orders.put(ask, Order::Take(Channel::named(channel), take));
        self.hears(|notice| matches!(notice, Notice::Held { ask: held, .. } if *held == ask)).await;
    }

    pub(super) async fn is_linked_to(&mut self, nodes: &[&str]) {
        let names = |linked: &Arc<Linked>| linked.keys().map(ToString::to_string).collect::<Vec<_>>();
        let waiting = self.linked.wait_for(|linked| names(linked) == nodes);
        timeout(PATIENCE, waiting).await.expect("links are there in time").expect("links are watched");
    }

    /// Waits until so many links were closed for a reason.
    pub(super) async fn has_closed(&self, reason: &str, count: u64) {
        let line = format!("flodgatt_relay_links_closed_total{{reason=\"{reason}\"}} {count}");
        until(|| self.metrics.page().lines().any(|one| one == line)).await;
    }
}

/// Waits for a condition that nothing tells of.
pub(super) async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it comes true in time");
}

/// What is logged on this thread.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

/// As long as it is there, logs are kept.
pub(super) struct Logging(
    #[expect(dead_code, reason = "it is dropped")] tracing::Dispatch,
    #[expect(dead_code, reason = "it is dropped")] tracing::subscriber::DefaultGuard,
);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut *self.0.lock(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(super) fn start() -> (Self, Logging) {
        // With a single subscriber in the process, what the first thread at a line of code without one thinks of it would
        // count for all threads. That thread could be another test's.
        let second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        (log, Logging(second, tracing::subscriber::set_default(subscriber)))
    }

    /// How many lines have all these parts.
    pub(super) fn count(&self, parts: &[&str]) -> usize {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        text.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    }

    /// Waits for a line that has all these parts.
    pub(super) async fn says(&self, parts: &[&str]) {
        let waiting = timeout(PATIENCE / 2, until(|| self.count(parts) > 0)).await;
        assert!(waiting.is_ok(), "no line has all of {parts:?}:\n{}", String::from_utf8_lossy(&self.0.lock()));
    }
}

/// A network within the process, which can go silent: so time can be paused.
#[derive(Clone, Default)]
pub(super) struct Net {
    listening: Arc<Mutex<HashMap<SocketAddr, mpsc::Sender<DuplexStream>>>>,
    silent: Arc<AtomicBool>,
    /// Whether each connection is.
    lost: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
    pub connections: Arc<AtomicUsize>,
}

impl Net {
    /// Whether what is sent from now on gets lost, without anybody being told.
    pub(super) fn goes_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }

    /// The same for the connections that there are, and nobody can connect to this address any more.
    pub(super) fn loses(&self, address: SocketAddr) {
        self.listening.lock().insert(address, mpsc::channel(1).0);
        self.lost.lock().iter().for_each(|one| one.store(true, Ordering::SeqCst));
    }

    fn listen(&self) -> Listener {
        let (connections, incoming) = mpsc::channel(16);
        let mut listening = self.listening.lock();
        let address = SocketAddr::from(([10, 0, 0, u8::try_from(listening.len() + 1).unwrap()], 4_500));
        listening.insert(address, connections);
        let incoming = Arc::new(tokio::sync::Mutex::new(incoming));
        let accept = move || {
            let incoming = Arc::clone(&incoming);
            let accepting = async move {
                let stream = incoming.lock().await.recv().await.ok_or(io::ErrorKind::NotConnected)?;
                Ok((Box::new(stream) as Box<dyn Wire>, SocketAddr::from(([10, 0, 9, 9], 1))))
            };
            Box::pin(accepting) as futures_util::future::BoxFuture<'static, _>
        };
        Listener::custom(address, Box::new(accept))
    }

    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<DuplexStream> {
        self.connections.fetch_add(1, Ordering::SeqCst);
        if self.silent.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let listening = self.listening.lock().get(&address).cloned().ok_or(io::ErrorKind::ConnectionRefused)?;
        let ((near, near_end), (far, far_end)) = (duplex(64 * 1024), duplex(64 * 1024));
        let lost = Arc::<AtomicBool>::default();
        self.lost.lock().push(Arc::clone(&lost));
        tokio::spawn(self.clone().forward(near_end, far_end, lost));
        listening.send(far).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }

    fn connector(&self) -> Connector {
        let net = self.clone();
        Connector::Custom(Arc::new(move |address| {
            let net = net.clone();
            Box::pin(async move { Ok(Box::new(net.connect(address).await?) as Box<dyn Wire>) })
        }))
    }

    async fn forward(self, one: DuplexStream, other: DuplexStream, lost: Arc<AtomicBool>) {
        let ((one_in, one_out), (other_in, other_out)) = (split(one), split(other));
        tokio::select! {
            () = self.copy(one_in, other_out, &lost) => {}
            () = self.copy(other_in, one_out, &lost) => {}
        }
    }

    async fn copy(&self, mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, lost: &AtomicBool) {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            let is_lost = self.silent.load(Ordering::SeqCst) || lost.load(Ordering::SeqCst);
            if !is_lost && to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    }
}
