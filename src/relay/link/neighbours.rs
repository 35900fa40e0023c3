//! The nodes that this one has links with, in either direction, and what they tell of others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use prost::bytes::Bytes;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    greeting::{self, Introduction, MOST_GREETED, MOST_MEMBERS, Member, Refusal},
    proto::{self, refusal::Reason},
    transport::Heard,
};
use crate::cluster::{ClusterName, Incarnation, NodeId, PeerAddress};

/// Links from other nodes that are served at a time.
const MOST_INCOMING: usize = 2 * MOST_MEMBERS;

/// Links from one process: one, and those that it found to be another address of this node.
const MOST_OF_ONE: usize = 8;

/// How long an address that nobody tells any more is tried after a link there was lost.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A node to which this one has a link, and since when that runs.
pub(in crate::relay) type Linked = BTreeMap<NodeId, Incarnation>;

#[derive(Debug)]
pub(super) struct Neighbours {
    own: Member,
    cluster: ClusterName,
    port: u16,
    state: Mutex<State>,
    linked: watch::Sender<Arc<Linked>>,
    /// Counts changes.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    links_ever: u64,
    incoming: HashMap<u64, Link>,
    outgoing: HashMap<u64, (Link, Vec<Member>)>,
    /// Addresses of lost links, and until when they are tried.
    remembered: BTreeMap<PeerAddress, Instant>,
    /// Of whom greetings told, and until when they count: greetings are not said again.
    greeted: BTreeMap<Member, Instant>,
}

/// An address where others say that there is a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hearsay {
    pub address: PeerAddress,
    /// Who says so; `None` for this node itself, which remembers it, and for who says it of itself.
    pub teller: Option<NodeId>,
}

/// A link that is there.
#[derive(Debug)]
struct Link {
    member: Member,
    /// When something was last read from it.
    heard: Heard,
    /// Ends it.
    stop: CancellationToken,
}

/// A link's entry among those that are there, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    neighbours: Arc<Neighbours>,
    number: u64,
}

/// Why a node that welcomed this one gets no link.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Clash {
    /// There is one to the same process, at another address.
    Linked,
    /// There is one to a process that seems to be gone, which now ends.
    Soon,
    /// It should not have.
    Refused(Refusal),
}

impl Neighbours {
    pub(super) fn new(own: Member, cluster: ClusterName, port: u16) -> Self {
        Self {
            own,
            cluster,
            port,
            state: Mutex::default(),
            linked: watch::Sender::default(),
            changes: watch::Sender::default(),
        }
    }

    pub(super) fn greeting(&self, proof: Bytes) -> proto::Greeting {
        let mut members = self.members();
        members.truncate(MOST_GREETED);
        proto::Greeting {
            sender: Some(greeting::member(&self.own)),
            cluster: self.cluster.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            port: self.port.into(),
            members: Some(greeting::members(&members)),
            proof,
        }
    }

    pub(super) fn welcome(&self) -> proto::Welcome {
        proto::Welcome {
            sender: Some(greeting::member(&self.own)),
            cluster: self.cluster.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            members: Some(greeting::members(&self.members())),
        }
    }

    /// Whom this node can tell others of.
    pub(super) fn members(&self) -> Vec<Member> {
        let state = self.state.lock();
        let links = state.incoming.values().chain(state.outgoing.values().map(|(link, _)| link));
        let reachable = links.map(|link| &link.member).filter(|member| member.address.is_some());
        // One entry for each node: the same of several, so that nothing seems to change.
        let one_each: BTreeMap<&NodeId, &Member> =
            reachable.collect::<BTreeSet<_>>().into_iter().map(|member| (&member.node, member)).collect();
        one_each.into_values().take(MOST_MEMBERS).cloned().collect()
    }

    /// Changes whenever links come and go, or somebody tells of others.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// To whom there are links.
    pub(super) fn linked(&self) -> watch::Receiver<Arc<Linked>> {
        self.linked.subscribe()
    }

