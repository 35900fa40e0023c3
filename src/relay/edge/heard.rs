//! What holders say, and what it means for the channels that they were asked for.

#[cfg(test)]
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

#[cfg(test)]
use super::super::simulation::record::{Record, TakeId, What};
use super::{
    super::{
        door::LinkId,
        message::{GapCause, Notice},
        plan::{Source, Standing},
        position::{Position, Tick, check},
    },
    Edge,
    interest::Loss,
    link::Link,
};
use crate::cluster::NodeId;

impl Edge {
    /// A node says something.
    pub(in super::super) fn heard(&mut self, id: LinkId, notices: Vec<Notice>, now: Instant) {
        let Some(node) = self.nodes.get(&id).cloned() else { return };
        let mut is_stirred = false;
        for notice in notices {
            is_stirred |= self.hear(&node, notice, now);
        }
        if is_stirred {
            self.regard(now);
        }
        self.sessions.make_up();
    }

    /// Whether other nodes may be able to hold channels than before.
    fn hear(&mut self, node: &NodeId, notice: Notice, now: Instant) -> bool {
        match notice {
            Notice::Tick(tick) => return self.ticked(node, tick, now),
            Notice::Broken => return self.broken(node, now),
            Notice::Up => return self.is_able_again(node, |link| !link.set_up(true, now), now),
            Notice::Leaving => return self.change(node, |link| !std::mem::replace(&mut link.is_leaving, true)),
            Notice::Event { ask, age, message } => {
                self.event(node, ask, age, &message);
                return false;
            }
            Notice::Held { ask, since } => self.held(node, ask, since, now),
            Notice::Replay { ask, round, tick, count, age, message } => {
                let position = Position { tick, count, check: Some(check(&message)) };
                self.replayed(node, ask, round, (position, now), age, &message);
            }
            Notice::Taken { ask, round, count } => self.taken(node, ask, round, count, now),
            Notice::Gap { ask, round, cause } => self.gap(node, ask, round, cause, now),
            Notice::Refused { ask, round, cause } => self.refused(node, ask, round, cause, now),
        }
        self.change(node, |link| {
            link.answered = Some(now);
            false
        })
    }

    fn change(&mut self, node: &NodeId, what: impl FnOnce(&mut Link) -> bool) -> bool {
        self.links.get_mut(node).is_some_and(what)
    }

    fn broken(&mut self, node: &NodeId, now: Instant) -> bool {
        // It may have been asked though it was not able, as nobody was.
        self.lose(node, Loss::Broken, now);
        self.change(node, |link| link.set_up(false, now))
    }

    fn ticked(&mut self, node: &NodeId, tick: Tick, now: Instant) -> bool {
        let is_heard_again = |link: &mut Link| {
            link.ticked(tick, now);
            std::mem::take(&mut link.is_silent)
        };
        self.is_able_again(node, is_heard_again, now)
    }

    /// Whether a node can hold channels again by this change: only now it can answer what it was asked meanwhile.
    fn is_able_again(&mut self, node: &NodeId, what: impl FnOnce(&mut Link) -> bool, now: Instant) -> bool {
        let Some(link) = self.links.get_mut(node) else { return false };
        let is_able_again = what(link);
        if is_able_again {
            for channel in link.channels() {
                if let Some(interest) = self.channels.get_mut(channel) {
                    interest.attempt.give_time(now);
                }
            }
        }
        is_able_again
    }

    /// An event counts if it comes from the channel's live source.
    fn event(&mut self, node: &NodeId, ask: u64, age: Duration, message: &str) {
        let Some(link) = self.links.get(node) else { return };
        let Some(channel) = link.channel(ask) else { return };
        let Some(interest) = self.channels.get_mut(channel) else { return };
        if interest.is_live_at(node) {
            interest.place.count_one(link, check(message));
            #[cfg(test)]
            self.sessions.record.note(channel, What::Live);
            self.sessions.give(channel, node, message, age);
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
            if let Some(cause) = interest.lost_beginning(node, now) {
                self.sessions.miss(channel, node, cause);
            }
            interest.place.advance(position);
            interest.attempt.give_time(now);
            #[cfg(test)]
            self.sessions.record.note(channel, What::Replayed(TakeId { link: link.id, ask, round }));
            self.sessions.give(channel, node, message, age);
        }
    }

    fn held(&mut self, node: &NodeId, ask: u64, since: Tick, now: Instant) {
        let Some(channel) = self.links.get(node).and_then(|link| link.channel(ask)).cloned() else { return };
        if let Some(asked) = self.channels.get_mut(&channel).and_then(|interest| interest.asked_of(node)) {
            asked.confirmed = Some((since, now));
            asked.standing = Standing::Good;
            self.arrange(&channel, now);
        }
    }

    fn taken(&mut self, node: &NodeId, ask: u64, round: u32, count: u32, now: Instant) {
        let Some(link) = self.links.get(node) else { return };
        let Some(channel) = link.channel(ask).cloned() else { return };
        let Some(interest) = self.channels.get_mut(&channel).filter(|interest| interest.is_taking(node, round)) else {
            return;
        };
        if let Some(cause) = interest.lost_beginning(node, now) {
            self.sessions.miss(&channel, node, cause);
        }
        #[cfg(test)]
        self.sessions.record.note(&channel, What::Taken(TakeId { link: link.id, ask, round }));
        interest.live_from(node, link, count, now);
        self.arrange(&channel, now);
    }

    fn refused(&mut self, node: &NodeId, ask: u64, round: u32, cause: GapCause, now: Instant) {
        let Some(channel) = self.links.get(node).and_then(|link| link.channel(ask)).cloned() else { return };
        let Some(interest) = self.channels.get_mut(&channel).filter(|one| one.is_refused_by(node, round)) else {
            return;
        };
        interest.source = Source::None;
        if let Some(asked) = interest.asked_of(node) {
            asked.standing = Standing::Refused;
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
        #[cfg(test)]
        self.sessions.record.note(channel, What::Said(TakeId { link: self.links[node].id, ask, round }));
        interest.place.forget_check();
        if interest.attempt.has_new_gap() {
            let cause = (!interest.attempt.is_beginning(now)).then_some(cause);
            self.sessions.miss(channel, node, cause);
        }
    }

    /// The record of what happens here, for simulations.
    #[cfg(test)]
    pub(in super::super) fn record(&self) -> Arc<Record> {
        Arc::clone(&self.sessions.record)
    }
}
