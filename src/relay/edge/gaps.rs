//! What was missed, counted and told.

use std::collections::BTreeMap;

use super::super::message::GapCause;
use crate::{
    cluster::NodeId,
    domain::{Channel, ChannelKind},
    telemetry::Metrics,
};

/// What was missed and not told yet.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// By the cause's label: how many, and one of them.
    untold: BTreeMap<&'static str, (usize, Channel, NodeId)>,
    /// Whether a control channel is among them.
    control: bool,
}

impl Gaps {
    /// Events of a channel are missing, or may be. Without a cause it is no more than the beginning of a subscription.
    pub(super) fn note(&mut self, channel: &Channel, node: &NodeId, cause: Option<GapCause>, metrics: &Metrics) {
        if let Some(cause) = cause {
            metrics.relay.gap(cause);
            let example = || (0, channel.clone(), node.clone());
            self.untold.entry(cause.label()).or_insert_with(example).0 += 1;
        }
        self.control |= channel.kind() == ChannelKind::Control;
    }

    /// Whether control messages were missed since it was last asked: what they would have said is to be found out.
    pub(super) fn take_control(&mut self) -> bool {
        std::mem::take(&mut self.control)
    }

    /// Logs what was missed, a line for each cause, however many channels it is.
    pub(super) fn tell(&mut self) {
        for (cause, (channels, channel, node)) in std::mem::take(&mut self.untold) {
            tracing::warn!(channels, cause, %channel, %node, "events were missed on channels; one of them is named");
        }
    }
}
