//! Metrics for Prometheus. The Node server's names and labels are kept, so that dashboards made for it go on; what is
//! new here begins with `flodgatt_`. Every series is there from the start, at zero.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{exposition, relay::RelayMetrics};
use crate::domain::{CloseReason, StreamName, Transport};

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All metrics of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connected_clients: Family<Labels<1>, Gauge>,
    connected_channels: Family<Labels<2>, Gauge>,
    messages_sent: Family<Labels<1>, Counter>,
    sessions_closed: Family<Labels<2>, Counter>,
    events_dropped: Family<Labels<1>, Counter>,
    deliveries_dropped: Family<Labels<1>, Counter>,
    /// Channels subscribed at Redis.
    pub redis_subscriptions: Gauge,
    /// Messages received from Redis.
    pub redis_messages_received: Counter,
    /// Times that a lost connection to Redis was made anew.
    pub redis_reconnects: Counter,
    /// Connections to PostgreSQL: all, those not in use, and look-ups that wait for one.
    pub pg_pool: PoolMetrics,
    /// What happens among the nodes of a cluster.
    pub relay: RelayMetrics,
}

/// The state of the pool of PostgreSQL connections.
#[derive(Debug, Default)]
pub struct PoolMetrics {
    /// Open connections.
    pub total: Gauge,
    /// Open connections that nobody uses.
    pub idle: Gauge,
    /// Statements that wait for a connection.
    pub waiting: Gauge,
}

/// Why an event was given up before it was known for whom it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventDrop {
    /// The message from Redis is no JSON object.
    NoObject,
    /// The message from Redis has no event name.
    NoName,
    /// A status on a filtered stream lacks what screening needs.
    MalformedStatus,
    /// More events waited for screening on one channel than may.
    ScreeningBacklog,
    /// The client library gave up messages because this server did not take them in time.
    Lagged,
    /// A defect of this server.
    InternalError,
}

/// Why an event was not delivered to a viewer for whom it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryDrop {
    /// Blocks, mutes or filters could not be looked up in time.
    ScreeningFailed,
    /// The status waited longer behind others than anybody wants news to be old.
    TooLate,
    /// The viewer's session ended because its outbox was full.
    OutboxFull,
}

impl EventDrop {
    const ALL: [Self; 6] = [
        Self::NoObject,
        Self::NoName,
        Self::MalformedStatus,
        Self::ScreeningBacklog,
        Self::Lagged,
        Self::InternalError,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::NoObject => "no_json_object",
            Self::NoName => "no_event_name",
            Self::MalformedStatus => "malformed_status",
            Self::ScreeningBacklog => "screening_backlog",
            Self::Lagged => "lagged",
            Self::InternalError => "internal_error",
        }
    }
}

impl DeliveryDrop {
    const ALL: [Self; 3] = [Self::ScreeningFailed, Self::TooLate, Self::OutboxFull];

    fn label(self) -> &'static str {
        match self {
            Self::ScreeningFailed => "screening_failed",
            Self::TooLate => "too_late",
            Self::OutboxFull => "outbox_full",
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            connected_clients: Family::default(),
            connected_channels: Family::default(),
            messages_sent: Family::default(),
            sessions_closed: Family::default(),
            events_dropped: Family::default(),
            deliveries_dropped: Family::default(),
            redis_subscriptions: Gauge::default(),
            redis_messages_received: Counter::default(),
            redis_reconnects: Counter::default(),
            pg_pool: PoolMetrics::default(),
            relay: RelayMetrics::new(),
        };
        metrics.start_at_zero();
        metrics.registered()
    }
}

impl Metrics {
    fn start_at_zero(&self) {
        for kind in Transport::ALL {
            let kind = ("type", kind.label());
            self.connected_clients.get_or_create(&[kind]).set(0);
            self.messages_sent.get_or_create(&[kind]).inc_by(0);
            self.connected_channels.get_or_create(&[kind, ("channel", "system")]).set(0);
            for stream in StreamName::ALL {
                self.connected_channels.get_or_create(&[kind, ("channel", stream.label())]).set(0);
            }
            for reason in CloseReason::ALL {
                self.sessions_closed.get_or_create(&[kind, ("reason", reason.label())]).inc_by(0);
            }
        }
        for cause in EventDrop::ALL {
            self.events_dropped.get_or_create(&[("cause", cause.label())]).inc_by(0);
        }
        for cause in DeliveryDrop::ALL {
            self.deliveries_dropped.get_or_create(&[("cause", cause.label())]).inc_by(0);
        }
    }

