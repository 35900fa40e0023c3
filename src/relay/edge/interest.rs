//! One channel that sessions of this node watch.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    super::{
        message::{GapCause, Order, Take},
        plan::{Asked, Source, Standing, Step},
        position::Tick,
    },
    attempt::Attempt,
    link::Link,
    place::Place,
};
use crate::{cluster::NodeId, domain::Channel};

/// After so long a live source has passed a holder's tick in any case, though it may not be remembered.
const PASSED: Duration = Duration::from_secs(3);

/// How long a node that did not answer is left alone while another one relays. Twice as long each time, up to 16 times: who is
/// asked again costs a moment without a source.
const LENIENCE: Duration = Duration::from_secs(30);
const MOST_DOUBLINGS: u32 = 4;

/// When to look again at what may change within moments.
const SOON: Duration = Duration::from_millis(100);

/// When to look again at what waits for others.
const LATER: Duration = Duration::from_secs(1);

/// A tick that came longer ago says nothing about when a channel was first taken.
const RECENT: Duration = Duration::from_millis(1_500);

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Its link has ended.
    Gone,
    /// It lost Redis, and with it what it held.
    Broken,
    /// Nothing is heard of it. What it held it may still hold.
    Silent,
}

/// What an edge knows of a channel.
#[derive(Debug, Default)]
pub(super) struct Interest {
    pub place: Place,
    pub attempt: Attempt,
    pub source: Source,
    pub asked: Vec<AskedNode>,
    /// Nodes that held it when their links were lost, since a source was live: they may have it in their logs.
    former: Vec<NodeId>,
}

/// A node that was asked for the channel.
#[derive(Debug)]
pub(super) struct AskedNode {
    pub node: NodeId,
    pub ask: u64,
    /// From which tick on its subscription counts, and when it said so.
    pub confirmed: Option<(Tick, Instant)>,
    pub standing: Standing,
    /// How often in a row it did not answer.
    late: u32,
    /// When it was last told to relay.
    pub taken: Option<Instant>,
    pub relays: bool,
}

impl Interest {
    pub(super) fn is_live_at(&self, node: &NodeId) -> bool {
        matches!(&self.source, Source::Live { node: source } if source == node)
    }

    pub(super) fn is_taking(&self, node: &NodeId, round: u32) -> bool {
        matches!(&self.source, Source::Taking { node: source, round: one } if source == node && *one == round)
    }

    pub(super) fn asked_of(&mut self, node: &NodeId) -> Option<&mut AskedNode> {
        self.asked.iter_mut().find(|asked| asked.node == *node)
    }

    /// A source has relayed what was missing, and goes on live with so many events since its last tick.
    pub(super) fn live_from(&mut self, node: &NodeId, link: &Link, count: u32, now: Instant) {
        self.place.go_live(link, count);
        self.attempt.succeed();
        self.source = Source::Live { node: node.clone() };
        self.former.clear();
        if let Some(asked) = self.asked_of(node) {
            asked.confirmed.get_or_insert((link.last_tick, now));
            (asked.standing, asked.late) = (Standing::Good, 0);
        }
    }

    pub(super) fn has_position(&self) -> bool {
        self.place.position().is_some() || matches!(self.source, Source::Live { .. })
    }

    /// Whoever refused may be asked again, and after a longer while whoever did not answer: that costs a moment.
    pub(super) fn forgive(&mut self, now: Instant) {
        if !matches!(self.source, Source::Live { .. }) {
            return;
        }
        for asked in &mut self.asked {
            let lenience = LENIENCE * 2_u32.pow(asked.late.saturating_sub(1).min(MOST_DOUBLINGS));
            let is_long_ago = asked.taken.is_none_or(|taken| now.duration_since(taken) > lenience);
            if asked.standing == Standing::Refused || is_long_ago {
                asked.standing = Standing::Good;
            }
        }
    }

    /// Whether the answer to a take means that it was refused: one that is not strict cannot be.
    pub(super) fn is_refused_by(&self, node: &NodeId, round: u32) -> bool {
        self.attempt.may_be_refused() && self.is_taking(node, round)
    }

