//! What clients got against what was published.

use std::{collections::BTreeSet, time::Duration};

use super::{
    node::{Node, TICKS},
    received::{Got, Subscription},
    rule,
    world::World,
};
use crate::{cluster::NodeId, domain::Channel};

/// A subscription that is older than this has begun, if nothing is wrong.
const BEGUN: Duration = Duration::from_millis(500);

/// All runs of nodes.
fn runs(world: &World) -> impl Iterator<Item = &Node> {
    world.nodes.values().chain(world.buried.iter().map(|(_, node)| node))
}

/// How many times events were missing, whether that was said or not.
pub(super) fn holes(world: &World) -> usize {
    runs(world).flat_map(|node| holes_at(world, node)).count()
}

/// Whether no events are missing anywhere of which that was not said, there.
pub(super) fn assert_no_gap_unsaid(world: &World) {
    let holes: Vec<(String, bool)> = runs(world).flat_map(|node| holes_at(world, node)).collect();
    let unsaid: Vec<_> = holes.iter().filter(|(_, is_said)| !is_said).map(|(words, _)| words).collect();
    assert!(unsaid.is_empty(), "missing, and not said: {unsaid:#?}");
    // They agree with what is in the record.
    gaps(world);
}

/// What the subscriptions of one run of a node missed: in words, and whether that was said. None of them got anything older
/// than itself.
fn holes_at(world: &World, node: &Node) -> Vec<(String, bool)> {
    let mut holes = Vec::new();
    for subscription in node.received.subscriptions() {
        let channel = &subscription.channel;
        let Some(published) = world.published.get(channel) else { continue };
        let record = node.received.record().of(channel);
        let found = rule::holes(&subscription, published, &record, world.late);
        if let Some(Got { number: first, .. }) = subscription.got.first() {
            let older = subscription.since.saturating_sub(published[*first]);
            let id = &node.id;
            assert!(older <= world.under_way, "{id}: {channel}: {first} is {older:?} older than the subscription");
        }
        holes.extend(found.iter().map(|hole| (hole.words(&node.id, &subscription, published, &record), hole.is_said)));
    }
    holes
}

/// How many gaps all nodes said.
pub(super) fn gaps(world: &World) -> usize {
    runs(world).map(|node| rule::gaps(&node.metrics, node.received.record())).sum()
}

/// What each subscription got, in words that are the same if a run is.
pub(super) fn digest(world: &World) -> Vec<String> {
    let got = |node: &Node| node.received.subscriptions().into_iter().map(|one| one.got).collect::<Vec<_>>();
    runs(world).map(|node| format!("{}: {:?}", node.id, got(node))).collect()
}

/// Every watcher has the last event of its channel.
pub(super) fn assert_up_to_date(world: &World) {
    for node in world.nodes.values() {
        for subscription in node.received.subscriptions().into_iter().filter(Subscription::is_open) {
            let channel = &subscription.channel;
            let Some((last, at)) =
                world.published.get(channel).and_then(|events| events.iter().enumerate().next_back())
            else {
                continue;
            };
            let received = subscription.got.last().map(|got| got.number);
            let is_later = *at > subscription.since + BEGUN;
            assert!(!is_later || received == Some(last), "{}: {channel}: {received:?} of {last}", node.id);
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
