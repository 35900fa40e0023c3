//! One channel that sessions of this node watch.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    super::{
        message::{GapCause, Order, Take},
        plan::{Asked, Source, Step},
        position::{Position, Tick},
    },
    link::Link,
};
use crate::{cluster::NodeId, domain::Channel};

/// After so long a live source has passed a holder's tick in any case, though it may not be remembered.
const PASSED: Duration = Duration::from_secs(3);

/// How long a node may take to answer a take before another one is asked.
const ANSWER: Duration = Duration::from_secs(3);

/// How long a channel may wait to be looked at again, if ticks may matter that come at any time.
const SOON: Duration = Duration::from_millis(100);

/// The same if not.
const LATER: Duration = Duration::from_secs(1);

/// A tick that came longer ago says nothing about when a channel was first taken.
const RECENT: Duration = Duration::from_millis(1_500);

/// How long the beginning of a subscription may take.
const MOMENT: Duration = Duration::from_secs(1);

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
#[derive(Debug)]
pub(super) struct Interest {
    /// Where it is in the channel, unless a source is live: then the link's last tick and the count say it.
    pub position: Option<Position>,
    pub source: Source,
    pub asked: Vec<AskedNode>,
    /// How many ticks the live source's link had when the count began.
    ticks: u64,
    count: u32,
    check: Option<u32>,
    /// The last tick before the first take: if that is not answered, others are asked for what came since.
    begun: Option<Tick>,
    /// When the first take was sent, until a source is live.
    beginning: Option<Instant>,
    /// The last take, and when it was sent.
    round: u32,
    taken: Option<Instant>,
    /// Since when no source is live, if one was.
    lost: Option<Instant>,
}

/// A node that was asked for the channel.
#[derive(Debug)]
pub(super) struct AskedNode {
    pub node: NodeId,
    pub ask: u64,
    /// From which tick on its subscription counts, and when it said so.
    pub confirmed: Option<(Tick, Instant)>,
    pub refused: Option<GapCause>,
    pub relays: bool,
}

impl Default for Interest {
    fn default() -> Self {
        Self {
            position: None,
            source: Source::None,
            asked: Vec::new(),
            ticks: 0,
            count: 0,
            check: None,
            begun: None,
            beginning: None,
            round: 0,
            taken: None,
            lost: None,
        }
    }
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

    /// An event came from the live source.
    pub(super) fn count_one(&mut self, link: &Link, check: u32) {
        self.count = if self.ticks == link.ticks { self.count.saturating_add(1) } else { 1 };
        self.ticks = link.ticks;
        self.check = Some(check);
    }

    /// A source has relayed what was missing, and goes on live with so many events since its last tick.
    pub(super) fn live_from(&mut self, node: &NodeId, link: &Link, count: u32, now: Instant) {
        self.check = self.position.and_then(|position| position.check);
        self.source = Source::Live { node: node.clone() };
        (self.ticks, self.count) = (link.ticks, count);
        (self.lost, self.beginning) = (None, None);
        if let Some(asked) = self.asked_of(node) {
            asked.confirmed.get_or_insert((link.last_tick, now));
            asked.refused = None;
        }
    }

    pub(super) fn has_position(&self) -> bool {
        self.position.is_some() || matches!(self.source, Source::Live { .. })
    }

    /// What was seen last is nothing that others would know.
    pub(super) fn forget_check(&mut self) {
        if let Some(position) = &mut self.position {
            position.check = None;
        }
    }

    /// An event was replayed that has this position.
    pub(super) fn advance(&mut self, position: Position, now: Instant) {
        self.position = Some(position);
        self.give_time(now);
    }

    /// A take that was sent has all the time again to be answered.
    pub(super) fn give_time(&mut self, now: Instant) {
        self.taken = Some(now);
    }

    /// Whoever refused may be asked again.
    pub(super) fn forgive(&mut self) {
        if matches!(self.source, Source::Live { .. }) {
            for asked in &mut self.asked {
                asked.refused = None;
            }
        }
    }

    /// Whether this is not the first take, though nothing was taken yet: what came since the first may be missing.
    pub(super) fn has_lost_its_beginning(&self) -> bool {
        self.position.is_none() && self.round > 1
    }

    /// Whether its first take was sent a moment ago, and nothing was taken yet. Nobody may have held the channel before: that a
    /// subscription takes a moment is no gap.
    pub(super) fn is_beginning(&self, now: Instant) -> bool {
        self.beginning.is_some_and(|beginning| now.duration_since(beginning) < MOMENT)
    }

    /// Whether it has been without a live source for longer than this.
    pub(super) fn is_lost_for(&self, time: Duration, now: Instant) -> bool {
        self.lost.is_some_and(|lost| now.duration_since(lost) > time)
    }

