//! One channel that sessions of this node watch.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    super::{
        message::{GapCause, Order, Take},
        plan::{Asked, Source, Standing, Step},
        position::{Position, Tick},
    },
    link::Link,
};
use crate::{cluster::NodeId, domain::Channel};

/// After so long a live source has passed a holder's tick in any case, though it may not be remembered.
const PASSED: Duration = Duration::from_secs(3);

/// How long a node may take to answer a take, while it answers nothing else either, before another one is asked.
const ANSWER: Duration = Duration::from_secs(3);

/// How long it may take while it answers others.
const LONGEST_ANSWER: Duration = Duration::from_secs(15);

/// How long a node that did not answer is left alone while another one relays.
const LENIENCE: Duration = Duration::from_secs(30);

/// When to look again at what may change within moments.
const SOON: Duration = Duration::from_millis(100);

/// When to look again at what waits for others.
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
#[derive(Debug, Default)]
pub(super) struct Interest {
    /// Where it is in the channel, unless a source is live: then the link's last tick and the count say it.
    pub position: Option<Position>,
    pub source: Source,
    pub asked: Vec<AskedNode>,
    /// Nodes that held it when their links were lost, since a source was live: they may have it in their logs.
    former: Vec<NodeId>,
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
    /// Whether it may be refused, and whether a gap was said in answer to it.
    is_strict: bool,
    has_gap: bool,
    /// Since when no source is live, if one was, or the first one should be.
    lost: Option<Instant>,
    /// Why the last take that was given up was.
    given_up: Option<GapCause>,
    /// Since when everybody who can be asked has refused or is late, and others are waited for.
    waiting: Option<Instant>,
}