    /// When it is to be looked at again if nothing is heard before.
    pub(super) fn next_look(&self, owner: &NodeId, now: Instant) -> Instant {
        let is_ready = |asked: &AskedNode| asked.confirmed.is_some() && asked.standing == Standing::Good;
        match (&self.source, self.attempt.late_at()) {
            // The owner has confirmed, and the source is about to pass its tick.
            (Source::Live { node }, _)
                if node != owner && self.asked.iter().any(|asked| asked.node == *owner && is_ready(asked)) =>
            {
                now + SOON
            }
            (Source::Taking { .. }, Some(late)) => late.max(now + LATER),
            _ => now + LATER,
        }
    }

    /// Takes note if there is nobody to take from though some can be asked, as all of them have refused, or nobody but those
    /// who did not answer before.
    pub(super) fn count_the_wait(&mut self, now: Instant) {
        let is_late =
            |node: &NodeId| self.asked.iter().any(|asked| asked.node == *node && asked.standing == Standing::Late);
        if self.source == Source::None || matches!(&self.source, Source::Taking { node, .. } if is_late(node)) {
            self.attempt.wait(now);
        }
    }

    /// A node's first answer has come: what to say of events that may be missing before it, if any may be, which is no gap
    /// if it is no more than the beginning of a subscription.
    pub(super) fn lost_beginning(&mut self, node: &NodeId, now: Instant) -> Option<Option<GapCause>> {
        // Only who was not subscribed when it was asked has confirmed since.
        let held = self.asked_of(node).is_some_and(|asked| asked.confirmed.is_none());
        let is_lost = self.place.position().is_none() && self.attempt.has_lost_its_beginning(held, now);
        let cause = (!self.attempt.is_beginning(now)).then(|| self.attempt.cause_of_lost_beginning());
        (is_lost && self.attempt.has_new_gap()).then_some(cause)
    }

    /// How many of these nodes have confirmed.
    pub(super) fn confirmed(&self, able: &[NodeId]) -> usize {
        self.asked.iter().filter(|asked| asked.confirmed.is_some() && able.contains(&asked.node)).count()
    }

    /// Whether everything is as it should be.
    pub(super) fn is_settled(&self, owner: &NodeId, standby: Option<&NodeId>) -> bool {
        let is_sound = |asked: &AskedNode| asked.confirmed.is_some() && asked.standing == Standing::Good;
        let holds = |node: &NodeId| self.asked.iter().any(|asked| asked.node == *node && is_sound(asked));
        self.is_live_at(owner) && self.asked.len() == 1 + usize::from(standby.is_some()) && standby.is_none_or(holds)
    }

    /// Whom it was sent to does not answer.
    fn give_up_take(&mut self, cause: GapCause, now: Instant) {
        self.source = Source::None;
        let begun = self.attempt.give_up(cause, now);
        self.place.begin_at(begun);
    }

    /// Gives a take up if its node can hold no more, or does not answer, which is returned.
    pub(super) fn give_up_late_take(
        &mut self,
        links: &HashMap<NodeId, Link>,
        members: &[NodeId],
        now: Instant,
    ) -> Option<NodeId> {
        let Source::Taking { node, .. } = &self.source else { return None };
        let node = node.clone();
        // One that has no Redis cannot answer.
        let link = links.get(&node).filter(|link| link.is_up());
        let is_late = link.is_some_and(|link| self.attempt.is_late(link.answered, now));
        if is_late {
            self.give_up_take(GapCause::NoAnswer, now);
            if let Some(asked) = self.asked_of(&node) {
                asked.standing = Standing::Late;
                asked.late = asked.late.saturating_add(1);
            }
            return Some(node);
        }
        if !is_able(&node, links, members) {
            self.give_up_take(GapCause::SourceLost, now);
        }
        None
    }

    /// A node does not count any more.
    pub(super) fn lose(&mut self, node: &NodeId, link: &Link, loss: Loss, now: Instant) {
        match &self.source {
            Source::Live { node: source } if source == node => {
                // Whoever refused lacked what came before the position that this source had reached.
                self.forgive(now);
                self.place.freeze(link);
                self.source = Source::None;
                self.attempt.lose(now);
            }
            Source::Taking { node: source, .. } if source == node => self.give_up_take(GapCause::SourceLost, now),
            _ => {}
        }
        match loss {
            Loss::Gone => {
                let has_confirmed = |asked: &AskedNode| asked.node == *node && asked.confirmed.is_some();
                if self.asked.iter().any(has_confirmed) && !self.former.contains(node) {
                    self.former.push(node.clone());
                }
                self.asked.retain(|asked| asked.node != *node);
            }
            Loss::Broken => {
                if let Some(asked) = self.asked_of(node) {
                    asked.confirmed = None;
                }
            }
            Loss::Silent => {}
        }
    }

