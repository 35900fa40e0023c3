//! Whether nothing is left to be done: what simulations ask an edge.

use std::collections::BTreeSet;

use super::{
    super::plan::{Source, Standing},
    Edge,
};
use crate::{cluster::NodeId, domain::Channel};

impl Edge {
    /// What is not as it is to be among these nodes when nothing happens any more, in words.
    pub(in super::super) fn unrest(&self, nodes: &[NodeId]) -> Vec<String> {
        let mut unrest = Vec::new();
        if self.members != nodes {
            unrest.push(format!("the ring has {:?} instead of {nodes:?}", self.members));
        }
        unrest.extend(self.unsettled.keys().map(|channel| format!("{channel} is unsettled")));
        for (channel, interest) in &self.channels {
            let holders = self.ring.holders(channel).expect("there is a node");
            let mut expected = BTreeSet::from([(holders.owner.clone(), true)]);
            expected.extend(holders.standby.map(|standby| (standby.clone(), false)));
            let asked: BTreeSet<_> = interest.asked.iter().map(|asked| (asked.node.clone(), asked.relays)).collect();
            let is_sound =
                interest.asked.iter().all(|asked| asked.confirmed.is_some() && asked.standing == Standing::Good);
            let is_live = matches!(&interest.source, Source::Live { node } if node == holders.owner);
            if !is_live || !is_sound || asked != expected || interest.asked.len() != expected.len() {
                unrest.push(format!("{channel}: {holders:?}, {interest:?}"));
            }
        }
        unrest
    }

    /// Channels that nobody is asked to relay, though somebody could who has not refused.
    pub(in super::super) fn sourceless(&self) -> Vec<Channel> {
        let is_sourceless = |channel: &Channel| {
            let (interest, holders) = (&self.channels[channel], self.ring.holders(channel));
            let refused =
                |node: &NodeId| interest.asked.iter().any(|one| one.node == *node && one.standing != Standing::Good);
            let may_be_asked = holders.iter().flat_map(|holders| std::iter::once(holders.owner).chain(holders.standby));
            matches!(interest.source, Source::None) && may_be_asked.into_iter().any(|node| !refused(node))
        };
        self.channels.keys().filter(|channel| is_sourceless(channel)).cloned().collect()
    }

    /// What a node is asked for, and whether it is to relay it.
    pub(in super::super) fn asks_at(&self, node: &NodeId) -> Vec<(Channel, bool)> {
        let Some(link) = self.links.get(node) else { return Vec::new() };
        let relays = |channel: &Channel| {
            let asked =
                self.channels.get(channel).and_then(|interest| interest.asked.iter().find(|one| one.node == *node));
            asked.is_some_and(|asked| asked.relays)
        };
        link.channels().map(|channel| (channel.clone(), relays(channel))).collect()
    }
}
