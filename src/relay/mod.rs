//! Keeps what this node receives equal to what its sessions watch: alone, by subscribing at Redis; in a cluster, by
//! taking each channel from the node that the ring names for it.

mod door;
mod edge;
mod holder;
mod holding;
mod link;
mod log;
mod message;
mod plan;
mod position;
mod presence;
mod reconcile;
mod router;
#[cfg(test)]
mod simulation;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    cluster::{ClusterConfig, ClusterName, Incarnation, discover, system_resolver},
    domain::Channel,
    hub::Hub,
    lifecycle::Lifecycle,
    telemetry::Metrics,
    upstream::{LinkState, Sink, Upstream},
};
use edge::Edge;
use holding::Holding;
pub use holding::NO_TICK;
pub use link::{Answer, ListenError, Probed, TlsError, examine, probe, who_answers};
use link::{Connector, Ends, Listener};
use log::Limits;

/// Where the nodes of a cluster publish ticks.
pub fn tick_channel(cluster: &ClusterName) -> Channel {
    Channel::named(&format!("timeline:flodgatt:{cluster}"))
}

/// Listens for other nodes for a moment; returns where.
pub async fn try_to_listen(config: &ClusterConfig) -> Result<SocketAddr, ListenError> {
    Listener::bind(&config.bind).await.map(|listener| listener.address)
}

/// How long other nodes may take to ask elsewhere when this one leaves.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// Starts the tasks of a node that is alone: they turn local interest into subscriptions and `subscribed:` keys.
pub fn start(hub: &Arc<Hub>, upstream: &Arc<Upstream>, lifecycle: &Lifecycle) {
    lifecycle.spawn_lasting("reconciler", reconcile::run(Arc::clone(hub), Arc::clone(upstream)));
    lifecycle.spawn_lasting("key renewal", presence::run(Arc::clone(hub), Arc::clone(upstream)));
}

/// A node of a cluster: what it holds for others, and what it takes for its own sessions.
pub struct Member {
    config: ClusterConfig,
    incarnation: Incarnation,
    listener: Option<Listener>,
    address: SocketAddr,
    holding: Arc<Holding>,
    metrics: Arc<Metrics>,
}

impl Member {
    /// A node that holds nothing yet, and already listens for others.
    pub async fn new(config: ClusterConfig, metrics: Arc<Metrics>) -> Result<Self, ListenError> {
        let listener = Listener::bind(&config.bind).await?;
        let ticks = tick_channel(&config.name);
        let limits = Limits { age: config.log_seconds, bytes: config.log_bytes };
        let incarnation = Incarnation::now();
        let holding = Arc::new(Holding::new(incarnation.0, limits, ticks, Arc::clone(&metrics)));
        Ok(Self { config, incarnation, address: listener.address, listener: Some(listener), holding, metrics })
    }

    /// Where it listens for other nodes, with the port that was found free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What takes the events that upstream receives.
    pub fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.holding) as Arc<dyn Sink>
    }

    /// Starts the tasks; events that own sessions watch go to `sink`. Returns whether there is any node, this one included,
    /// that can hold channels, now and later.
    pub fn start(
        &mut self,
        hub: &Arc<Hub>,
        upstream: &Arc<Upstream>,
        sink: Arc<dyn Sink>,
        lifecycle: &Lifecycle,
    ) -> Result<watch::Receiver<LinkState>, TlsError> {
        let listener = self.listener.take().expect("a member is started once");
        self.holding.attach(upstream);
        let (door, letters) = door::door();
        let mut edge = Edge::new(sink, Arc::clone(&self.metrics));
        edge.is_of(&self.config.node);
        let state = edge.state();
        lifecycle.spawn_lasting("router", router::run(Arc::clone(hub), Arc::clone(&self.holding), edge, letters));
        lifecycle.spawn_lasting(
            "own link",
            router::own_link(self.config.node.clone(), Arc::clone(&self.holding), door.clone()),
        );
        let holding = Arc::clone(&self.holding);
        lifecycle.spawn_lasting("ticks", async move { holding.tick().await });
        let holding = Arc::clone(&self.holding);
        lifecycle
            .spawn_lasting("key renewal", presence::run_for_cluster(Arc::clone(hub), Arc::clone(upstream), holding));
        link::start(Ends {
            config: self.config.clone(),
            incarnation: self.incarnation,
            listener,
            connector: Connector::Tcp,
            found: discover(self.config.peers.clone(), system_resolver(), lifecycle),
            resolve: system_resolver(),
            holding: Arc::clone(&self.holding),
            door,
            metrics: Arc::clone(&self.metrics),
            lifecycle: lifecycle.clone(),
        })?;
        Ok(state)
    }

    /// Hands over what this node holds for others; `false` if that was not done in time.
    pub async fn leave(&self) -> bool {
        tokio::time::timeout(LEAVE_LIMIT, self.holding.leave()).await.is_ok()
    }
}
