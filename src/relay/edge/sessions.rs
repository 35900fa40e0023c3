//! What the sessions of this node get, and what they missed.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::super::message::GapCause;
#[cfg(test)]
use super::super::simulation::record::{Record, What};
use crate::{
    cluster::NodeId,
    domain::{Channel, ChannelKind},
    telemetry::Metrics,
    upstream::Sink,
};

/// The way to the sessions.
pub(super) struct Sessions {
    sink: Arc<dyn Sink>,
    metrics: Arc<Metrics>,
    /// What was missed and not told yet, by the cause's label: on how many channels, and one of them.
    untold: BTreeMap<&'static str, (usize, Channel, NodeId)>,
    /// Whether a control channel was among those of which something was missed.
    control: bool,
    /// What happened, for simulations.
    #[cfg(test)]
    pub record: Arc<Record>,
}

impl Sessions {
    pub(super) fn new(sink: Arc<dyn Sink>, metrics: Arc<Metrics>) -> Self {
        Self {
            sink,
            metrics,
            untold: BTreeMap::new(),
            control: false,
            #[cfg(test)]
            record: Arc::default(),
        }
    }

    /// Hands an event on. One that was too large for the link came empty.
    pub(super) fn give(&mut self, channel: &Channel, node: &NodeId, message: &str, age: Duration) {
        if message.is_empty() {
            return self.miss(channel, node, Some(GapCause::TooLarge));
        }
        // An event that nobody could foresee costs itself.
        if catch_unwind(AssertUnwindSafe(|| self.sink.receive(channel.as_str(), message, age))).is_err() {
            self.sink.lagged(1);
        }
        self.metrics.relay.taken(1);
    }

    /// Events of a channel are missing, or may be. Without a cause it is no more than the beginning of a subscription.
    pub(super) fn miss(&mut self, channel: &Channel, node: &NodeId, cause: Option<GapCause>) {
        #[cfg(test)]
        self.record.note(channel, What::Missed { is_counted: cause.is_some() });
        if let Some(cause) = cause {
            self.metrics.relay.gap(cause);
            let example = || (0, channel.clone(), node.clone());
            self.untold.entry(cause.label()).or_insert_with(example).0 += 1;
        }
        self.control |= channel.kind() == ChannelKind::Control;
    }

    /// Has found out what control messages would have said, if some were missed since it was last called.
    pub(super) fn make_up(&mut self) {
        if std::mem::take(&mut self.control) {
            self.sink.missed();
        }
    }

    /// Logs what was missed, a line for each cause, however many channels it is.
    pub(super) fn tell(&mut self) {
        for (cause, (gaps, channel, node)) in std::mem::take(&mut self.untold) {
            // What is certain only if something is known to have been there.
            if [GapCause::Evicted, GapCause::TooLarge].map(GapCause::label).contains(&cause) {
                tracing::warn!(gaps, cause, %channel, %node, "events of channels were missed; one of them is named");
            } else {
                tracing::warn!(gaps, cause, %channel, %node, "events of channels may have been missed; one of them is named");
            }
        }
    }
}