    /// How many of these nodes have confirmed.
    pub(super) fn confirmed(&self, able: &[NodeId]) -> usize {
        self.asked.iter().filter(|asked| asked.confirmed.is_some() && able.contains(&asked.node)).count()
    }

    /// Whether everything is as it should be.
    pub(super) fn is_settled(&self, owner: &NodeId, standby: Option<&NodeId>) -> bool {
        let is_sound = |asked: &AskedNode| asked.confirmed.is_some() && asked.refused.is_none();
        let holds = |node: &NodeId| self.asked.iter().any(|asked| asked.node == *node && is_sound(asked));
        self.is_live_at(owner) && self.asked.len() == 1 + usize::from(standby.is_some()) && standby.is_none_or(holds)
    }

    /// When it is to be looked at again at the latest, as time passes or ticks come, if nothing else happens to it.
    pub(super) fn due(&self, now: Instant) -> Instant {
        let waits_for_ticks = || self.asked.iter().all(|asked| asked.confirmed.is_some() && asked.refused.is_none());
        let answer_due = self.taken.map(|taken| taken + ANSWER).filter(|due| *due > now);
        match &self.source {
            Source::Taking { .. } => answer_due.unwrap_or(now + ANSWER),
            Source::Live { .. } if waits_for_ticks() => now + SOON,
            Source::Live { .. } | Source::None => now + LATER,
        }
    }

    /// Remembers the position at the end of a live source.
    fn freeze(&mut self, link: &Link) {
        let count = if self.ticks == link.ticks { self.count } else { 0 };
        self.position = Some(Position { tick: link.last_tick, count, check: self.check });
    }

    /// Whom it was sent to does not answer.
    fn give_up_take(&mut self) {
        self.source = Source::None;
        self.position = self.position.or(self.begun.map(|tick| Position { tick, count: 0, check: None }));
    }

    /// A node does not count any more.
    pub(super) fn lose(&mut self, node: &NodeId, link: &Link, loss: Loss, now: Instant) {
        match &self.source {
            Source::Live { node: source } if source == node => {
                // Whoever refused lacked what came before the position that this source had reached.
                self.forgive();
                self.freeze(link);
                self.source = Source::None;
                self.lost = Some(now);
            }
            Source::Taking { node: source, .. } if source == node => self.give_up_take(),
            _ => {}
        }
        match loss {
            Loss::Gone => self.asked.retain(|asked| asked.node != *node),
            Loss::Broken => {
                if let Some(asked) = self.asked_of(node) {
                    asked.confirmed = None;
                }
            }
            Loss::Silent => {}
        }
    }

    /// The asked nodes as the plan sees them.
    pub(super) fn regarded(&mut self, links: &HashMap<NodeId, Link>, members: &[NodeId], now: Instant) -> Vec<Asked> {
        let source = match &self.source {
            Source::Live { node } => links.get(node),
            _ => None,
        };
        let passed = |(since, when): (Tick, Instant)| {
            source.is_some_and(|link| link.has_passed(since)) || now.duration_since(when) > PASSED
        };
        let is_able = |node: &NodeId| {
            members.contains(node) || links.get(node).is_some_and(|link| link.is_able() && link.is_leaving)
        };
        if let Source::Taking { node, .. } = self.source.clone() {
            // Who has no Redis cannot answer, and is asked only if nobody has.
            let may_answer = links.get(&node).is_some_and(Link::is_able);
            let is_late = may_answer && self.taken.is_some_and(|taken| now.duration_since(taken) >= ANSWER);
            if is_late && let Some(asked) = self.asked_of(&node) {
                asked.refused = Some(GapCause::NoAnswer);
            }
            if is_late || !is_able(&node) {
                self.give_up_take();
            }
        }
        let regarded = self.asked.iter().map(|asked| Asked {
            node: asked.node.clone(),
            is_able: is_able(&asked.node),
            is_confirmed: asked.confirmed.is_some(),
            is_passed: asked.confirmed.is_some_and(passed),
            refused: asked.refused,
            relays: asked.relays,
        });
        regarded.collect()
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
                    && let Some(link) = links.get(&old.clone())
                {
                    self.freeze(link);
                }
                if self.round == 0 {
                    self.beginning = Some(now);
                    let recent =
                        |link: &&Link| now.duration_since(link.heard) < RECENT && link.last_tick != Tick::UNKNOWN;
                    self.begun = links.values().filter(recent).max_by_key(|link| link.heard).map(|link| link.last_tick);
                }
                self.round += 1;
                let take = Take { round: self.round, from: self.position, strict };
                let Some((ask, link)) = self.ask(channel, &node, links, true) else { return };
                link.order(ask, Order::Take(channel.clone(), take));
                self.source = Source::Taking { node, round: take.round };
                self.taken = Some(now);
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
                self.asked.push(AskedNode { node: node.clone(), ask, confirmed: None, refused: None, relays });
                ask
            }
        };
        Some((ask, link))
    }
}
