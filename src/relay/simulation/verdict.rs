//! What clients got against what was published.

use std::collections::HashMap;

use super::{
    node::Node,
    world::{Published, World},
};
use crate::domain::Channel;

/// How many events were missing, though the channel went on before and after.
pub(super) fn missing(world: &World) -> usize {
    let living = world.nodes.values();
    living.chain(world.buried.iter().map(|(_, node)| node)).map(|node| missing_at(world, node)).sum()
}

/// Checks one run of a node: no event twice, none out of order, none older than the subscription; returns how many are
/// missing between the first and the last.
fn missing_at(world: &World, node: &Node) -> usize {
    let received = node.received.events.lock();
    let mut by_channel: HashMap<&str, Vec<u64>> = HashMap::new();
    for (channel, number) in received.iter() {
        by_channel.entry(channel).or_default().push(*number);
    }
    let mut missing = 0;
    for (channel, since) in &node.watched {
        let numbers = by_channel.remove(channel.as_str()).unwrap_or_default();
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
    assert!(by_channel.is_empty(), "{}: events of channels that nobody watched", node.id);
    missing
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
        let received = node.received.events.lock();
        for (channel, since) in &node.watched {
            let Some(last) = world.published.get(channel).and_then(|events| events.last()) else { continue };
            let last_received =
                received.iter().rev().find(|(name, _)| name == channel.as_str()).map(|(_, number)| *number);
            let is_later = last.at > *since + std::time::Duration::from_millis(500);
            assert!(
                !is_later || last_received == Some(last.number),
                "{}: {channel}: {last_received:?} of {}",
                node.id,
                last.number
            );
        }
    }
}
