//! Where peers may be: the addresses behind `CLUSTER_PEERS`, now and later.

use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all, pending};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::PeerAddress;
use crate::lifecycle::Lifecycle;

/// How long after an answer a name is looked up again.
const PAUSE: Duration = Duration::from_secs(3);

/// After how long a look-up that has no answer yet is logged. It goes on: there is never a second one of a name beside it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many addresses of a name count, the lowest ones, so that all nodes leave out the same.
const MOST_ADDRESSES: usize = 256;

/// An address at which there may be a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Found {
    /// Where to connect.
    pub address: SocketAddr,
    /// The host as it was written, by which a certificate is checked: a name, or an address without brackets.
    pub host: Arc<str>,
}

/// How a name is looked up: a function that is given host and port and answers with all addresses.
pub type Resolve = Box<dyn Fn(PeerAddress) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Looks names up as every program on this machine does.
pub fn system_resolver() -> Resolve {
    Box::new(|peer| {
        Box::pin(async move { tokio::net::lookup_host((peer.host(), peer.port())).await.map(Iterator::collect) })
    })
}

/// Starts to look up the peers, again and again until the server stops. Addresses are there at once, those of names when
/// they have been looked up; the set changes only when what is in it does. What was found of a name stays until a later
/// look-up finds something else.
pub fn discover(
    peers: Vec<PeerAddress>,
    resolve: Resolve,
    lifecycle: &Lifecycle,
) -> watch::Receiver<Arc<BTreeSet<Found>>> {
    let (addresses, names): (Vec<_>, Vec<_>) =
        peers.into_iter().partition(|peer| peer.ip().is_some_and(|ip| is_usable(ip.to_canonical())));
    let fixed = addresses.iter().filter_map(|peer| Some(found(peer, SocketAddr::new(peer.ip()?, peer.port()))));
    let fixed: BTreeSet<Found> = fixed.collect();
    let (all, receiver) = watch::channel(Arc::new(fixed.clone()));
    let known = std::iter::once(fixed).chain(names.iter().map(|_| BTreeSet::new())).collect();
    let board = Board { known: Mutex::new(known), all };
    lifecycle.spawn_lasting("peer discovery", async move {
        join_all(names.iter().enumerate().map(|(place, peer)| look_up(peer, place + 1, &resolve, &board))).await;
        // Without names there is nothing to do.
        pending::<()>().await;
    });
    receiver
}

/// What is known of each entry, and all of it together.
struct Board {
    known: Mutex<Vec<BTreeSet<Found>>>,
    all: watch::Sender<Arc<BTreeSet<Found>>>,
}

impl Board {
    fn put(&self, place: usize, found: BTreeSet<Found>) {
        let mut known = self.known.lock();
        if known[place] != found {
            known[place] = found;
            let together: BTreeSet<Found> = known.iter().flatten().cloned().collect();
            self.all.send_if_modified(|all| {
                let differs = **all != together;
                *all = Arc::new(together);
                differs
            });
        }
    }
}

/// Why a look-up did not tell, or did not tell all.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Failed(String),
    NoAnswer,
    Nothing,
    TooMany,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "{error}; what was known before counts"),
            Self::NoAnswer => write!(f, "no answer in {} s; what was known before counts", PATIENCE.as_secs()),
            Self::Nothing => write!(f, "no address that could be a peer's; what was known before counts"),
            Self::TooMany => write!(f, "more than {MOST_ADDRESSES} addresses; the lowest count"),
        }
    }
}

/// Looks one name up for ever.
async fn look_up(peer: &PeerAddress, place: usize, resolve: &Resolve, board: &Board) {
    let mut last = None;
    loop {
        let mut answer = resolve(peer.clone());
        let answer = match tokio::time::timeout(PATIENCE, &mut answer).await {
            Ok(answer) => answer,
            Err(_) => {
                report(peer, &mut last, Some(Problem::NoAnswer));
                answer.await
            }
        };
        let (addresses, problem) = judge(peer, answer);
        report(peer, &mut last, problem);
        if !addresses.is_empty() {
            board.put(place, addresses);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What there is to an answer: what can be used of it, and what was wrong with it.
fn judge(peer: &PeerAddress, answer: io::Result<Vec<SocketAddr>>) -> (BTreeSet<Found>, Option<Problem>) {
    let addresses = match answer {
        Ok(addresses) => addresses,
        Err(error) => return (BTreeSet::new(), Some(Problem::Failed(error.to_string()))),
    };
    let mut all: BTreeSet<Found> = addresses
        .into_iter()
        .map(|address| canonical(address, peer.port()))
        .filter(|address| is_usable(address.ip()))
        .map(|address| found(peer, address))
        .collect();
    let problem = match all.len() {
        0 => Some(Problem::Nothing),
        count if count > MOST_ADDRESSES => Some(Problem::TooMany),
        _ => None,
    };
    if let Some(first_left_out) = all.iter().nth(MOST_ADDRESSES).cloned() {
        all.split_off(&first_left_out);
    }
    (all, problem)
}

fn found(peer: &PeerAddress, address: SocketAddr) -> Found {
    Found { address, host: peer.shared_host() }
}

/// IPv4 as IPv4, and of IPv6 all that it takes to get there: on a link-local address the interface too.
fn canonical(mut address: SocketAddr, port: u16) -> SocketAddr {
    let ip = address.ip().to_canonical();
    if ip != address.ip() {
        return SocketAddr::new(ip, port);
    }
    address.set_port(port);
    address
}

/// Whether there could be a peer. A connection to "all addresses" would be one to this node.
fn is_usable(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

/// Logs a problem once, until there is another one or none.
fn report(peer: &PeerAddress, last: &mut Option<Problem>, problem: Option<Problem>) {
    if *last == problem {
        return;
    }
    match &problem {
        Some(problem) => tracing::warn!(
            entry = %peer,
            variable = "CLUSTER_PEERS",
            %problem,
            retry_in_s = PAUSE.as_secs(),
            "a peer's name cannot be looked up properly; check its spelling and what DNS says, or give addresses",
        ),
        None => tracing::info!(entry = %peer, variable = "CLUSTER_PEERS", "a peer's name is looked up properly again"),
    }
    *last = problem;
}

#[cfg(test)]
mod tests;