    /// A node has greeted.
    pub(super) fn admit(
        self: &Arc<Self>,
        introduction: &Introduction,
        heard: Heard,
        stop: CancellationToken,
    ) -> Result<Seat, Refusal> {
        self.check(introduction)?;
        let member = introduction.sender.clone();
        let seat = {
            let mut state = self.state.lock();
            state.replace_silent(&member)?;
            state.make_room(&member.node);
            if state.incoming.len() >= MOST_INCOMING {
                return Err(Refusal::new(Reason::TooMany, "this node has too many links"));
            }
            state.heard_of(&introduction.members);
            let number = state.next_number();
            state.incoming.insert(number, Link { member, heard, stop });
            Seat { neighbours: Arc::clone(self), number }
        };
        self.changed();
        Ok(seat)
    }

    /// A node has welcomed this one.
    pub(super) fn claim(
        self: &Arc<Self>,
        introduction: Introduction,
        heard: Heard,
        stop: CancellationToken,
    ) -> Result<Seat, Clash> {
        self.check(&introduction).map_err(Clash::Refused)?;
        let member = introduction.sender;
        let seat = {
            let mut state = self.state.lock();
            state.replace_silent(&member).map_err(Clash::Refused)?;
            let same = state.outgoing.values().find(|(link, _)| link.member.node == member.node);
            match same {
                Some((link, _)) if link.member.incarnation == member.incarnation => return Err(Clash::Linked),
                Some(_) => return Err(Clash::Soon),
                None => {}
            }
            let number = state.next_number();
            state.outgoing.insert(number, (Link { member, heard, stop }, introduction.members));
            Seat { neighbours: Arc::clone(self), number }
        };
        self.changed();
        Ok(seat)
    }

    fn check(&self, introduction: &Introduction) -> Result<(), Refusal> {
        let other = &introduction.sender;
        if introduction.cluster != self.cluster.as_str() {
            let text = format!("the name of this cluster is {:?} (CLUSTER_NAME)", self.cluster.as_str());
            Err(Refusal::new(Reason::OtherCluster, text))
        } else if other.node != self.own.node {
            Ok(())
        } else if other.incarnation == self.own.incarnation {
            Err(Refusal::new(Reason::Yourself, "this is the same process"))
        } else {
            Err(Refusal::new(Reason::SameName, format!("two nodes go by the name {} (CLUSTER_NODE_ID)", other.node)))
        }
    }

    /// Addresses where there may be nodes to which there is no link: first those that say so themselves, then those of lost
    /// links, then what others tell, of each as much as of any other.
    pub(super) fn told(&self) -> Vec<Hearsay> {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.remembered.retain(|_, until| *until > now);
        state.greeted.retain(|_, until| *until > now);
        let linked = state.linked();
        let wanted = |member: &&Member| member.node != self.own.node && !linked.contains(&member.node);
        let tells = |member: &Member, teller: Option<&NodeId>| {
            Some(Hearsay { address: member.address.clone()?, teller: teller.cloned() })
        };
        let greeters = state.incoming.values().map(|link| &link.member).filter(wanted);
        let mut all: Vec<Hearsay> = greeters.filter_map(|member| tells(member, None)).collect();
        all.extend(state.remembered.keys().map(|address| Hearsay { address: address.clone(), teller: None }));
        let of_each = state.outgoing.values().map(|(link, told)| (&link.member.node, told.iter().filter(wanted)));
        let mut of_each: Vec<_> = of_each.collect();
        while !of_each.is_empty() {
            of_each.retain_mut(|(teller, members)| {
                let next = members.next();
                all.extend(next.and_then(|member| tells(member, Some(teller))));
                next.is_some()
            });
        }
        all.extend(state.greeted.keys().filter(wanted).filter_map(|member| tells(member, None)));
        let mut seen = HashSet::new();
        all.retain(|one| seen.insert(one.address.clone()));
        all.truncate(MOST_MEMBERS);
        all
    }

    /// How many nodes to which there is no link this one tells of.
    pub(super) fn told_by(&self, teller: &NodeId) -> usize {
        let state = self.state.lock();
        let linked = state.linked();
        let of_teller =
            state.outgoing.values().filter(|(link, _)| link.member.node == *teller).flat_map(|(_, told)| told);
        of_teller.filter(|member| member.node != self.own.node && !linked.contains(&member.node)).count()
    }

