//! Links between nodes: gRPC streams over which edges order and holders tell.
//!
//! Of two nodes, each opens a link to the other. A link is a connection of its own, and ends with it: what the HTTP/2
//! library runs for it is dropped with the task that uses it. Who may link, and with which certificate:
//!
//! - With `CLUSTER_TLS_*`, both sides show a certificate. It counts if it is signed by an authority in `CLUSTER_TLS_CA` and
//!   valid for a host in this node's `CLUSTER_PEERS`: when dialling an entry, for that one; when a node was told of by
//!   another one or connects by itself, for any of them.
//! - With `CLUSTER_SECRET`, each side must show that it knows it, besides, the holder first.

mod accept;
mod asked;
mod call;
mod codec;
mod credential;
mod dial;
mod gate;
mod greeting;
mod mistrust;
mod neighbours;
mod newcomers;
mod probe;
mod proto;
mod tls;
mod transport;
mod wire;

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{door::Door, holding::Holding};
use crate::{
    cluster::{ClusterConfig, Found, Incarnation, PeerAddress, Resolve},
    lifecycle::Lifecycle,
    telemetry::Metrics,
};
use accept::Host;
use call::Caller;
use credential::Credential;
use dial::Dialler;
use greeting::Member;
use neighbours::Neighbours;
use newcomers::{Complaints, Newcomers};
pub use probe::{Answer, Probed, examine, probe, who_answers};
use tls::Tls;
pub use tls::TlsError;
#[cfg(test)]
pub use transport::Wire;
pub use transport::{Connector, ListenError, Listener};

/// What links need to know and to have.
pub(super) struct Ends {
    pub config: ClusterConfig,
    pub incarnation: Incarnation,
    /// Where other nodes connect.
    pub listener: Listener,
    pub connector: Connector,
    /// Where other nodes may be.
    pub found: watch::Receiver<Arc<BTreeSet<Found>>>,
    /// How names are looked up that other nodes go by.
    pub resolve: Resolve,
    /// What edges of other nodes use.
    pub holding: Arc<Holding>,
    /// What leads to the edge of this node.
    pub door: Door,
    pub metrics: Arc<Metrics>,
    pub lifecycle: Lifecycle,
}

/// Starts to listen and to dial, until the server stops.
pub(super) fn start(ends: Ends) -> Result<(), TlsError> {
    let neighbours = Arc::new(ends.neighbours());
    ends.start(neighbours)
}

impl Ends {
    fn neighbours(&self) -> Neighbours {
        let Self { config, incarnation, listener, .. } = self;
        let own = Member { node: config.node.clone(), incarnation: *incarnation, address: config.advertise.clone() };
        Neighbours::new(own, config.name.clone(), listener.address.port())
    }

    fn start(self, neighbours: Arc<Neighbours>) -> Result<(), TlsError> {
        let Self { config, listener, connector, found, resolve, holding, door, metrics, lifecycle, .. } = self;
        let hosts = config.peers.iter().map(PeerAddress::host);
        let tls = config.tls.as_ref().map(|files| Tls::load(files, hosts)).transpose()?.map(Arc::new);
        let credential = config.secret.as_ref().map(|secret| Arc::new(Credential::new(secret, config.name.clone())));
        let host = Host {
            neighbours: Arc::clone(&neighbours),
            holding,
            tls: tls.clone(),
            credential: credential.clone(),
            metrics: Arc::clone(&metrics),
            lifecycle: lifecycle.clone(),
            complaints: Complaints::default(),
            newcomers: Newcomers::default(),
            asked: Arc::default(),
        };
        tracing::info!(node = %config.node, address = %listener.address, "listening for other nodes");
        lifecycle.spawn_essential("listener for nodes", Arc::new(host).serve(listener));
        let stop = CancellationToken::new();
        let caller = Caller {
            neighbours,
            door,
            connector,
            tls,
            credential,
            metrics,
            complaints: Mutex::default(),
            stop: stop.clone(),
        };
        let dialling = Dialler { caller, found, resolve, said: Mutex::default(), said_of_told: Mutex::default() }.run();
        let own = lifecycle.clone();
        lifecycle.spawn_essential("dialler of nodes", async move {
            let stopping = async {
                own.stopping().await;
                stop.cancel();
            };
            tokio::join!(stopping, dialling);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
