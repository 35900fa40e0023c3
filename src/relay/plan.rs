//! What an edge does next about one channel, given who should hold it and who does: a pure function.

use tokio::time::Instant;

use crate::cluster::NodeId;

/// One node that was asked for the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub node: NodeId,
    /// Whether it can hold channels now.
    pub is_able: bool,
    /// When it confirmed that its subscription counts.
    pub confirmed: Option<Instant>,
    /// Whether whoever relays the channel now has passed the tick from which on this node's subscription counts.
    pub is_passed: bool,
    pub standing: Standing,
    /// When it was last told to relay.
    pub taken: Option<Instant>,
    /// Whether it was told to relay.
    pub relays: bool,
}

/// What became of the last take that a node was sent, unless it has confirmed since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is held against it.
    #[default]
    Good,
    /// It lacked something.
    Refused,
    /// It did not answer in time. It may have everything.
    Late,
}

/// Whose events count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Source {
    /// Nobody's.
    #[default]
    None,
    /// Those of this node, once it answers the take of this round.
    Taking { node: NodeId, round: u32 },
    /// Those of this node.
    Live { node: NodeId },
}

/// What is so.
#[derive(Clone, Debug)]
pub(super) struct Situation<'a> {
    /// Who should relay.
    pub owner: &'a NodeId,
    /// Who should keep the log besides, if there is anybody.
    pub standby: Option<&'a NodeId>,
    /// Who was asked.
    pub asked: &'a [Asked],
    /// Who was asked before and may have the channel in its log, and is not asked now.
    pub former: &'a [NodeId],
    pub source: &'a Source,
    /// Whether the edge has a position in the channel.
    pub has_position: bool,
    /// Whether somebody who may have what others lack may come back soon.
    pub may_wait: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask a node to hold, or to relay no more.
    Hold(NodeId),
    /// Ask a node to relay, from the position if there is one.
    Take { node: NodeId, strict: bool },
    /// Tell a node that the channel is not wanted from it any more.
    Release(NodeId),
}

/// What to do now. Applied step by step and called again whenever something changed, it comes to rest with the owner
/// relaying, the standby holding, and nobody else asked.
pub(super) fn plan(situation: &Situation<'_>) -> Vec<Step> {
    let take = source_to_take(situation);
    let taking = match (&take, situation.source) {
        (Some((node, _)), _) => Some(*node),
        (None, Source::Taking { node, .. } | Source::Live { node }) => Some(node),
        (None, Source::None) => None,
    };
    let mut steps = Vec::new();
    for node in wanted(situation) {
        if Some(node) != taking && !situation.asked.iter().any(|asked| asked.node == *node) {
            steps.push(Step::Hold(node.clone()));
        }
    }
    if let Some((node, strict)) = take {
        steps.push(Step::Take { node: node.clone(), strict });
    }
    steps.extend(farewells(situation, take.is_some()));
    steps
}

fn wanted<'a>(situation: &Situation<'a>) -> impl Iterator<Item = &'a NodeId> {
    std::iter::once(situation.owner).chain(situation.standby)
}

/// Whom to take from now, and whether it may refuse.
fn source_to_take<'a>(situation: &Situation<'a>) -> Option<(&'a NodeId, bool)> {
    let asked = |node: &NodeId| situation.asked.iter().find(|asked| asked.node == *node);
    let stands = |node: &NodeId, standing| asked(node).map_or(Standing::Good, |asked| asked.standing) == standing;
    let is_good = |node: &&NodeId| stands(node, Standing::Good);
    // Those who do not answer are tried in turn.
    let late = |nodes: &mut dyn Iterator<Item = &'a NodeId>| {
        nodes.filter(|node| stands(node, Standing::Late)).min_by_key(|node| asked(node).and_then(|asked| asked.taken))
    };
    match situation.source {
        Source::Taking { .. } => None,
        Source::Live { node } if node == situation.owner => None,
        // Make before break: the owner has all that will follow the position.
        Source::Live { .. } => {
            let ready = asked(situation.owner)
                .is_some_and(|owner| owner.confirmed.is_some() && owner.is_passed && owner.standing == Standing::Good);
            ready.then_some((situation.owner, true))
        }
        Source::None if !situation.has_position => {
            let best = wanted(situation).find(is_good).or_else(|| late(&mut wanted(situation)));
            Some((best.unwrap_or(situation.owner), false))
        }
        Source::None => {
            let able = situation.asked.iter().filter(|asked| asked.is_able).map(|asked| &asked.node);
            let others = able.chain(situation.former);
            let candidates = || wanted(situation).chain(others.clone());
            let confirmed = |node: &NodeId| asked(node).and_then(|asked| asked.confirmed);
            let has_confirmed = |node: &&NodeId| confirmed(node).is_some();
            let best = candidates().filter(is_good).find(has_confirmed).or_else(|| candidates().find(is_good));
            match best {
                Some(node) => Some((node, true)),
                // Whoever comes back will be asked. Nothing more is lost meanwhile: those who refused hold from now on.
                None if situation.may_wait => late(&mut candidates()).map(|node| (node, true)),
                // The gap is certain, or may be: rather from somebody who answers, and from who has held for longest.
                None => {
                    let answer = candidates().filter(|node| stands(node, Standing::Refused));
                    let longest = answer.min_by_key(|node| (confirmed(node).is_none(), confirmed(node)));
                    let node = longest.or_else(|| late(&mut candidates()));
                    Some((node.unwrap_or(situation.owner), false))
                }
            }
        }
    }
}

/// Whom to tell that it is not needed, or less than before.
fn farewells(situation: &Situation<'_>, is_taking: bool) -> Vec<Step> {
    let is_settled = !is_taking
        && matches!(situation.source, Source::Live { node } if node == situation.owner)
        && situation.standby.is_none_or(|standby| {
            situation.asked.iter().any(|asked| asked.node == *standby && asked.confirmed.is_some())
        });
    let is_source = |node: &NodeId| match situation.source {
        Source::None => false,
        Source::Taking { node: source, .. } | Source::Live { node: source } => source == node,
    };
    let mut steps = Vec::new();
    for asked in situation.asked.iter().filter(|asked| !is_source(&asked.node)) {
        let is_wanted = wanted(situation).any(|node| *node == asked.node);
        if is_settled && !is_wanted {
            steps.push(Step::Release(asked.node.clone()));
        } else if asked.relays && matches!(situation.source, Source::Live { .. }) && !is_taking {
            steps.push(Step::Hold(asked.node.clone()));
        }
    }
    steps
}

#[cfg(test)]
mod tests;
