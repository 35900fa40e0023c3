//! A node in its role of serving clients: for each channel that its sessions watch it knows its position, whose events
//! count, and whom it has asked.
//!
//! Nothing here waits: what is heard goes in by calls, with the time; what is to be asked is put into the links' orders;
//! events go to the sink.

mod attempt;
mod attendance;
mod heard;
mod interest;
mod link;
mod place;
#[cfg(test)]
mod rest;
mod sessions;
mod silence;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{
    door::{LinkId, Orders},
    message::GapCause,
    plan::{self, Situation},
};
use crate::{
    cluster::{Holders, NodeId, Ring},
    domain::Channel,
    telemetry::Metrics,
    upstream::{LinkState, Sink},
};
use attendance::{Attendance, names};
use interest::{Interest, Loss};
use link::Link;
use sessions::Sessions;
use silence::Silence;

/// How long a lost link may take to be made again, once somebody can be asked at all, before it is accepted that what its
/// node held is lost. A node that was lost so long before a channel's source had no part in it.
const GRACE: Duration = Duration::from_secs(5);

/// When to look again at a channel while there is no node at all.
const UNLINKED: Duration = Duration::from_secs(1);

/// After so long no log has what a lost node missed.
const FORGOTTEN: Duration = Duration::from_secs(3_600);

/// This node's edge.
pub(super) struct Edge {
    sessions: Sessions,
    metrics: Arc<Metrics>,
    links: HashMap<NodeId, Link>,
    nodes: HashMap<LinkId, NodeId>,
    /// The nodes that can hold channels.
    ring: Ring,
    members: Vec<NodeId>,
    channels: HashMap<Channel, Interest>,
    /// Channels of which not all is as it should be yet, and when to look at them again at the latest.
    unsettled: HashMap<Channel, Instant>,
    silence: Silence,
    /// Of which other nodes it was told that they are there.
    attendance: Attendance,
    /// Nodes whose links were lost, and when, until they can hold channels again.
    lost: HashMap<NodeId, Instant>,
    /// Whether any node can hold channels, this one or another.
    state: watch::Sender<LinkState>,
}

impl Edge {
    pub(super) fn new(sink: Arc<dyn Sink>, metrics: Arc<Metrics>) -> Self {
        Self {
            sessions: Sessions::new(sink, Arc::clone(&metrics)),
            metrics,
            links: HashMap::new(),
            nodes: HashMap::new(),
            ring: Ring::new([]),
            members: Vec::new(),
            channels: HashMap::new(),
            unsettled: HashMap::new(),
            lost: HashMap::new(),
            silence: Silence::default(),
            attendance: Attendance::default(),
            state: watch::Sender::new(nobody_holds(Instant::now())),
        }
    }

