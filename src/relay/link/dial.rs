//! Whom to call, again and again: where discovery says that there may be nodes, and where other nodes say so.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task::{Id, JoinSet},
    time::{Instant, sleep, timeout},
};

use super::{
    call::{Answered, Caller, Failure},
    neighbours::Neighbours,
};
use crate::{
    cluster::{Found, NodeId, PeerAddress, Resolve},
    lifecycle::jittered,
    telemetry::{Reminder, relay::LinkEnd},
};

/// Addresses that are called.
const MOST_TARGETS: usize = 2_048;

/// How often addresses are looked through even if nothing seems to have changed.
const REVIEW: Duration = Duration::from_secs(5);

/// The pause after a first failure, and after many.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The pause after a refusal.
const REFUSED_PAUSE: Duration = Duration::from_secs(3);

/// The pause after this node itself has answered.
const DETOUR: Duration = Duration::from_secs(60);

/// How long nobody may answer before that is logged: nodes that start together are not there at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// A link that lasted so long was not the problem.
const GOOD_LINK: Duration = Duration::from_secs(5);

/// How long a name may be looked up.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// Where there may be a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Target {
    /// Discovery says so.
    Found(Found),
    /// Another node says so.
    Told(PeerAddress),
}

/// Whose troubles are told together.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Blame {
    /// An address that is in the configuration: its own.
    Address,
    /// Who told of it: one can tell of many.
    Teller(Option<NodeId>),
}

/// Calls nodes.
pub(super) struct Dialler {
    pub caller: Caller,
    pub found: watch::Receiver<Arc<BTreeSet<Found>>>,
    pub resolve: Resolve,
    /// What was said of which target that discovery has found.
    pub said: Mutex<Reminder>,
    /// What was said of those of which the same node has told.
    pub said_of_told: Mutex<Reminder>,
}

/// One target that is called by a task.
struct Called {
    /// Whether it is to be; not looked at while there is a link.
    wanted: watch::Sender<bool>,
    task: Id,
}

/// What a task waits for before it calls again.
enum Pause {
    For(Duration),
    /// Until there is no link to this node, or discovery finds something else.
    WhileLinked(NodeId),
    /// Until discovery finds something else, or a while has passed.
    UntilFound,
}

