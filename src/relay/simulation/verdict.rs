//! What clients got against what was published.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use super::{
    node::{Node, TICKS},
    world::World,
};
use crate::{cluster::NodeId, domain::Channel};

/// A subscription that is older than this has begun, if nothing is wrong.
const BEGUN: Duration = Duration::from_millis(500);

/// What is missing so soon after the beginning of a subscription is no gap.
const MOMENT: Duration = Duration::from_secs(1);

/// An event that a subscription got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Got {
    /// Which one of its channel it is.
    pub number: usize,
    /// Whether it came from a log, and not as it happened.
    pub is_replayed: bool,
}

/// The numbers of events that a subscription missed between the first and the last, if they count. What is taken in spite
/// of a gap may have gaps of its own, which are not said again. Checks that no event came twice and none out of order.
pub(super) fn holes_in(got: &[Got], counts: impl Fn(&Range<usize>) -> bool) -> Vec<Range<usize>> {
    let (mut holes, mut is_said) = (Vec::new(), false);
    for pair in got.windows(2) {
        let (last, Got { number, is_replayed }) = (pair[0].number, pair[1]);
        assert!(last < number, "{number} after {last}");
        is_said &= pair[0].is_replayed;
        let missing = last + 1..number;
        if !missing.is_empty() && counts(&missing) && !std::mem::replace(&mut is_said, is_replayed) {
            holes.push(missing);
        }
    }
    holes
}

/// All runs of nodes.
fn runs(world: &World) -> impl Iterator<Item = &Node> {
    world.nodes.values().chain(world.buried.iter().map(|(_, node)| node))
}

/// How many times events were missing, though the channel went on before and after.
pub(super) fn holes(world: &World) -> usize {
    runs(world).map(|node| holes_at(world, node)).sum()
}

/// Whether no events are missing anywhere, or no more often than that was said.
pub(super) fn assert_no_gap_unsaid(world: &World) {
    for node in runs(world) {
        let (holes, gaps) = (holes_at(world, node), gaps_at(node));
        assert!(holes <= gaps, "{}: {holes} holes, of which {gaps} were said", node.id);
    }
}

/// Checks one run of a node: no event twice, none out of order, none older than the subscription; returns how many times
/// some are missing between the first and the last. That a subscription takes a moment is no gap.
fn holes_at(world: &World, node: &Node) -> usize {
    let mut holes = 0;
    for ((channel, since), got) in node.subscriptions.iter().zip(by_subscription(node)) {
        let counts = |missing: &Range<usize>| world.published[channel][missing.end - 1].at >= *since + MOMENT;
        holes += holes_in(&got, counts).len();
        if let Some(Got { number: first, .. }) = got.first() {
            let at = world.published[channel][*first].at;
            let older = since.saturating_duration_since(at).as_millis();
            assert!(
                older <= world.under_way.as_millis(),
                "{}: {channel}: {first} is {older} ms older than the subscription",
                node.id
            );
        }
    }
    holes
}

/// The events that each subscription got.
fn by_subscription(node: &Node) -> Vec<Vec<Got>> {
    let mut events = vec![Vec::new(); node.subscriptions.len()];
    for (subscription, got) in node.received.events.lock().iter() {
        events[*subscription].push(*got);
    }
    events
}

/// How many gaps all nodes said.
pub(super) fn gaps(world: &World) -> usize {
    runs(world).map(gaps_at).sum()
}

fn gaps_at(node: &Node) -> usize {
    let page = node.metrics.page();
    let lines = page.lines().filter(|line| line.starts_with("flodgatt_relay_gaps_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

/// What each subscription got, in words that are the same if a run is.
pub(super) fn digest(world: &World) -> Vec<String> {
    runs(world).map(|node| format!("{}: {:?}", node.id, by_subscription(node))).collect()
}

/// Every watcher has the last event of its channel.
pub(super) fn assert_up_to_date(world: &World) {
    for node in world.nodes.values() {
        let received = by_subscription(node);
        for (channel, (since, subscription)) in &*node.received.watched.lock() {
            let Some(last) = world.published.get(channel).and_then(|events| events.last()) else { continue };
            let last_received = received[*subscription].last().map(|got| got.number);
            let is_later = last.at > *since + BEGUN;
            assert!(
                !is_later || last_received == Some(last.number),
                "{}: {channel}: {last_received:?} of {}",
                node.id,
                last.number
            );
        }
    }
}

/// Nothing is left to be done: each watched channel is live at its owner and held by its standby, nobody else is asked,
/// holders and edges agree on what is asked, and Redis on what is held.
pub(super) fn assert_at_rest(world: &World) {
    let mut nodes: Vec<NodeId> = world.nodes.values().map(|node| node.id.clone()).collect();
    nodes.sort();
    for (index, node) in &world.nodes {
        assert_eq!(node.edge.unrest(&nodes), Vec::<String>::new(), "{}: what its edge has still to do", node.id);
        assert_eq!(node.holder.unrest(), Vec::<String>::new(), "{}: what its holder has still to do", node.id);
        let mut subscribed: BTreeSet<Channel> = node.upstream.subscribed.iter().cloned().collect();
        assert!(subscribed.remove(TICKS), "{}: ticks", node.id);
        assert_eq!(subscribed, node.holder.held(), "{}: what is subscribed, what is held", node.id);
        for (edge, other) in &world.nodes {
            let key = world.edge_key(*edge, *index);
            let (mut asked, mut given) = (other.edge.asks_at(&node.id), node.holder.asks_of(key));
            asked.sort();
            given.sort();
            assert_eq!(asked, given, "what {} asks of {}", other.id, node.id);
        }
    }
}

/// Nobody holds what nobody asks for.
pub(super) fn assert_nothing_lingers(world: &World) {
    for node in world.nodes.values() {
        assert_eq!(node.holder.lingering(), BTreeSet::new(), "{}: held for nobody", node.id);
    }
}