    /// Whether there is any node that can hold channels, this one included, now and later.
    pub(super) fn state(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    /// The name of its own node.
    pub(super) fn is_of(&mut self, node: &NodeId) {
        self.attendance = Attendance::of(node);
    }

    /// There is a link to a node. It takes the place of another one to the same node.
    pub(super) fn opened(&mut self, id: LinkId, node: &NodeId, orders: Arc<Orders>, now: Instant) {
        if let Some(old) = self.links.get(node).map(|link| link.id) {
            self.closed(old, now);
        }
        self.nodes.insert(id, node.clone());
        self.links.insert(node.clone(), Link::new(id, orders, now));
        self.metrics.relay.nodes(self.links.len());
        self.regard(now);
    }

    /// A link is no more.
    pub(super) fn closed(&mut self, id: LinkId, now: Instant) {
        let Some(node) = self.nodes.remove(&id) else { return };
        // Whoever has left does not come back with what it had.
        if self.links.get(&node).is_some_and(|link| !link.is_leaving) {
            self.lost.insert(node.clone(), now);
        }
        self.lose(&node, Loss::Gone, now);
        self.links.remove(&node);
        self.metrics.relay.nodes(self.links.len());
        self.regard(now);
    }

    /// Sessions watch these channels from now on.
    pub(super) fn want(&mut self, channels: Vec<Channel>, now: Instant) {
        for channel in channels {
            self.channels.entry(channel.clone()).or_default();
            self.arrange(&channel, now);
        }
    }

    /// Nobody watches these channels any more.
    pub(super) fn leave(&mut self, channels: &[Channel]) {
        for channel in channels {
            self.unsettled.remove(channel);
            let Some(interest) = self.channels.remove(channel) else { continue };
            for asked in interest.asked {
                if let Some(link) = self.links.get_mut(&asked.node) {
                    link.release(asked.ask);
                }
            }
        }
    }

    /// Nothing counts any more that a node holds. What it had is remembered by its position.
    fn lose(&mut self, node: &NodeId, loss: Loss, now: Instant) {
        let Some(link) = self.links.get(node) else { return };
        let asked: Vec<Channel> = link.channels().cloned().collect();
        for channel in asked {
            let Some(interest) = self.channels.get_mut(&channel) else { continue };
            interest.lose(node, link, loss, now);
            self.unsettled.insert(channel, now);
        }
        tracing::debug!(%node, ?loss, "what a node holds does not count any more");
    }

    /// Looks anew at which nodes can hold channels, and arranges everything if they are others than before.
    fn regard(&mut self, now: Instant) {
        let links = &self.links;
        self.lost.retain(|node, _| !links.get(node).is_some_and(Link::is_able));
        let is_able = self.links.values().any(Link::is_able);
        self.state.send_if_modified(|state| {
            let differs = is_able != matches!(state, LinkState::Up);
            if differs {
                let heard = links.values().map(|link| link.heard).max();
                *state = if is_able { LinkState::Up } else { nobody_holds(heard.unwrap_or(now)) };
            }
            differs
        });
        let members = self.able_nodes();
        if members == self.members {
            return;
        }
        self.ring = Ring::new(members.iter().cloned());
        self.members = members;
        tracing::debug!(nodes = names(&self.members), "the ring changed");
        self.arrange_all(now);
    }

    /// Nodes that hold; if there is none, those that will as soon as they can.
    fn able_nodes(&self) -> Vec<NodeId> {
        let those = |able: fn(&Link) -> bool| -> Vec<NodeId> {
            let mut nodes: Vec<_> =
                self.links.iter().filter(|(_, link)| able(link)).map(|(node, _)| node.clone()).collect();
            nodes.sort();
            nodes
        };
        [|link: &Link| link.is_able() && !link.is_leaving, |link: &Link| !link.is_leaving, |_: &Link| true]
            .into_iter()
            .map(those)
            .find(|nodes| !nodes.is_empty())
            .unwrap_or_default()
    }

    fn arrange_all(&mut self, now: Instant) {
        for channel in self.channels.keys().cloned().collect::<Vec<_>>() {
            self.arrange(&channel, now);
        }
    }

    /// Does what is to be done about a channel.
    fn arrange(&mut self, channel: &Channel, now: Instant) {
        let Some(interest) = self.channels.get_mut(channel) else { return };
        let Some(Holders { owner, standby }) = self.ring.holders(channel) else {
            self.unsettled.insert(channel.clone(), now + UNLINKED);
            return;
        };
        if let Some(node) = interest.give_up_late_take(&self.links, &self.members, now) {
            self.metrics.relay.refused(GapCause::NoAnswer);
            tracing::debug!(%channel, %node, "a holder does not answer; asking another one");
        }
        let asked = interest.regarded(&self.links, &self.members, now);
        let former = interest.former(&self.links, &self.members);
        let (source, has_position) = (&interest.source, interest.has_position());
        let is_anybody_able = matches!(*self.state.borrow(), LinkState::Up);
        let may_wait = !interest.attempt.is_beginning(now)
            && (!is_anybody_able
                || may_come_back(&self.lost, interest, now) && !interest.attempt.has_waited(GRACE, now));
        let situation = Situation { owner, standby, asked: &asked, former: &former, source, has_position, may_wait };
        for step in plan::plan(&situation) {
            interest.take_step(channel, step, &mut self.links, now);
        }
        if is_anybody_able {
            interest.count_the_wait(now);
        }
        if interest.is_settled(owner, standby) {
            self.unsettled.remove(channel);
        } else {
            self.unsettled.insert(channel.clone(), interest.next_look(owner, now));
        }
    }

    /// Goes on with channels that wait for time to pass. To be called several times a second.
    pub(super) fn settle(&mut self, now: Instant) {
        let due = self.unsettled.iter().filter(|(_, when)| **when <= now);
        for channel in due.map(|(channel, _)| channel.clone()).collect::<Vec<_>>() {
            self.arrange(&channel, now);
        }
    }

    /// Looks for silent nodes, forgets old refusals, and tells of gaps. To be called each second.
    pub(super) fn review(&mut self, now: Instant) {
        self.lost.retain(|_, lost| now.duration_since(*lost) < FORGOTTEN);
        self.leave_silent(now);
        for channel in self.unsettled.keys() {
            if let Some(interest) = self.channels.get_mut(channel) {
                interest.forgive(now);
            }
        }
        self.sessions.tell();
        self.tell_who_is_there();
        let at_risk = self.channels.values().filter(|interest| interest.confirmed(&self.members) < 2).count();
        self.metrics.relay.channels(self.channels.len(), at_risk);
    }

    /// Whether there is a node that can hold channels and does not leave, or may be in a moment; this one is meant too, unless
    /// it leaves.
    pub(super) fn has_heir(&self, now: Instant) -> bool {
        let is_a_moment = |since: Instant| now.duration_since(since) < GRACE;
        let may_hold = |link: &Link| !link.is_leaving && (link.is_able() || is_a_moment(link.changed));
        self.links.values().any(may_hold) || self.lost.values().any(|lost| is_a_moment(*lost))
    }

    /// This process could not run for a while: whoever seems silent may have spoken.
    pub(super) fn has_slept(&mut self, now: Instant) {
        for link in self.links.values_mut() {
            link.heard = now;
        }
        for interest in self.channels.values_mut() {
            interest.attempt.wait_anew(now);
        }
    }
}

/// Since the last tick that came.
fn nobody_holds(since: Instant) -> LinkState {
    let reason = "no node of the cluster gets events from redis and may publish ticks there".to_owned();
    LinkState::Down { since: since.into_std(), reason }
}

/// Whether a node is still lost that may have held a channel when its source was lost, and have it in its log.
fn may_come_back(lost: &HashMap<NodeId, Instant>, interest: &Interest, now: Instant) -> bool {
    let since = interest.attempt.lost().unwrap_or(now);
    lost.values().any(|lost| since.saturating_duration_since(*lost) < GRACE)
}

#[cfg(test)]
mod tests;