/// A node that was asked for the channel.
#[derive(Debug)]
pub(super) struct AskedNode {
    pub node: NodeId,
    pub ask: u64,
    /// From which tick on its subscription counts, and when it said so.
    pub confirmed: Option<(Tick, Instant)>,
    pub standing: Standing,
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
        (self.waiting, self.given_up) = (None, None);
        self.former.clear();
        if let Some(asked) = self.asked_of(node) {
            asked.confirmed.get_or_insert((link.last_tick, now));
            asked.standing = Standing::Good;
        }
    }

    pub(super) fn has_position(&self) -> bool {
        self.position.is_some() || matches!(self.source, Source::Live { .. })
    }

    /// What was seen last is nothing that others would know.
    fn forget_check(&mut self) {
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

    /// This process was stopped: whoever is waited for may have come long ago, and could not be heard.
    pub(super) fn wait_anew(&mut self, now: Instant) {
        self.give_time(now);
        self.waiting = self.waiting.map(|_| now);
    }

    /// Whoever refused may be asked again, and after a longer while whoever did not answer: that costs a moment.
    pub(super) fn forgive(&mut self, now: Instant) {
        if !matches!(self.source, Source::Live { .. }) {
            return;
        }
        for asked in &mut self.asked {
            let is_long_ago = asked.taken.is_none_or(|taken| now.duration_since(taken) > LENIENCE);
            if asked.standing == Standing::Refused || is_long_ago {
                asked.standing = Standing::Good;
            }
        }
    }

    /// Whether the answer to a take means that it was refused: one that is not strict cannot be.
    pub(super) fn is_refused_by(&self, node: &NodeId, round: u32) -> bool {
        self.is_strict && self.is_taking(node, round)
    }

    /// Events are missing at this place, its source says; whether it says so for the first time.
    pub(super) fn has_new_gap(&mut self) -> bool {
        self.forget_check();
        !std::mem::replace(&mut self.has_gap, true)
    }

    /// Why events may be missing that came since the first take.
    pub(super) fn cause_of_lost_beginning(&self) -> GapCause {
        self.given_up.unwrap_or(GapCause::SourceLost)
    }

    /// When it is to be looked at again if nothing is heard before.
    pub(super) fn next_look(&self, owner: &NodeId, now: Instant) -> Instant {
        let is_ready = |asked: &AskedNode| asked.confirmed.is_some() && asked.standing == Standing::Good;
        match (&self.source, self.taken) {
            // The owner has confirmed, and the source is about to pass its tick.
            (Source::Live { node }, _)
                if node != owner && self.asked.iter().any(|asked| asked.node == *owner && is_ready(asked)) =>
            {
                now + SOON
            }
            (Source::Taking { .. }, Some(taken)) => (taken + ANSWER).max(now + LATER),
            _ => now + LATER,
        }
    }

    /// Whether what came since the first take may be missing: this is another one, though nothing was taken yet, or it took
    /// too long, as nobody had Redis.
    pub(super) fn has_lost_its_beginning(&self, now: Instant) -> bool {
        let patience = if self.begun.is_some() { ANSWER } else { MOMENT };
        let is_long_ago = self.beginning.is_some_and(|beginning| now.duration_since(beginning) >= patience);
        self.position.is_none() && (self.round > 1 || is_long_ago)
    }

    /// Whether its first take was sent a moment ago, and nothing was taken yet. Nobody may have held the channel before: that a
    /// subscription takes a moment is no gap.
    pub(super) fn is_beginning(&self, now: Instant) -> bool {
        self.beginning.is_some_and(|beginning| now.duration_since(beginning) < MOMENT)
    }

    /// Since when no source is live, if one was.
    pub(super) fn lost(&self) -> Option<Instant> {
        self.lost
    }

    /// Takes note if there is nobody to take from though some can be asked, as all of them have refused, or nobody but those
    /// who did not answer before.
    pub(super) fn count_the_wait(&mut self, now: Instant) {
        let is_late =
            |node: &NodeId| self.asked.iter().any(|asked| asked.node == *node && asked.standing == Standing::Late);
        if self.source == Source::None || matches!(&self.source, Source::Taking { node, .. } if is_late(node)) {
            self.waiting.get_or_insert(now);
        }
    }

    /// Whether others were waited for at least so long, since there is no live source.
    pub(super) fn has_waited(&self, time: Duration, now: Instant) -> bool {
        self.waiting.is_some_and(|waiting| now.duration_since(waiting) >= time)
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

    /// Remembers the position at the end of a live source.
    fn freeze(&mut self, link: &Link) {
        let count = if self.ticks == link.ticks { self.count } else { 0 };
        self.position = Some(Position { tick: link.last_tick, count, check: self.check });
    }

    /// Whom it was sent to does not answer.
    fn give_up_take(&mut self, cause: GapCause, now: Instant) {
        self.source = Source::None;
        self.position = self.position.or(self.begun.map(|tick| Position { tick, count: 0, check: None }));
        self.lost.get_or_insert(now);
        self.given_up = Some(cause);
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
        let is_longer_ago = |since: Option<Instant>, time| since.is_some_and(|since| now.duration_since(since) >= time);
        // One that has no Redis cannot answer.
        let is_late = links.get(&node).is_some_and(Link::is_up)
            && is_longer_ago(self.taken, ANSWER)
            && (is_longer_ago(self.taken, LONGEST_ANSWER)
                || links
                    .get(&node)
                    .is_none_or(|link| link.answered.is_none_or(|one| is_longer_ago(Some(one), ANSWER))));
        if is_late {
            self.give_up_take(GapCause::NoAnswer, now);
            if let Some(asked) = self.asked_of(&node) {
                asked.standing = Standing::Late;
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
                self.freeze(link);
                self.source = Source::None;
                self.lost = Some(now);
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
                    self.freeze(link);
                }
                if self.round == 0 {
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
        self.beginning = Some(now);
        // A node that has seen no tick yet begins with one that nobody else knows.
        let recent = |link: &&Link| now.duration_since(link.heard) < RECENT && link.last_tick.counter > 0;
        self.begun = links.values().filter(recent).max_by_key(|link| link.heard).map(|link| link.last_tick);
    }

    fn take(&mut self, channel: &Channel, node: NodeId, strict: bool, links: &mut HashMap<NodeId, Link>, now: Instant) {
        self.round += 1;
        let take = Take { round: self.round, from: self.position, strict };
        let Some((ask, link)) = self.ask(channel, &node, links, true) else { return };
        link.order(ask, Order::Take(channel.clone(), take));
        if let Some(asked) = self.asked_of(&node) {
            asked.taken = Some(now);
        }
        self.source = Source::Taking { node, round: take.round };
        (self.taken, self.is_strict, self.has_gap) = (Some(now), strict, false);
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
                self.asked.push(AskedNode { node, ask, confirmed: None, standing, taken: None, relays });
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
