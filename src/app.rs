//! The only place that wires the parts together.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::Instant,
};

use crate::{
    cluster::ClusterConfig,
    config::Config,
    delivery::Delivery,
    domain::CloseReason,
    http::{BoundListener, Pages, Parts, Service, TrustedProxies},
    hub::Hub,
    lifecycle::Lifecycle,
    relay::{self, Member},
    session,
    store::{Database, Postgres, Store},
    telemetry::{Metrics, PACE, Reminder},
    upstream::{Bus, Embedded, LinkState, Redis, Sink, Upstream},
};

/// How long sessions may take to end once they were told to.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How often a database that is not there at start is asked again, at most.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// A running server.
pub struct Server {
    /// Where its events come from; the demo publishes there.
    pub upstream: Arc<Upstream>,
    /// Where clients connect, with the port that was found free.
    pub address: String,
    hub: Arc<Hub>,
    member: Option<Member>,
    lifecycle: Lifecycle,
}

/// What a server consists of before it listens.
struct Assembly {
    hub: Arc<Hub>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
    delivery: Delivery,
    /// What the node is to its cluster, if it is in one.
    member: Option<Member>,
    /// Whether any node of the cluster can hold channels.
    holders: Option<watch::Receiver<LinkState>>,
}

/// How it meets clients.
struct Public {
    trusted_proxies: TrustedProxies,
    compression: bool,
    pages: Option<Pages>,
}

impl Assembly {
    fn new(store: Store, metrics: Arc<Metrics>, lifecycle: Lifecycle) -> Self {
        let hub = Arc::new(Hub::new(Arc::clone(&metrics)));
        let store = Arc::new(store);
        let delivery = Delivery::new(Arc::clone(&hub), Arc::clone(&store), Arc::clone(&metrics), &lifecycle);
        Self { hub, store, metrics, lifecycle, delivery, member: None, holders: None }
    }

    /// Makes the node one of a cluster.
    async fn join(mut self, config: &ClusterConfig) -> Result<Self, relay::ListenError> {
        self.member = Some(Member::new(config.clone(), Arc::clone(&self.metrics)).await?);
        Ok(self)
    }

    /// What takes the events that upstream receives.
    fn sink(&self) -> Arc<dyn Sink> {
        self.member.as_ref().map_or_else(|| Arc::new(self.delivery.clone()) as Arc<dyn Sink>, Member::sink)
    }

    /// Starts to take what sessions watch.
    fn begin(&mut self, upstream: &Arc<Upstream>) -> Result<(), relay::TlsError> {
        let Some(member) = &mut self.member else {
            relay::start(&self.hub, upstream, &self.lifecycle);
            return Ok(());
        };
        self.holders = Some(member.start(&self.hub, upstream, Arc::new(self.delivery.clone()), &self.lifecycle)?);
        Ok(())
    }

    /// Waits until there is a node that can hold channels: this one can, as a rule, as soon as it has Redis.
    async fn held(&self) {
        let Some(mut holders) = self.holders.clone() else { return };
        let since = Instant::now();
        while tokio::time::timeout(PACE, holders.wait_for(|state| matches!(state, LinkState::Up))).await.is_err() {
            let waited_s = since.elapsed().as_secs();
            let reason = holders.borrow().down_for_longer_than(Duration::ZERO).map(str::to_owned);
            tracing::warn!(reason, waited_s, "no events can be had from the cluster yet");
        }
    }

    fn listen(self, upstream: Arc<Upstream>, listener: BoundListener, public: Public) -> Server {
        self.lifecycle.spawn_lasting("news of slow clients", session::tell_of_slow_clients());
        let service = Service::new(Parts {
            hub: Arc::clone(&self.hub),
            store: self.store,
            metrics: self.metrics,
            upstream: upstream.state(),
            holders: self.holders,
            lifecycle: self.lifecycle.clone(),
            trusted_proxies: public.trusted_proxies,
            compression: public.compression,
            pages: public.pages,
        });
        let address = listener.address();
        tracing::info!(address, version = env!("CARGO_PKG_VERSION"), "listening");
        self.lifecycle.spawn_essential("listener", listener.serve(service, self.lifecycle.clone()));
        Server { upstream, address, hub: self.hub, member: self.member, lifecycle: self.lifecycle }
    }
}

/// Starts a server for Mastodon: waits until Redis and PostgreSQL are there, then listens. `None` if it was told to
/// stop before that.
pub async fn start(config: &Config, stop: &mut StopSignal) -> anyhow::Result<Option<Server>> {
    // For a moment, before other nodes hear of this one: it must not join them and die of a taken port. Clients are refused
    // until it can serve them, so that a proxy sends them elsewhere.
    drop(config.listen.bind().await?);
    let lifecycle = Lifecycle::new();
    let metrics = Arc::new(Metrics::default());
    let database = Database::new(&config.database, Arc::clone(&metrics));
    let store = Store::Postgres(Postgres::new(database.clone(), &lifecycle));
    let mut assembly = Assembly::new(store, Arc::clone(&metrics), lifecycle.clone());
    if let Some(cluster) = &config.cluster {
        assembly = assembly.join(cluster).await.inspect_err(|_| lifecycle.stop())?;
    }
    // Whoever gives up here stops the tasks first: they would miss what they serve.
    let redis =
        Redis::start(config.redis.clone(), assembly.sink(), metrics, &lifecycle).inspect_err(|_| lifecycle.stop())?;
    let upstream = Arc::new(Upstream::Redis(Box::new(redis)));
    assembly.begin(&upstream).inspect_err(|_| lifecycle.stop())?;
    let ready = async {
        tokio::join!(upstream.ready(), assembly.held(), database_ready(&database, &config.database.user));
    };
    tokio::select! {
        () = stop.received() => {
            lifecycle.stop();
            return Ok(None);
        }
        () = lifecycle.stopping() => anyhow::bail!("a part that the server needs has failed"),
        () = ready => {}
    }
    let listener = config.listen.bind().await.inspect_err(|_| lifecycle.stop())?;
    let (trusted_proxies, compression) = (config.trusted_proxies.clone(), config.compression);
    Ok(Some(assembly.listen(upstream, listener, Public { trusted_proxies, compression, pages: None })))
}

