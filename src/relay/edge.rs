//! A node in its role of serving clients: for each channel that its sessions watch it knows its position, whose events
//! count, and whom it has asked.
//!
//! Nothing here waits: what is heard goes in by calls, with the time; what is to be asked is put into the links' orders;
//! events go to the sink.

mod interest;
mod link;
#[cfg(test)]
mod rest;
mod unsettled;

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    door::{LinkId, Orders},
    message::{GapCause, Notice},
    plan::{self, Situation, Source},
    position::{Position, Tick, check},
};
use crate::{
    cluster::{Holders, NodeId, Ring},
    domain::{Channel, ChannelKind},
    telemetry::Metrics,
    upstream::Sink,
};
use interest::{Interest, Loss};
use link::Link;
use unsettled::Unsettled;

/// A link over which no tick has come for so long is dead for channels that others hold.
const SILENCE: Duration = Duration::from_secs(3);

/// How long a lost link may take to be made again before it is accepted that what its node held is lost.
const GRACE: Duration = Duration::from_secs(5);

/// This node's edge.
pub(super) struct Edge {
    sink: Arc<dyn Sink>,
    metrics: Arc<Metrics>,
    links: HashMap<NodeId, Link>,
    nodes: HashMap<LinkId, NodeId>,
    /// The nodes that can hold channels.
    ring: Ring,
    members: Vec<NodeId>,
    channels: HashMap<Channel, Interest>,
    /// Channels of which not all is as it should be yet.
    unsettled: Unsettled,
    /// When a link was lost last.
    lost: Option<Instant>,
    /// Whether other nodes may be able to hold channels than before.
    is_stirred: bool,
}

