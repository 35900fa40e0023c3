//! One node with all that it runs, on a host of the simulated network.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use turmoil::net::{TcpListener, TcpStream};

use super::{super::received::Received, redis::Line};
use crate::{
    cluster::{ClusterConfig, Found, Incarnation, system_resolver},
    domain::{Channel, Framing, StreamRequest, Viewer, json, stream::FeedAccess},
    hub::{Hub, SessionHandle, Subscription},
    lifecycle::Lifecycle,
    relay::{
        door::door,
        edge::Edge,
        holding::Holding,
        link::{self, Connector, Ends, Listener, Wire},
        log::Limits,
        router,
    },
    telemetry::Metrics,
    upstream::{Bus, Embedded, Sink, Upstream},
};

pub(super) const PORT: u16 = 4_500;

/// What is the same for all nodes.
pub(super) struct Common {
    pub bus: Arc<Bus>,
    /// Where nodes may be.
    pub found: Arc<BTreeSet<Found>>,
    pub seed: u64,
    runs_ever: AtomicU64,
}

/// One run of a node, as seen from outside.
pub(super) struct Run {
    pub name: String,
    pub upstream: Arc<Upstream>,
    pub line: Arc<Line>,
    pub holding: Arc<Holding>,
    pub metrics: Arc<Metrics>,
    pub received: Arc<Received>,
    hub: Arc<Hub>,
    session: Arc<SessionHandle>,
    open: BTreeMap<usize, Arc<Subscription>>,
}

/// Where a host puts its run.
pub(super) type Place = Arc<Mutex<Option<Run>>>;

/// The channel of a number.
pub(super) fn channel(number: usize) -> String {
    format!("timeline:hashtag:c{number}")
}

impl Common {
    pub(super) fn new(found: BTreeSet<Found>, seed: u64) -> Self {
        Self { bus: Arc::default(), found: Arc::new(found), seed, runs_ever: AtomicU64::new(0) }
    }
}

impl Run {
    /// A session subscribes to a channel, if none has.
    pub(super) fn watch(&mut self, number: usize, now: Duration) {
        if self.open.contains_key(&number) {
            return;
        }
        self.received.subscribed(&Channel::named(&channel(number)), now);
        let message = format!(r#"{{"stream":"hashtag","tag":"c{number}"}}"#);
        let message = json::parse(&message).and_then(json::Value::object).expect("simulations do not fail here");
        let stream =
            StreamRequest::from_message(&message).resolve(&self.session.viewer).expect("simulations do not fail here");
        let subscription = Arc::new(Subscription { stream, access: FeedAccess::OPEN });
        self.hub.subscribe(&self.session, &subscription);
        self.open.insert(number, subscription);
    }

    /// It unsubscribes.
    pub(super) fn leave(&mut self, number: usize) {
        if let Some(subscription) = self.open.remove(&number) {
            self.hub.unsubscribe(&self.session, &subscription);
            self.received.unsubscribed(&Channel::named(&channel(number)));
        }
    }

    /// The channels that are watched now.
    pub(super) fn open(&self) -> impl Iterator<Item = usize> {
        self.open.keys().copied()
    }

    /// The bus that stands for Redis.
    pub(super) fn redis(&self) -> &Embedded {
        match &*self.upstream {
            Upstream::Embedded(embedded) => embedded,
            Upstream::Redis(_) => unreachable!("simulated nodes are on a bus"),
        }
    }
}

fn config(name: &str) -> ClusterConfig {
    ClusterConfig {
        bind: format!("0.0.0.0:{PORT}").parse().expect("simulations do not fail here"),
        peers: vec![format!("{name}:{PORT}").parse().expect("simulations do not fail here")],
        advertise: None,
        node: name.parse().expect("simulations do not fail here"),
        name: "test".parse().expect("simulations do not fail here"),
        secret: None,
        tls: None,
        log_seconds: Duration::from_secs(60),
        log_bytes: 64 * 1024 * 1024,
    }
}

async fn listener(own: SocketAddr) -> io::Result<Listener> {
    let listener = Arc::new(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?);
    let accept = move || -> BoxFuture<'static, io::Result<(Box<dyn Wire>, SocketAddr)>> {
        let listener = Arc::clone(&listener);
        Box::pin(async move {
            let (stream, peer) = listener.accept().await?;
            Ok((Box::new(stream) as Box<dyn Wire>, peer))
        })
    };
    Ok(Listener::custom(own, Box::new(accept)))
}

fn connector() -> Connector {
    Connector::Custom(Arc::new(|address| {
        Box::pin(async move { Ok(Box::new(TcpStream::connect(address).await?) as Box<dyn Wire>) })
    }))
}

/// What a host does: everything that a node of a cluster starts, but for keys and clients. It never ends by itself.
pub(super) async fn run(common: Arc<Common>, name: String, place: Place) -> turmoil::Result {
    let run = common.runs_ever.fetch_add(1, Ordering::Relaxed) + 1;
    // Clocks jump: of every two processes the later one has the lower number.
    let (incarnation, config) = (Incarnation(1_000_000 + (run ^ 1)), config(&name));
    let (metrics, lifecycle) = (Arc::new(Metrics::default()), Lifecycle::new());
    let limits = Limits { age: config.log_seconds, bytes: config.log_bytes };
    let ticks = Channel::named("timeline:flodgatt:test");
    let holding = Arc::new(Holding::new(incarnation.0, limits, ticks, Arc::clone(&metrics)));
    let line = Line::new(Arc::clone(&holding) as Arc<dyn Sink>, common.seed ^ run);
    let embedded = Embedded::start(&common.bus, Arc::clone(&line) as Arc<dyn Sink>, Arc::clone(&metrics), &lifecycle);
    let upstream = Arc::new(Upstream::Embedded(embedded));
    holding.attach(&upstream);
    let (carried, ticking) = (Arc::clone(&line), Arc::clone(&holding));
    lifecycle.spawn_lasting("line", async move { carried.carry().await });
    lifecycle.spawn_lasting("ticks", async move { ticking.tick().await });
    let (hub, received) = (Arc::new(Hub::new(Arc::clone(&metrics))), Arc::<Received>::default());
    let edge = Edge::new(Arc::clone(&received) as Arc<dyn Sink>, Arc::clone(&metrics));
    received.comes_from(edge.record());
    let (door, letters) = door();
    lifecycle.spawn_lasting("router", router::run(Arc::clone(&hub), Arc::clone(&holding), edge, letters));
    lifecycle.spawn_lasting("own link", router::own_link(config.node.clone(), Arc::clone(&holding), door.clone()));
    // Nothing else is found later.
    let (found, receiver) = watch::channel(Arc::clone(&common.found));
    link::start(Ends {
        config,
        incarnation,
        listener: listener(SocketAddr::new(turmoil::lookup(&*name), PORT)).await?,
        connector: connector(),
        found: receiver,
        resolve: system_resolver(),
        holding: Arc::clone(&holding),
        door,
        metrics: Arc::clone(&metrics),
        lifecycle: lifecycle.clone(),
    })?;
    let session = Arc::new(SessionHandle::new(Viewer::in_tests(1, "read"), Framing::Text));
    hub.join(&session);
    let open = BTreeMap::new();
    *place.lock() = Some(Run { name, upstream, line, holding, metrics, received, hub, session, open });
    lifecycle.stopping().await;
    drop(found);
    Err("an essential task has ended")?
}