/// Starts a server whose events come from this process: alone, or as a node of a cluster.
pub async fn start_embedded(
    listener: BoundListener,
    accounts: crate::store::Embedded,
    bus: &Arc<Bus>,
    pages: Pages,
    cluster: Option<&ClusterConfig>,
) -> anyhow::Result<Server> {
    let lifecycle = Lifecycle::new();
    let mut assembly = Assembly::new(Store::Embedded(accounts), Arc::default(), lifecycle.clone());
    if let Some(cluster) = cluster {
        assembly = assembly.join(cluster).await.inspect_err(|_| lifecycle.stop())?;
    }
    let embedded = Embedded::start(bus, assembly.sink(), Arc::clone(&assembly.metrics), &lifecycle);
    let upstream = Arc::new(Upstream::Embedded(embedded));
    assembly.begin(&upstream).inspect_err(|_| lifecycle.stop())?;
    let public = Public { trusted_proxies: TrustedProxies::default(), compression: true, pages: Some(pages) };
    Ok(assembly.listen(upstream, listener, public))
}

/// Waits until the database takes connections. What it waits for is told at once, and then once a minute.
async fn database_ready(database: &Database, role: &str) {
    let (since, mut reminder) = (Instant::now(), Reminder::default());
    let mut backoff = Duration::from_millis(250);
    loop {
        let probed = database.probe().await;
        let down_s = since.elapsed().as_secs();
        let reason = match probed {
            Ok(()) => {
                tracing::info!(address = database.address(), down_s, "connected to postgresql");
                return warn_of_missing_columns(database, role).await;
            }
            Err(error) => error.to_string(),
        };
        if reminder.is_due(&reason) {
            let retry_in_s = backoff.as_secs_f64();
            tracing::warn!(reason, down_s, retry_in_s, "postgresql cannot be used yet; trying again");
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}

/// A server without some table still serves what does not need it; its operator should know before its users do.
async fn warn_of_missing_columns(database: &Database, role: &str) {
    let missing = match database.missing_columns().await {
        Ok(missing) => missing,
        Err(error) => return tracing::warn!(%error, "nobody knows whether every table and column is there"),
    };
    if !(missing.tables.is_empty() && missing.columns.is_empty()) {
        let (tables, columns) = (missing.tables.join(", "), missing.columns.join(", "));
        tracing::warn!(
            tables,
            columns,
            "this database lacks tables or columns of Mastodon; what needs them will fail (see flodgatt check)"
        );
    }
    if !missing.unreadable.is_empty() {
        let (tables, remedy) = (missing.unreadable.join(", "), missing.grant(role));
        tracing::warn!(tables, role, remedy, "this role may not read tables; what needs them will fail");
    }
}

impl Server {
    /// Where to spawn what runs beside the server; it must end when the server is [stopping](Lifecycle::stopping).
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Serves until it is told to stop, or a part that it needs has failed; then ends all sessions. Told to stop a second
    /// time, it ends at once.
    pub async fn serve_until(self, stop: &mut StopSignal) -> anyhow::Result<()> {
        tokio::select! {
            () = stop.received() => self.hand_over(stop).await?,
            () = self.lifecycle.stopping() => {}
        }
        tokio::select! {
            () = self.end() => {}
            () = stop.received() => anyhow::bail!("told to stop twice; sessions were cut off"),
        }
        anyhow::ensure!(!self.lifecycle.has_failed(), "a part that the server needs has failed");
        tracing::info!("stopped");
        Ok(())
    }
}

impl Server {
    /// Ends all sessions and tasks; what takes too long is left as it is.
    pub async fn end(&self) {
        self.lifecycle.stop();
        self.hub.close_all(CloseReason::Restart);
        if !self.lifecycle.ended(STOP_LIMIT).await {
            tracing::warn!(tasks = self.lifecycle.tasks(), "not everything ended in time; what was left is cut off");
        }
    }

    /// Where it listens for other nodes; `None` if it is alone.
    pub fn relay_address(&self) -> Option<SocketAddr> {
        self.member.as_ref().map(Member::address)
    }

    /// How many clients are connected.
    pub fn sessions(&self) -> usize {
        self.hub.sessions()
    }

    /// Lets other nodes take over what this one holds for them, before it [ends](Self::end).
    pub async fn leave(&self) {
        if let Some(member) = &self.member
            && !member.leave().await
        {
            tracing::warn!("other nodes did not take over everything in time");
        }
    }

    /// Leaves the cluster, unless it is told to stop a second time.
    async fn hand_over(&self, stop: &mut StopSignal) -> anyhow::Result<()> {
        tracing::info!(sessions = self.hub.sessions(), "stopping");
        self.lifecycle.retire();
        tokio::select! {
            () = self.leave() => {}
            () = stop.received() => {
                // The tasks are dropped as they stand.
                self.lifecycle.abandon();
                anyhow::bail!("told to stop twice; other nodes must do without a hand-over");
            }
            () = self.lifecycle.stopping() => {}
        }
        Ok(())
    }
}

/// How the process is told to stop: SIGTERM, or SIGINT from a terminal.
pub struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Signals do not end the process by themselves any more.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Waits for the next signal.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Every connection takes a file descriptor: allows as many as the system lets this process have.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, limit = limit.current, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests;