impl Dialler {
    /// Calls whoever is to be called, until the links are to end.
    pub(super) async fn run(self) {
        let dialler = Arc::new(self);
        let stop = dialler.caller.stop.clone();
        let (mut found, mut changes) = (dialler.found.clone(), dialler.caller.neighbours.changes());
        let mut tasks = JoinSet::new();
        let mut called: HashMap<Target, Called> = HashMap::new();
        loop {
            let targets = dialler.targets();
            for (target, one) in &called {
                let is_wanted = targets.contains_key(target);
                one.wanted.send_if_modified(|wanted| std::mem::replace(wanted, is_wanted) != is_wanted);
            }
            for (target, blame) in targets {
                called.entry(target).or_insert_with_key(|target| {
                    let (wanted, is_wanted) = watch::channel(true);
                    let calling = Arc::clone(&dialler).keep_calling(target.clone(), blame, is_wanted);
                    Called { wanted, task: tasks.spawn(calling).id() }
                });
            }
            tokio::select! {
                Ok(()) = found.changed() => {}
                Ok(()) = changes.changed() => {}
                Some(ended) = tasks.join_next_with_id() => {
                    let ended = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    called.retain(|_, one| one.task != ended);
                }
                () = sleep(REVIEW) => {}
                () = stop.cancelled() => break,
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Whom to call. A target that has its link stays until that is lost.
    fn targets(&self) -> BTreeMap<Target, Blame> {
        let found = Arc::clone(&self.found.borrow());
        let is_found = |told: &PeerAddress| {
            let address = told.ip().map(|ip| SocketAddr::new(ip.to_canonical(), told.port()));
            found.iter().any(|one| Some(one.address) == address)
        };
        let told = self.caller.neighbours.told();
        let told = told
            .into_iter()
            .filter(|told| !is_found(&told.address) || self.caller.neighbours.is_mistaken(&told.address))
            .map(|told| (Target::Told(told.address), Blame::Teller(told.teller)));
        let found = found.iter().cloned().map(|found| (Target::Found(found), Blame::Address));
        found.chain(told).take(MOST_TARGETS).collect()
    }

    async fn keep_calling(self: Arc<Self>, target: Target, blame: Blame, mut wanted: watch::Receiver<bool>) {
        let mut found = self.found.clone();
        let (mut trouble, mut attempt) = (self.trouble(&target, &blame), 0_usize);
        while *wanted.borrow() {
            found.mark_unchanged();
            let expected = self.caller.neighbours.expected_at(&target.address());
            let answered = tokio::select! {
                answered = self.dial(&target, attempt) => answered,
                () = self.caller.stop.cancelled() => return,
            };
            attempt = attempt.wrapping_add(1);
            let pause = match answered {
                Ok(answered) => {
                    let (node, began) = (answered.node.clone(), Instant::now());
                    tracing::info!(%node, version = %answered.version.escape_debug(), %target, "linked to a node");
                    let (end, problem) = self.caller.link(answered).await;
                    if self.caller.stop.is_cancelled() {
                        return;
                    }
                    trouble.link_ended(&node, end, &problem, began.elapsed() >= GOOD_LINK)
                }
                Err(Failure::Refused(problem)) => {
                    self.caller.metrics.relay.link_closed(LinkEnd::Refused);
                    trouble.refused(&problem)
                }
                Err(Failure::Unreachable(problem)) => trouble.unreachable(expected.as_ref(), &problem),
                Err(failure) => trouble.not_needed(expected.as_ref(), failure),
            };
            tokio::select! {
                () = self.rest(pause, &mut found, &mut wanted) => {}
                () = self.caller.stop.cancelled() => return,
            }
        }
    }

    fn trouble(&self, target: &Target, blame: &Blame) -> Trouble<'_> {
        let target = target.to_string();
        let (key, said, teller) = match blame {
            Blame::Address => (target.clone(), &self.said, None),
            Blame::Teller(None) => (String::new(), &self.said_of_told, None),
            Blame::Teller(Some(node)) => (node.to_string(), &self.said_of_told, Some(node.clone())),
        };
        let neighbours = &self.caller.neighbours;
        Trouble { target, key, teller, neighbours, since: None, pause: FIRST_PAUSE, said }
    }

    async fn dial(&self, target: &Target, attempt: usize) -> Result<Answered, Failure> {
        let peer = match target {
            Target::Found(found) => return self.caller.dial(found.address, Some(&found.host)).await,
            Target::Told(peer) => peer,
        };
        if let Some(ip) = peer.ip() {
            return self.caller.dial(SocketAddr::new(ip, peer.port()), None).await;
        }
        let unreachable = |problem: String| Failure::Unreachable(format!("its name cannot be looked up: {problem}"));
        let addresses = timeout(RESOLVE_WITHIN, (self.resolve)(peer.clone()))
            .await
            .map_err(|_| unreachable("no answer".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        // Each in turn.
        let address = addresses.get(attempt.checked_rem(addresses.len()).unwrap_or_default());
        let address = address.copied().ok_or_else(|| unreachable("no address".to_owned()))?;
        self.caller.dial(address, None).await
    }

    async fn rest(
        &self,
        pause: Pause,
        found: &mut watch::Receiver<Arc<BTreeSet<Found>>>,
        wanted: &mut watch::Receiver<bool>,
    ) {
        let node = match pause {
            // Afterwards it is known whether the target is wanted without its link.
            Pause::For(time) => return sleep(time).await,
            Pause::WhileLinked(node) => Some(node),
            Pause::UntilFound => None,
        };
        let mut linked = self.caller.neighbours.linked();
        let unlinked = async {
            match &node {
                Some(node) => drop(linked.wait_for(|linked| !linked.contains_key(node)).await),
                None => std::future::pending().await,
            }
        };
        let found_again = async {
            if found.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = unlinked => {}
            () = found_again => {}
            // What led back to this node may lead to another one by now.
            () = sleep(jittered(DETOUR)), if node.is_none() => {}
            _ = wanted.wait_for(|wanted| !wanted) => {}
        }
    }
}

impl Target {
    fn address(&self) -> PeerAddress {
        match self {
            Self::Found(found) => found.address.into(),
            Self::Told(peer) => peer.clone(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(found) if *found.host == *found.address.ip().to_string() => found.address.fmt(f),
            Self::Found(found) => write!(f, "{} ({})", found.address, found.host),
            Self::Told(peer) => peer.fmt(f),
        }
    }
}

/// What goes wrong at one address: said once in a while, and tried again after longer and longer pauses.
struct Trouble<'a> {
    target: String,
    /// Under which it is remembered what was said.
    key: String,
    /// Who told of it, of many perhaps.
    teller: Option<NodeId>,
    neighbours: &'a Neighbours,
    since: Option<Instant>,
    pause: Duration,
    said: &'a Mutex<Reminder>,
}

impl Trouble<'_> {
    /// It is over.
    fn end(&mut self) {
        (self.since, self.pause) = (None, FIRST_PAUSE);
    }

    fn next_pause(&mut self) -> Pause {
        let pause = self.pause;
        self.pause = (2 * pause).min(LONGEST_PAUSE);
        Pause::For(jittered(pause))
    }

    /// Whether to say what is wrong, of whatever kind: the address alone counts, or who told of it, as there may be many
    /// troubles in turn.
    fn is_due(&self) -> bool {
        self.said.lock().is_due(&self.key)
    }

    fn link_ended(&mut self, node: &NodeId, end: LinkEnd, problem: &str, was_good: bool) -> Pause {
        if was_good {
            self.end();
        }
        self.since = Some(Instant::now());
        match end {
            LinkEnd::Stopping => {
                tracing::debug!(%node, target = self.target, problem, "the link to a node that stops has ended");
            }
            // What others are in trouble with says nothing of it.
            _ if was_good || self.is_due() => {
                tracing::warn!(%node, target = self.target, problem, "link to a node lost");
            }
            _ => tracing::debug!(%node, target = self.target, problem, "link to a node lost again"),
        }
        self.next_pause()
    }

    fn refused(&mut self, problem: &str) -> Pause {
        if self.is_due() {
            tracing::warn!(
                target = self.target,
                problem,
                "no link to a node; trying again, and saying so once a minute"
            );
        }
        Pause::For(jittered(REFUSED_PAUSE))
    }

    fn unreachable(&mut self, expected: Option<&NodeId>, problem: &str) -> Pause {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PATIENCE && self.is_due() {
            let node = expected.map(tracing::field::display);
            let told = self.teller.as_ref().map(|teller| self.neighbours.told_by(teller));
            let teller = self.teller.as_ref().map(tracing::field::display);
            tracing::warn!(
                node,
                teller,
                told,
                target = self.target,
                problem,
                "no node answers; trying again, and saying so once a minute"
            );
        }
        self.next_pause()
    }

    /// Another node has answered than the one that others say is there.
    fn mistaken(&mut self, expected: &NodeId, there: &str) -> Pause {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PATIENCE && self.is_due() {
            let target = &self.target;
            tracing::warn!(target, "asked for {expected}, {there} answered (CLUSTER_ADVERTISE of {expected})");
        }
        Pause::For(jittered(REFUSED_PAUSE))
    }

    fn not_needed(&mut self, expected: Option<&NodeId>, failure: Failure) -> Pause {
        match (&failure, expected) {
            (Failure::Linked(node), Some(expected)) if node != expected => {
                return self.mistaken(expected, node.as_str());
            }
            (Failure::Yourself, Some(expected)) => return self.mistaken(expected, "this node itself"),
            _ => self.end(),
        }
        match failure {
            Failure::Linked(node) => {
                tracing::debug!(%node, target = self.target, "another address of a node that there is a link to");
                Pause::WhileLinked(node)
            }
            Failure::Yourself => {
                tracing::debug!(target = self.target, "the address of this node itself");
                Pause::UntilFound
            }
            Failure::Soon | Failure::Refused(_) | Failure::Unreachable(_) => self.next_pause(),
        }
    }
}