    /// Which node others say is at an address, or it says so itself, if there is no link to it.
    pub(super) fn expected_at(&self, address: &PeerAddress) -> Option<NodeId> {
        let state = self.state.lock();
        let unlinked = state.unlinked(&self.own.node);
        unlinked.into_iter().find(|member| member.address.as_ref() == Some(address)).map(|member| member.node.clone())
    }

    /// Whether an unlinked node is said to be at the address of one that there is a link to.
    pub(super) fn is_mistaken(&self, address: &PeerAddress) -> bool {
        let is_there = |(link, _): &(Link, Vec<Member>)| link.member.address.as_ref() == Some(address);
        let is_linked = self.state.lock().outgoing.values().any(is_there);
        is_linked && self.expected_at(address).is_some()
    }

    fn changed(&self) {
        let state = self.state.lock();
        let linked: Linked =
            state.outgoing.values().map(|(link, _)| (link.member.node.clone(), link.member.incarnation)).collect();
        self.linked.send_if_modified(|known| {
            let differs = **known != linked;
            *known = Arc::new(linked);
            differs
        });
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl State {
    /// Nodes that are known, and to which there is no link.
    fn unlinked(&self, own: &NodeId) -> Vec<&Member> {
        let linked = self.linked();
        let greeters = self.incoming.values().map(|link| &link.member);
        let told = self.outgoing.values().flat_map(|(_, told)| told).chain(self.greeted.keys());
        greeters.chain(told).filter(|member| member.node != *own && !linked.contains(&member.node)).collect()
    }

    fn linked(&self) -> BTreeSet<&NodeId> {
        self.outgoing.values().map(|(link, _)| &link.member.node).collect()
    }

    /// Ends the oldest link of a node that has as many as one may have: who bears its name without being it could keep it
    /// out for good otherwise.
    fn make_room(&mut self, node: &NodeId) {
        let of_same = || self.incoming.iter().filter(|(_, link)| link.member.node == *node).map(|(number, _)| *number);
        let oldest = of_same().min().filter(|_| of_same().count() >= MOST_OF_ONE);
        if let Some(link) = oldest.and_then(|number| self.incoming.remove(&number)) {
            link.stop.cancel();
        }
    }

    /// Takes note of whom a greeting tells, as far as there is room.
    fn heard_of(&mut self, members: &[Member]) {
        let until = Instant::now() + REMEMBERED;
        for member in members.iter().take(MOST_GREETED) {
            if self.greeted.len() < MOST_MEMBERS || self.greeted.contains_key(member) {
                self.greeted.insert(member.clone(), until);
            }
        }
    }

    fn next_number(&mut self) -> u64 {
        self.links_ever += 1;
        self.links_ever
    }

    /// Ends the links with an earlier process of a node, unless it gives signs of life.
    fn replace_silent(&self, member: &Member) -> Result<(), Refusal> {
        let links = || self.incoming.values().chain(self.outgoing.values().map(|(link, _)| link));
        let earlier =
            || links().filter(|link| link.member.node == member.node && link.member.incarnation != member.incarnation);
        if earlier().any(|link| !link.heard.is_silent() || link.member.incarnation > member.incarnation) {
            let text = format!("there is a link with another node of the name {} (CLUSTER_NODE_ID)", member.node);
            return Err(Refusal::new(Reason::SameName, text));
        }
        earlier().for_each(|link| link.stop.cancel());
        Ok(())
    }
}

impl Seat {
    /// The other end of this link knows these.
    pub(super) fn told(&self, members: Vec<Member>) {
        match self.neighbours.state.lock().outgoing.get_mut(&self.number) {
            Some((_, told)) if *told != members => *told = members,
            _ => return,
        }
        self.neighbours.changed();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        {
            let mut state = self.neighbours.state.lock();
            state.incoming.remove(&self.number);
            let address = state.outgoing.remove(&self.number).and_then(|(link, _)| link.member.address);
            if let Some(address) = address {
                state.remembered.insert(address, Instant::now() + REMEMBERED);
            }
        }
        self.neighbours.changed();
    }
}
