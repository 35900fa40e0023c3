//! Who answers at the addresses of peers, for the command line.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    call::{Caller, Failure},
    credential::Credential,
    greeting::Member,
    neighbours::Neighbours,
    tls::{Tls, TlsError},
    transport::Connector,
};
use crate::{
    cluster::{ClusterConfig, Incarnation, NodeId, PeerAddress, system_resolver},
    relay::door,
};

/// How long a name may be looked up.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// Addresses of one entry that are tried.
const MOST_ADDRESSES: usize = 256;

/// What there is at an entry of `CLUSTER_PEERS`.
#[derive(Debug)]
pub struct Probed {
    /// The entry.
    pub peer: PeerAddress,
    /// Who answers at each of its addresses; an error if there is none.
    pub addresses: io::Result<Vec<(SocketAddr, Answer)>>,
}

/// Who answers at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A node of this cluster.
    Node {
        /// Its name.
        node: NodeId,
        /// Its version, as it says.
        version: String,
    },
    /// Somebody who is set up differently, and why no link can be made.
    Refused(String),
    /// Nobody, and how that shows.
    Nobody(String),
}

/// Whether other nodes would believe this node's own certificate, if it has one, as far as can be told here.
pub async fn examine(config: &ClusterConfig) -> Result<(), TlsError> {
    match tls(config)? {
        Some(tls) => tls.examine().await,
        None => Ok(()),
    }
}

/// Greets who answers at an address, which may have the certificate of any peer.
pub async fn who_answers(config: &ClusterConfig, address: SocketAddr) -> Result<Answer, TlsError> {
    let dialled = caller(config, Papers::load(config)?).dial(address, None).await;
    Ok(answer(dialled.map(|answered| (answered.node, answered.version))))
}

/// What this node shows to others.
#[derive(Clone)]
struct Papers {
    tls: Option<Arc<Tls>>,
    credential: Option<Arc<Credential>>,
}

impl Papers {
    fn load(config: &ClusterConfig) -> Result<Self, TlsError> {
        let credential = config.secret.as_ref().map(|secret| Arc::new(Credential::new(secret, config.name.clone())));
        Ok(Self { tls: tls(config)?, credential })
    }
}

fn tls(config: &ClusterConfig) -> Result<Option<Arc<Tls>>, TlsError> {
    let hosts = config.peers.iter().map(PeerAddress::host);
    Ok(config.tls.as_ref().map(|files| Tls::load(files, hosts)).transpose()?.map(Arc::new))
}

/// Looks up all peers and greets those that answer, as a node that nobody needs to call. What this node's own certificate
/// is worth is looked at before.
pub async fn probe(config: &ClusterConfig) -> Result<Vec<Probed>, TlsError> {
    let papers = Papers::load(config)?;
    if let Some(tls) = &papers.tls {
        tls.examine().await?;
    }
    Ok(join_all(config.peers.iter().map(|peer| probe_peer(config, &papers, peer))).await)
}

async fn probe_peer(config: &ClusterConfig, papers: &Papers, peer: &PeerAddress) -> Probed {
    let addresses = async {
        let found = timeout(RESOLVE_WITHIN, system_resolver()(peer.clone())).await??;
        let callers = found.into_iter().take(MOST_ADDRESSES).map(|address| (caller(config, papers.clone()), address));
        Ok(join_all(callers.map(|(caller, address)| async move {
            (
                address,
                answer(caller.dial(address, Some(peer.host())).await.map(|answered| (answered.node, answered.version))),
            )
        }))
        .await)
    };
    Probed { peer: peer.clone(), addresses: addresses.await }
}

/// One that bears a name of its own, so that the node of this configuration may run meanwhile, and knows no others.
fn caller(config: &ClusterConfig, Papers { tls, credential }: Papers) -> Caller {
    let name = format!("flodgatt-check-{:016x}", fastrand::u64(..));
    let node = name.parse().expect("these are visible characters");
    let own = Member { node, incarnation: Incarnation::now(), address: None };
    Caller {
        neighbours: Arc::new(Neighbours::new(own, config.name.clone(), 0)),
        door: door::door().0,
        connector: Connector::Tcp,
        tls,
        credential,
        metrics: Arc::default(),
        complaints: Mutex::default(),
        stop: CancellationToken::new(),
    }
}

fn answer(dialled: Result<(NodeId, String), Failure>) -> Answer {
    match dialled {
        Ok((node, version)) => Answer::Node { node, version },
        Err(Failure::Refused(problem)) => Answer::Refused(problem),
        Err(Failure::Unreachable(problem)) => Answer::Nobody(problem),
        // Nobody else bears this name.
        Err(Failure::Yourself | Failure::Linked(_) | Failure::Soon) => {
            Answer::Refused("it takes this process for another one".to_owned())
        }
    }
}