impl Edge {
    pub(super) fn new(sink: Arc<dyn Sink>, metrics: Arc<Metrics>) -> Self {
        Self {
            sink,
            metrics,
            links: HashMap::new(),
            nodes: HashMap::new(),
            ring: Ring::new([]),
            members: Vec::new(),
            channels: HashMap::new(),
            unsettled: Unsettled::default(),
            lost: None,
            is_stirred: false,
        }
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
        self.lost = Some(now);
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

    /// A node says something.
    pub(super) fn heard(&mut self, id: LinkId, notices: Vec<Notice>, now: Instant) {
        let Some(node) = self.nodes.get(&id).cloned() else { return };
        for notice in notices {
            self.hear(&node, notice, now);
        }
        if std::mem::take(&mut self.is_stirred) {
            self.regard(now);
        }
    }

    fn hear(&mut self, node: &NodeId, notice: Notice, now: Instant) {
        match notice {
            Notice::Tick(tick) => self.ticked(node, tick, now),
            Notice::Event { ask, message } => self.event(node, ask, &message),
            Notice::Held { ask, since } => self.held(node, ask, since, now),
            Notice::Replay { ask, round, tick, count, age, message } => {
                let position = Position { tick, count, check: Some(check(&message)) };
                self.replayed(node, ask, round, (position, now), age, &message);
            }
            Notice::Taken { ask, round, count } => self.taken(node, ask, round, count, now),
            Notice::Gap { ask, round, cause } => self.gap(node, ask, round, cause, now),
            Notice::Refused { ask, round, cause } => self.refused(node, ask, round, cause, now),
            Notice::Broken => {
                self.set_up(node, false);
                self.lose(node, Loss::Broken, now);
                self.is_stirred = true;
            }
            Notice::Up => {
                self.set_up(node, true);
                self.is_able_again(node, now);
            }
            Notice::Leaving => {
                if let Some(link) = self.links.get_mut(node) {
                    link.is_leaving = true;
                }
                self.is_stirred = true;
            }
        }
    }

    fn set_up(&mut self, node: &NodeId, is_up: bool) {
        if let Some(link) = self.links.get_mut(node) {
            link.is_up = is_up;
        }
    }

    fn ticked(&mut self, node: &NodeId, tick: Tick, now: Instant) {
        let Some(link) = self.links.get_mut(node) else { return };
        link.ticked(tick, now);
        if std::mem::take(&mut link.is_silent) {
            self.is_able_again(node, now);
        }
    }

    /// A node can hold channels again: only now it can answer what it was asked meanwhile.
    fn is_able_again(&mut self, node: &NodeId, now: Instant) {
        self.is_stirred = true;
        let Some(link) = self.links.get(node) else { return };
        for channel in link.channels() {
            if let Some(interest) = self.channels.get_mut(channel) {
                interest.give_time(now);
            }
        }
    }

    /// The channel of an ask, if this node's events count for it.
    fn event(&mut self, node: &NodeId, ask: u64, message: &str) {
        let Some(link) = self.links.get(node) else { return };
        let Some(channel) = link.channel(ask) else { return };
        let Some(interest) = self.channels.get_mut(channel) else { return };
        if interest.is_live_at(node) {
            interest.count_one(link, check(message));
            deliver(&*self.sink, channel, message, Duration::ZERO);
            self.metrics.relay.taken(1);
        }
    }

    fn replayed(
        &mut self,
        node: &NodeId,
        ask: u64,
        round: u32,
        (position, now): (Position, Instant),
        age: Duration,
        message: &str,
    ) {
        let Some(link) = self.links.get(node) else { return };
        let Some(channel) = link.channel(ask) else { return };
        let Some(interest) = self.channels.get_mut(channel) else { return };
        if interest.is_taking(node, round) {
            interest.advance(position, now);
            deliver(&*self.sink, channel, message, age);
            self.metrics.relay.taken(1);
        }
    }

    fn held(&mut self, node: &NodeId, ask: u64, since: Tick, now: Instant) {
        let Some(channel) = self.links.get(node).and_then(|link| link.channel(ask)).cloned() else { return };
        if let Some(asked) = self.channels.get_mut(&channel).and_then(|interest| interest.asked_of(node)) {
            asked.confirmed = Some((since, now));
            asked.refused = None;
            self.arrange(&channel, now);
        }
    }

    fn taken(&mut self, node: &NodeId, ask: u64, round: u32, count: u32, now: Instant) {
        let Some(link) = self.links.get(node) else { return };
        let Some(channel) = link.channel(ask).cloned() else { return };
        let Some(interest) = self.channels.get_mut(&channel).filter(|interest| interest.is_taking(node, round)) else {
            return;
        };
        if interest.has_lost_its_beginning() {
            let cause = (!interest.is_beginning(now)).then_some(GapCause::SourceLost);
            missed(&channel, node, cause, &self.metrics, &*self.sink);
        }
        interest.live_from(node, link, count, now);
        self.arrange(&channel, now);
    }

    fn refused(&mut self, node: &NodeId, ask: u64, round: u32, cause: GapCause, now: Instant) {
        let Some(channel) = self.links.get(node).and_then(|link| link.channel(ask)).cloned() else { return };
        let Some(interest) = self.channels.get_mut(&channel).filter(|interest| interest.is_taking(node, round)) else {
            return;
        };
        interest.source = Source::None;
        if let Some(asked) = interest.asked_of(node) {
            asked.refused = Some(cause);
            asked.relays = false;
        }
        self.metrics.relay.refused(cause);
        tracing::debug!(%channel, %node, cause = cause.label(), "a holder lacks events; asking another one");
        self.arrange(&channel, now);
    }

    fn gap(&mut self, node: &NodeId, ask: u64, round: u32, cause: GapCause, now: Instant) {
        let Some(channel) = self.links.get(node).and_then(|link| link.channel(ask)) else { return };
        let Some(interest) = self.channels.get_mut(channel).filter(|interest| interest.is_taking(node, round)) else {
            return;
        };
        interest.forget_check();
        let cause = (!interest.is_beginning(now)).then_some(cause);
        missed(channel, node, cause, &self.metrics, &*self.sink);
    }

    /// Nothing counts any more that a node holds. What it had is remembered by its position.
    fn lose(&mut self, node: &NodeId, loss: Loss, now: Instant) {
        let Some(link) = self.links.get(node) else { return };
        let asked: Vec<Channel> = link.channels().cloned().collect();
        for channel in asked {
            let Some(interest) = self.channels.get_mut(&channel) else { continue };
            interest.lose(node, link, loss, now);
            self.unsettled.put(channel, now);
        }
        tracing::debug!(%node, ?loss, "what a node holds does not count any more");
    }

    /// Looks anew at which nodes can hold channels, and arranges everything if they are others than before.
    fn regard(&mut self, now: Instant) {
        let members = self.able_nodes();
        if members == self.members {
            return;
        }
        self.ring = Ring::new(members.iter().cloned());
        self.members = members;
        tracing::info!(nodes = ?self.members, "the ring changed");
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
        // Everything is arranged when there is a node.
        let Some(Holders { owner, standby }) = self.ring.holders(channel) else { return };
        let asked = interest.regarded(&self.links, &self.members, now);
        let (source, has_position) = (&interest.source, interest.has_position());
        let was_lost = self.lost.is_some_and(|lost| now.duration_since(lost) < GRACE);
        // A link that is lost again and again is no reason to wait for ever.
        let may_wait = was_lost && !interest.is_beginning(now) && !interest.is_lost_for(2 * GRACE, now);
        let situation = Situation { owner, standby, asked: &asked, source, has_position, may_wait };
        for step in plan::plan(&situation) {
            interest.take_step(channel, step, &mut self.links, now);
        }
        if interest.is_settled(owner, standby) {
            self.unsettled.remove(channel);
        } else {
            self.unsettled.put(channel.clone(), interest.due(now));
        }
    }

    /// Goes on with channels that wait for time to pass. To be called several times a second.
    pub(super) fn settle(&mut self, now: Instant) {
        for channel in self.unsettled.due(now) {
            self.arrange(&channel, now);
        }
    }

    /// Looks for silent nodes, and forgets old refusals. To be called each second.
    pub(super) fn review(&mut self, now: Instant) {
        let late = |link: &Link| !link.is_silent && now.duration_since(link.heard) > SILENCE;
        let silent: Vec<NodeId> =
            self.links.iter().filter(|(_, link)| late(link)).map(|(node, _)| node.clone()).collect();
        for node in &silent {
            tracing::warn!(%node, "a node is silent: others take its place");
            self.lose(node, Loss::Silent, now);
            if let Some(link) = self.links.get_mut(node) {
                link.is_silent = true;
            }
        }
        if !silent.is_empty() {
            self.regard(now);
        }
        let mut at_risk = 0;
        for interest in self.channels.values_mut() {
            interest.forgive();
            at_risk += usize::from(interest.confirmed(&self.members) < 2);
        }
        self.metrics.relay.channels(self.channels.len(), at_risk);
    }

    /// This process could not run for a while: whoever seems silent may have spoken.
    pub(super) fn has_slept(&mut self, now: Instant) {
        for link in self.links.values_mut() {
            link.heard = now;
        }
        for interest in self.channels.values_mut() {
            interest.give_time(now);
        }
    }
}

/// Hands an event to the sessions. An event that nobody could foresee costs itself.
fn deliver(sink: &dyn Sink, channel: &Channel, message: &str, age: Duration) {
    if catch_unwind(AssertUnwindSafe(|| sink.receive(channel.as_str(), message, age))).is_err() {
        sink.lagged(1);
    }
}

/// Events of a channel are missing, or may be: that is counted and said, unless it is no more than the beginning of a
/// subscription, and made up for as far as it can be.
fn missed(channel: &Channel, node: &NodeId, cause: Option<GapCause>, metrics: &Metrics, sink: &dyn Sink) {
    if let Some(cause) = cause {
        metrics.relay.gap(cause);
        tracing::warn!(%channel, %node, cause = cause.label(), "events of a channel were missed");
    }
    if channel.kind() == ChannelKind::Control {
        sink.missed();
    }
}

#[cfg(test)]
mod tests;
