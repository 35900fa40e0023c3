//! Which nodes are there, in words for operators: one line for each that has joined or left, and none for what becomes of
//! channels when Redis goes and comes.

use std::collections::BTreeSet;

use super::{Edge, Silence};
use crate::cluster::NodeId;

/// Of whom it was told last that they are there.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    /// This node, of which nothing is told.
    own: Option<NodeId>,
    told: BTreeSet<NodeId>,
}

impl Attendance {
    /// Nobody but this node is there.
    pub(super) fn of(own: &NodeId) -> Self {
        Self { own: Some(own.clone()), told: BTreeSet::from([own.clone()]) }
    }
}

impl Edge {
    /// Tells who has joined and who has left since it was last called.
    pub(super) fn tell_who_is_there(&mut self) {
        // While nobody has ticks that says nothing of any node.
        let is_alone_silent = |is_silent: bool| is_silent && self.silence == Silence::Partial;
        let is_there = self.links.iter().filter(|(_, link)| !link.is_leaving && !is_alone_silent(link.is_silent));
        let mut there: BTreeSet<NodeId> = is_there.map(|(node, _)| node.clone()).collect();
        there.extend(self.attendance.own.clone());
        let told = &mut self.attendance.told;
        for node in &there {
            if told.insert(node.clone()) {
                tracing::info!(%node, nodes = names(&*told), "a node has joined");
            }
        }
        for node in told.difference(&there).cloned().collect::<Vec<_>>() {
            told.remove(&node);
            tracing::info!(%node, nodes = names(&*told), "a node has left");
        }
    }
}

pub(super) fn names<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    let names: Vec<&str> = nodes.into_iter().map(NodeId::as_str).collect();
    names.join(", ")
}