    #[rustfmt::skip]
    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("connected_clients", "Connected clients by transport", self.connected_clients.clone());
        registry.register("connected_channels", "Open streams by transport and stream; every client adds two to system", self.connected_channels.clone());
        registry.register("messages_sent", "Messages handed to clients by transport", self.messages_sent.clone());
        registry.register("redis_subscriptions", "Channels subscribed at Redis", self.redis_subscriptions.clone());
        registry.register("redis_messages_received", "Messages received from Redis", self.redis_messages_received.clone());
        registry.register("pg_pool_total_connections", "Open connections to PostgreSQL", self.pg_pool.total.clone());
        registry.register("pg_pool_idle_connections", "Open connections to PostgreSQL that are not in use", self.pg_pool.idle.clone());
        registry.register("pg_pool_waiting_queries", "Statements that wait for a connection to PostgreSQL", self.pg_pool.waiting.clone());
        registry.register("flodgatt_sessions_closed", "Sessions that ended, by transport and reason", self.sessions_closed.clone());
        registry.register("flodgatt_events_dropped", "Events given up before delivery, by cause", self.events_dropped.clone());
        registry.register("flodgatt_deliveries_dropped", "Deliveries of an event to one viewer given up, by cause", self.deliveries_dropped.clone());
        registry.register("flodgatt_upstream_reconnects", "Times that a lost connection to Redis was made anew", self.redis_reconnects.clone());
        self.relay.register(registry);
        self
    }

    /// A session began: it listens on two control channels.
    pub fn session_opened(&self, transport: Transport) {
        self.count_session(transport, 1);
    }

    /// A session ended.
    pub fn session_closed(&self, transport: Transport) {
        self.count_session(transport, -1);
    }

    fn count_session(&self, transport: Transport, by: i64) {
        let kind = ("type", transport.label());
        self.connected_clients.get_or_create(&[kind]).inc_by(by);
        self.connected_channels.get_or_create(&[kind, ("channel", "system")]).inc_by(2 * by);
    }

    /// Why a session ended.
    pub fn session_closed_for(&self, transport: Transport, reason: CloseReason) {
        self.sessions_closed.get_or_create(&[("type", transport.label()), ("reason", reason.label())]).inc();
    }

    /// A session subscribed to a stream.
    pub fn stream_opened(&self, transport: Transport, stream: StreamName) {
        self.connected_channels.get_or_create(&[("type", transport.label()), ("channel", stream.label())]).inc();
    }

    /// A session unsubscribed from a stream.
    pub fn stream_closed(&self, transport: Transport, stream: StreamName) {
        self.connected_channels.get_or_create(&[("type", transport.label()), ("channel", stream.label())]).dec();
    }

    /// Messages were handed to clients.
    pub fn sent(&self, transport: Transport, messages: u64) {
        if messages > 0 {
            self.messages_sent.get_or_create(&[("type", transport.label())]).inc_by(messages);
        }
    }

    /// Events were given up. Returns whether it is the first time for this cause: that is worth telling an operator, and
    /// the counter tells the rest.
    pub fn event_dropped(&self, cause: EventDrop, events: u64) -> bool {
        self.events_dropped.get_or_create(&[("cause", cause.label())]).inc_by(events) == 0
    }

    /// Deliveries were given up. Returns whether it is the first time for this cause.
    pub fn delivery_dropped(&self, cause: DeliveryDrop, deliveries: u64) -> bool {
        self.deliveries_dropped.get_or_create(&[("cause", cause.label())]).inc_by(deliveries) == 0
    }

    /// The page for Prometheus, in its text format 0.0.4.
    pub fn page(&self) -> String {
        let mut open_metrics = String::new();
        encode(&mut open_metrics, &self.registry).expect("writing to a string does not fail");
        exposition::text_0_0_4(&open_metrics)
    }
}

/// Only label sets that implement this can be given to [`Family`].
const _: fn() = || {
    fn is_label_set<T: EncodeLabelSet>() {}
    is_label_set::<Labels<1>>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_of_the_node_server_is_there_at_zero() {
        let page = Metrics::default().page();
        for line in [
            "connected_clients{type=\"websocket\"} 0",
            "connected_clients{type=\"eventsource\"} 0",
            "connected_channels{type=\"websocket\",channel=\"system\"} 0",
            "connected_channels{type=\"eventsource\",channel=\"public:remote:media\"} 0",
            "redis_subscriptions 0",
            "redis_messages_received_total 0",
            "messages_sent_total{type=\"eventsource\"} 0",
            "pg_pool_total_connections 0",
            "pg_pool_idle_connections 0",
            "pg_pool_waiting_queries 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
        }
    }

    #[test]
    fn own_metrics_stay_clear_of_the_node_servers_prefixes() {
        let node = [
            "connected_clients",
            "connected_channels",
            "redis_subscriptions",
            "redis_messages_received_total",
            "messages_sent_total",
            "pg_pool_total_connections",
            "pg_pool_idle_connections",
            "pg_pool_waiting_queries",
        ];
        for line in Metrics::default().page().lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).expect("a name stands in a TYPE line");
            assert!(node.contains(&name) || name.starts_with("flodgatt_"), "{name}");
        }
    }
}
