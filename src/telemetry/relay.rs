//! What operators see of a cluster.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Metrics of holding, relaying and taking.
#[derive(Debug)]
pub struct RelayMetrics {
    nodes: Gauge,
    channels: Gauge,
    channels_at_risk: Gauge,
    gaps: Family<Labels<1>, Counter>,
    refusals: Family<Labels<1>, Counter>,
    links_closed: Family<Labels<1>, Counter>,
    events_relayed: Counter,
    events_taken: Counter,
    tick_seconds: Histogram,
    log_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
    log_bytes: Gauge,
    log_overrun: Counter,
}

/// Why events are missing, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapCause {
    /// The holder has been subscribed for a shorter time.
    BeforeSince,
    /// They were in the log and are no more.
    Evicted,
    /// The holder does not know the position's tick, and did not learn it in time.
    UnknownTick,
    /// The holder has something else at the position.
    CheckFailed,
    /// The node was lost from which the channel was to be taken first.
    SourceLost,
    /// The holder did not answer.
    NoAnswer,
    /// An event is too large to be relayed.
    TooLarge,
}

impl GapCause {
    /// Every cause.
    pub const ALL: [Self; 7] = [
        Self::BeforeSince,
        Self::Evicted,
        Self::UnknownTick,
        Self::CheckFailed,
        Self::SourceLost,
        Self::NoAnswer,
        Self::TooLarge,
    ];

    /// For metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::BeforeSince => "before_since",
            Self::Evicted => "evicted",
            Self::UnknownTick => "unknown_tick",
            Self::CheckFailed => "check_failed",
            Self::SourceLost => "source_lost",
            Self::NoAnswer => "no_answer",
            Self::TooLarge => "too_large",
        }
    }
}

/// Why a link to another node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// The connection was lost, or could not be made.
    Lost,
    /// The other node could not keep up.
    TooSlow,
    /// The other node said something that makes no sense.
    Protocol,
    /// One of both refused the other.
    Refused,
    /// One of both stops.
    Stopping,
}

impl LinkEnd {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Lost, Self::TooSlow, Self::Protocol, Self::Refused, Self::Stopping];

    fn label(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::TooSlow => "too_slow",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Stopping => "stopping",
        }
    }
}

impl RelayMetrics {
    pub(super) fn new() -> Self {
        let metrics = Self {
            nodes: Gauge::default(),
            channels: Gauge::default(),
            channels_at_risk: Gauge::default(),
            gaps: Family::default(),
            refusals: Family::default(),
            links_closed: Family::default(),
            events_relayed: Counter::default(),
            events_taken: Counter::default(),
            tick_seconds: Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]),
            log_seconds: Gauge::default(),
            log_bytes: Gauge::default(),
            log_overrun: Counter::default(),
        };
        for cause in GapCause::ALL {
            metrics.gaps.get_or_create(&[("cause", cause.label())]).inc_by(0);
            metrics.refusals.get_or_create(&[("cause", cause.label())]).inc_by(0);
        }
        for end in LinkEnd::ALL {
            metrics.links_closed.get_or_create(&[("reason", end.label())]).inc_by(0);
        }
        metrics
    }

    #[rustfmt::skip]
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("flodgatt_cluster_nodes", "Nodes of the cluster that this one has a link to, with itself; 0 without a cluster", self.nodes.clone());
        registry.register("flodgatt_relay_channels", "Channels that this node takes for its sessions", self.channels.clone());
        registry.register("flodgatt_relay_channels_at_risk", "Of these, channels with fewer than two confirmed holders", self.channels_at_risk.clone());
        registry.register("flodgatt_relay_gaps", "Times that events of a channel were missing, or may have been, by cause", self.gaps.clone());
        registry.register("flodgatt_relay_refusals", "Times that a holder lacked events, and another one was asked for them, by cause", self.refusals.clone());
        registry.register("flodgatt_relay_links_closed", "Links to other nodes that ended, by reason", self.links_closed.clone());
        registry.register("flodgatt_relay_events_sent", "Events sent to other nodes", self.events_relayed.clone());
        registry.register("flodgatt_relay_events_taken", "Events taken for own sessions, from this and other nodes", self.events_taken.clone());
        registry.register("flodgatt_relay_tick_seconds", "Time from a tick's sending until it came back", self.tick_seconds.clone());
        registry.register("flodgatt_relay_log_seconds", "Age of the oldest event in the log", self.log_seconds.clone());
        registry.register("flodgatt_relay_log_bytes", "Bytes that the log takes", self.log_bytes.clone());
        registry.register("flodgatt_relay_log_overrun", "Events evicted from the log before their time because it was full", self.log_overrun.clone());
    }

    /// How many nodes there are.
    pub fn nodes(&self, nodes: usize) {
        self.nodes.set(i64::try_from(nodes).unwrap_or(i64::MAX));
    }

    /// How many channels are taken, and how many of them too few nodes hold.
    pub fn channels(&self, all: usize, at_risk: usize) {
        self.channels.set(i64::try_from(all).unwrap_or(i64::MAX));
        self.channels_at_risk.set(i64::try_from(at_risk).unwrap_or(i64::MAX));
    }

    /// Events are missing, or may be.
    pub fn gap(&self, cause: GapCause) {
        self.gaps.get_or_create(&[("cause", cause.label())]).inc();
    }

    /// A holder lacks events.
    pub fn refused(&self, cause: GapCause) {
        self.refusals.get_or_create(&[("cause", cause.label())]).inc();
    }

    /// A link ended.
    pub fn link_closed(&self, end: LinkEnd) {
        self.links_closed.get_or_create(&[("reason", end.label())]).inc();
    }

    /// Events went to another node.
    pub fn relayed(&self, events: u64) {
        self.events_relayed.inc_by(events);
    }

    /// Events were taken for own sessions.
    pub fn taken(&self, events: u64) {
        self.events_taken.inc_by(events);
    }

    /// A tick came back after so long.
    pub fn tick_returned(&self, after: Duration) {
        self.tick_seconds.observe(after.as_secs_f64());
    }

    /// What the log holds.
    pub fn log_depth(&self, depth: Duration, bytes: usize) {
        self.log_seconds.set(depth.as_secs_f64());
        self.log_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Events were evicted before their time.
    pub fn log_overrun(&self, events: u64) {
        self.log_overrun.inc_by(events);
    }
}