    /// The asked nodes as the plan sees them.
    pub(super) fn regarded(&self, links: &HashMap<NodeId, Link>, members: &[NodeId], now: Instant) -> Vec<Asked> {
        let source = match &self.source {
            Source::Live { node } => links.get(node),
            _ => None,
        };
        let passed = |(since, when): (Tick, Instant)| {
            source.is_some_and(|link| link.has_passed(since)) || now.duration_since(when) > PASSED
        };
        let regarded = self.asked.iter().map(|asked| Asked {
            node: asked.node.clone(),
            is_able: is_able(&asked.node, links, members),
            confirmed: asked.confirmed.map(|(_, when)| when),
            is_passed: asked.confirmed.is_some_and(passed),
            standing: asked.standing,
            taken: asked.taken,
            relays: asked.relays,
        });
        regarded.collect()
    }

    /// Nodes that held the channel once, were not asked again, and can be.
    pub(super) fn former(&self, links: &HashMap<NodeId, Link>, members: &[NodeId]) -> Vec<NodeId> {
        let is_asked = |node: &NodeId| self.asked.iter().any(|asked| asked.node == *node);
        let former = self.former.iter().filter(|node| !is_asked(node) && is_able(node, links, members));
        former.cloned().collect()
    }

    /// Does what was planned.
    pub(super) fn take_step(&mut self, channel: &Channel, step: Step, links: &mut HashMap<NodeId, Link>, now: Instant) {
        match step {
            Step::Hold(node) => {
                let Some((ask, link)) = self.ask(channel, &node, links, false) else { return };
                link.order(ask, Order::Hold(channel.clone()));
            }
            Step::Take { node, strict } => {
                if let Source::Live { node: old } = &self.source
                    && let Some(link) = links.get(old)
                {
                    self.place.freeze(link);
                }
                if !self.attempt.has_begun() {
                    self.begin(links, now);
                }
                self.take(channel, node, strict, links, now);
            }
            Step::Release(node) => {
                let Some(place) = self.asked.iter().position(|asked| asked.node == node) else { return };
                let asked = self.asked.swap_remove(place);
                if let Some(link) = links.get_mut(&node) {
                    link.release(asked.ask);
                }
            }
        }
    }

    /// Remembers where the channel was when it was wanted first.
    fn begin(&mut self, links: &HashMap<NodeId, Link>, now: Instant) {
        // A node that has seen no tick yet begins with one that nobody else knows.
        let recent = |link: &&Link| now.duration_since(link.heard) < RECENT && link.last_tick.counter > 0;
        let last = links.values().filter(recent).max_by_key(|link| link.heard);
        self.attempt.begin(last.map(|link| link.last_tick), now);
    }

    fn take(&mut self, channel: &Channel, node: NodeId, strict: bool, links: &mut HashMap<NodeId, Link>, now: Instant) {
        let take = Take { round: self.attempt.take(strict, now), from: self.place.position(), strict };
        let Some((ask, link)) = self.ask(channel, &node, links, true) else { return };
        link.order(ask, Order::Take(channel.clone(), take));
        if let Some(asked) = self.asked_of(&node) {
            asked.taken = Some(now);
        }
        self.source = Source::Taking { node, round: take.round };
    }

    /// The ask at a node, which is made if there is none.
    fn ask<'a>(
        &mut self,
        channel: &Channel,
        node: &NodeId,
        links: &'a mut HashMap<NodeId, Link>,
        relays: bool,
    ) -> Option<(u64, &'a Link)> {
        let link = links.get_mut(node)?;
        let ask = match self.asked_of(node) {
            Some(asked) => {
                asked.relays = relays;
                asked.ask
            }
            None => {
                let ask = link.ask(channel);
                let (node, standing) = (node.clone(), Standing::Good);
                self.asked.push(AskedNode { node, ask, confirmed: None, standing, late: 0, taken: None, relays });
                ask
            }
        };
        Some((ask, link))
    }
}

/// Whether a node can relay: one of the ring, or one that is about to leave.
fn is_able(node: &NodeId, links: &HashMap<NodeId, Link>, members: &[NodeId]) -> bool {
    members.contains(node) || links.get(node).is_some_and(|link| link.is_able() && link.is_leaving)
}
