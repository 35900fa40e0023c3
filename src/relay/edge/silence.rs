//! Nodes that say nothing any more. Every node passes on the same ticks, which come from Redis: what all of them lack says
//! nothing of any of them.

use std::time::Duration;

use tokio::time::Instant;

use super::{Edge, Link, Loss};
use crate::cluster::NodeId;

/// A link over which no tick has come for so long is dead for channels that others hold.
const SILENCE: Duration = Duration::from_secs(3);

/// By how much the last ticks over two links may differ if the same trouble has ended both.
const TOGETHER: Duration = Duration::from_millis(1_500);

/// Who is silent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nobody, or some.
    #[default]
    Partial,
    /// No tick comes from anybody.
    Complete,
}

impl Edge {
    /// Others take the places of nodes over whose links no ticks come.
    pub(super) fn leave_silent(&mut self, now: Instant) {
        let latest = self.links.values().map(|link| link.heard).max();
        let is_late = |heard: Instant| now.duration_since(heard) > SILENCE;
        self.regard_all(latest.is_some_and(is_late));
        // A node without Redis has no ticks, and others are in its place already.
        let late = |link: &Link| link.is_up() && !link.is_silent && is_late(link.heard);
        let silent: Vec<(NodeId, Instant)> =
            self.links.iter().filter(|(_, link)| late(link)).map(|(node, link)| (node.clone(), link.heard)).collect();
        for (node, heard) in &silent {
            if latest.is_some_and(|latest| latest.duration_since(*heard) > TOGETHER) {
                tracing::warn!(%node, "a node is silent: others take its place");
            }
            self.lose(node, Loss::Silent, now);
            if let Some(link) = self.links.get_mut(node) {
                link.is_silent = true;
            }
        }
        if !silent.is_empty() {
            self.regard(now);
        }
    }

    /// Says it when no ticks come from anybody, and when they come again.
    fn regard_all(&mut self, is_complete: bool) {
        let silence = if is_complete { Silence::Complete } else { Silence::Partial };
        if self.silence == silence {
            return;
        }
        match silence {
            Silence::Complete => {
                tracing::warn!(
                    "no ticks come from any node: Redis stands still, or this node is cut off from all of them"
                );
            }
            Silence::Partial => tracing::info!("ticks come again"),
        }
        self.silence = silence;
    }
}
