//! What clients got against what was published.

use std::{collections::BTreeSet, time::Duration};

use super::{
    node::{Node, TICKS},
    world::{Published, World},
};
use crate::{cluster::NodeId, domain::Channel};

/// A subscription that is older than this has begun, if nothing is wrong.
const BEGUN: Duration = Duration::from_millis(500);

/// How many events were missing, though the channel went on before and after.
pub(super) fn missing(world: &World) -> usize {
    let living = world.nodes.values();
    living.chain(world.buried.iter().map(|(_, node)| node)).map(|node| missing_at(world, node)).sum()
}

/// Checks one run of a node: no event twice, none out of order, none older than the subscription; returns how many are
/// missing between the first and the last.
fn missing_at(world: &World, node: &Node) -> usize {
    let mut missing = 0;
    for ((channel, since), numbers) in node.subscriptions.iter().zip(by_subscription(node)) {
        for pair in numbers.windows(2) {
            assert!(pair[0] < pair[1], "{}: {channel}: {} after {}", node.id, pair[1], pair[0]);
            missing += usize::try_from(pair[1] - pair[0] - 1).expect("few are missing");
        }
        if let Some(first) = numbers.first() {
            let at = event(world, channel, *first).at;
            let older = since.saturating_duration_since(at).as_millis();
            assert!(
                older <= world.under_way.as_millis(),
                "{}: {channel}: {first} is {older} ms older than the subscription",
                node.id
            );
        }
    }
    missing
}

/// The numbers of the events that each subscription got.
fn by_subscription(node: &Node) -> Vec<Vec<u64>> {
    let mut numbers = vec![Vec::new(); node.subscriptions.len()];
    for (subscription, number) in node.received.events.lock().iter() {
        numbers[*subscription].push(*number);
    }
    numbers
}

fn event(world: &World, channel: &Channel, number: u64) -> Published {
    world.published[channel][usize::try_from(number).expect("few are published")]
}

/// How many gaps all nodes said.
pub(super) fn gaps(world: &World) -> f64 {
    let nodes = world.nodes.values().chain(world.buried.iter().map(|(_, node)| node));
    let said = |node: &Node| -> f64 {
        let page = node.metrics.page();
        let lines = page.lines().filter(|line| line.starts_with("flodgatt_relay_gaps_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    nodes.map(said).sum()
}

/// Every watcher has the last event of its channel.
pub(super) fn assert_up_to_date(world: &World) {
    for node in world.nodes.values() {
        let received = by_subscription(node);
        for (channel, (since, subscription)) in &*node.received.watched.lock() {
            let Some(last) = world.published.get(channel).and_then(|events| events.last()) else { continue };
            let last_received = received[*subscription].last().copied();
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
