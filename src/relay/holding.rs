//! The holder of this node as its upstream, its links and its own edge share it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior},
};

use super::{
    holder::{AskedTwice, EdgeKey, Holder, OutletFull, PORTION},
    log::Limits,
    message::{LARGEST_EVENT, Notice, Order},
    position::Tick,
};
use crate::{
    domain::Channel,
    telemetry::{Metrics, Reminder, logs::Tally, metrics::EventDrop},
    upstream::{LinkState, Sink, Upstream},
};

/// How often a tick is published even if nothing asks for one.
const TICK: Duration = Duration::from_secs(1);

/// The least time between two ticks that are asked for, as all nodes pass each on over all links: subscriptions that are
/// confirmed meanwhile share one.
const SHORTEST_TICK: Duration = Duration::from_millis(25);

/// The same after one that could not be published, which is no burden to anybody.
const NEXT_ATTEMPT: Duration = Duration::from_millis(2);

/// Ticks that cannot be published for less time are nothing to tell: the connection for them may be made anew.
const SHORT: Duration = Duration::from_secs(3);

/// What becomes of a node without ticks.
const IN_ITS_PLACE: &str = "without them it can hold no channels for the cluster, and other nodes do so in its place";

/// What is published on the channel of ticks to see whether that is permitted: it means nothing.
pub const NO_TICK: &str = "check";

/// This node's holder. Its lock is held for moments only.
pub(super) struct Holding {
    holder: Mutex<Holder>,
    tick_channel: Channel,
    tick_wanted: Notify,
    left: Notify,
    /// The tick that was sent last, and when.
    sent: Mutex<Option<(Tick, Instant)>>,
    upstream: OnceLock<Arc<Upstream>>,
    metrics: Arc<Metrics>,
    /// Events that were evicted before their time.
    overrun: Tally,
    /// Messages on the tick channel that are no ticks.
    rubbish: Tally,
}

/// The way from this node's holder to one edge; when it is dropped, the edge is gone.
pub(super) struct Lane {
    holding: Arc<Holding>,
    key: EdgeKey,
    filled: Arc<Notify>,
}

/// Ticks that could not be published since the last one that could.
#[derive(Default)]
struct Failing {
    since: Option<Instant>,
    reminder: Reminder,
}

impl Holding {
    pub(super) fn new(incarnation: u64, limits: Limits, tick_channel: Channel, metrics: Arc<Metrics>) -> Self {
        let holder = Mutex::new(Holder::new(incarnation, limits));
        Self {
            holder,
            tick_channel,
            tick_wanted: Notify::new(),
            left: Notify::new(),
            sent: Mutex::default(),
            upstream: OnceLock::new(),
            metrics,
            overrun: Tally::new(),
            rubbish: Tally::new(),
        }
    }

    /// From where events come; given once, as upstream must know this before.
    pub(super) fn attach(&self, upstream: &Arc<Upstream>) {
        upstream.change(vec![self.tick_channel.clone()], Vec::new());
        assert!(self.upstream.set(Arc::clone(upstream)).is_ok(), "upstream is attached once");
    }

    /// An edge has greeted, another node's or this one's own.
    pub(super) fn greeted(self: &Arc<Self>, is_own: bool) -> Lane {
        let (key, filled) = self.holder.lock().greeted(is_own);
        Lane { holding: Arc::clone(self), key, filled }
    }

    /// Tells every edge to take elsewhere, and waits until no other node asks for anything any more, or none is left
    /// that would not leave too.
    pub(super) async fn leave(&self) {
        self.with(|holder, _| holder.leaving());
        self.left.notified().await;
    }

    /// Whether another node can take over what this one holds, as this node's edge knows.
    pub(super) fn has_heir(&self, has_heir: bool) {
        self.with(|holder, _| holder.has_heir(has_heir));
    }

    /// The channels with keys that this node relays: the whole list, which is long.
    pub(super) fn relayed(&self) -> Vec<Channel> {
        self.holder.lock().relayed()
    }

    /// Those of them that it did not relay before, since this was last asked.
    pub(super) fn newly_relayed(&self) -> Vec<Channel> {
        self.holder.lock().newly_relayed()
    }

    /// Publishes ticks for ever, and tells what goes wrong meanwhile.
    pub(super) async fn tick(&self) {
        let channel = self.tick_channel.as_str();
        let overrun = self.overrun.keep_telling(|events| {
            tracing::warn!(events, "the log of events is full before its time; CLUSTER_LOG_MEGABYTES bounds it");
        });
        let rubbish = self.rubbish.keep_telling(|messages| {
            tracing::warn!(messages, channel, "something else than a tick was published");
        });
        let failing = Mutex::default();
        let publishing = self.publish_ticks(|tick| self.publish(tick, &failing));
        tokio::join!(publishing, self.count_seconds(), overrun, rubbish);
    }

    /// Counts the seconds until own ticks come back, however long it takes to publish them.
    async fn count_seconds(&self) {
        let mut regularly = tokio::time::interval(TICK);
        regularly.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            regularly.tick().await;
            self.another_second();
            self.observe();
        }
    }

    /// Regularly, and soon after subscriptions were confirmed; `publish` says whether it could.
    async fn publish_ticks<F: Future<Output = bool>>(&self, publish: impl Fn(Tick) -> F) {
        let mut regularly = tokio::time::interval(TICK);
        regularly.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = Instant::now();
        loop {
            tokio::select! {
                _ = regularly.tick() => {}
                () = self.tick_wanted.notified() => {
                    tokio::time::sleep_until(next).await;
                }
            }
            let tick = self.holder.lock().next_tick();
            *self.sent.lock() = Some((tick, Instant::now()));
            let begun = Instant::now();
            next = begun + if publish(tick).await { SHORTEST_TICK } else { NEXT_ATTEMPT };
        }
    }

    async fn publish(&self, tick: Tick, failing: &Mutex<Failing>) -> bool {
        let Some(upstream) = self.upstream.get() else { return false };
        let tick = tick.to_string();
        let publishing = upstream.publish(&self.tick_channel, &tick);
        let published = tokio::time::timeout(TICK, publishing).await;
        let mut failing = failing.lock();
        let Ok(published) = published else {
            // There was a connection, which may have ended just then: the next tick finds another. If not, it will be told that
            // none comes back.
            failing.since = None;
            return false;
        };
        let is_published = published.is_ok();
        match published {
            Ok(()) => *failing = Failing::default(),
            // While Redis is away that is told already.
            Err(_) if !matches!(*upstream.state().borrow(), LinkState::Up) => failing.since = None,
            Err(_) if failing.since.get_or_insert_with(Instant::now).elapsed() < SHORT => {}
            Err(error) => self.tell(&error.to_string(), &mut failing.reminder),
        }
        is_published
    }

    fn tell(&self, reason: &str, reminder: &mut Reminder) {
        if reminder.is_due(reason) {
            let channel = self.tick_channel.as_str();
            tracing::warn!(reason, channel, "this node cannot publish its ticks; {IN_ITS_PLACE}");
        }
    }

    fn another_second(&self) {
        let mut falls_silent = false;
        self.with(|holder, _| falls_silent = holder.another_second());
        if falls_silent {
            let channel = self.tick_channel.as_str();
            tracing::warn!(channel, "the ticks of this node do not come back from redis; {IN_ITS_PLACE}");
        }
    }

    fn observe(&self) {
        let (depth, bytes) = self.holder.lock().depth(Instant::now());
        self.metrics.relay.log_depth(depth, bytes);
    }

    fn ticked(&self, tick: Tick) {
        if let Some((_, sent)) = self.sent.lock().take_if(|(sent, _)| *sent == tick) {
            self.metrics.relay.tick_returned(sent.elapsed());
        }
        self.with(|holder, now| holder.ticked(tick, now));
    }

    /// Does something with the holder, and what follows from it at upstream.
    fn with(&self, act: impl FnOnce(&mut Holder, Instant)) {
        let mut holder = self.holder.lock();
        act(&mut holder, Instant::now());
        if let Some(upstream) = self.upstream.get() {
            holder.place_orders(|subscribe, unsubscribe| upstream.change(subscribe, unsubscribe));
        }
        let (wants_tick, has_left, overrun) = (holder.wants_tick(), holder.has_left(), holder.take_overrun());
        drop(holder);
        if has_left {
            self.left.notify_one();
        }
        if wants_tick {
            self.tick_wanted.notify_one();
        }
        if overrun > 0 {
            self.metrics.relay.log_overrun(overrun);
            self.overrun.add(overrun);
        }
    }
}

impl Sink for Holding {
    fn receive(&self, channel: &str, message: &str, age: Duration) {
        if channel == self.tick_channel.as_str() {
            if message == NO_TICK {
                return;
            }
            match message.parse::<Tick>() {
                Ok(tick) => self.ticked(tick),
                Err(_) => self.rubbish.count(),
            }
        } else {
            self.with(|holder, now| holder.received(channel, relayable(message), now - age));
        }
    }

    fn lagged(&self, messages: u64) {
        self.metrics.event_dropped(EventDrop::Lagged, messages);
        self.with(|holder, _| holder.lagged());
    }

    fn connected(&self) {
        self.with(|holder, _| holder.connected());
    }

    fn broken(&self) {
        self.with(|holder, _| holder.broken());
    }

    fn subscribed(&self, change: u64) {
        self.with(|holder, _| holder.subscribed(change));
    }
}

/// What is relayed of a message, the same at every node: of one that is too large only its place, by an empty message. So
/// what was published empty, and is no event, becomes something else that is none.
fn relayable(message: &str) -> &str {
    match message.len() {
        0 => " ",
        1..=LARGEST_EVENT => message,
        _ => "",
    }
}

impl Lane {
    /// The edge asks for this. After an error the link is to be closed.
    pub(super) fn order(&self, orders: Vec<(u64, Order)>) -> Result<(), AskedTwice> {
        let mut placed = Ok(());
        self.holding.with(|holder, _| {
            placed = orders.into_iter().try_for_each(|(ask, order)| holder.order(self.key, ask, order));
        });
        placed
    }

    /// Waits for notices, and takes up to about so many bytes of them. An error if the edge has not taken them in time.
    pub(super) async fn notices(&self, most_bytes: usize) -> Result<Vec<Notice>, OutletFull> {
        loop {
            let (notices, wants_tick) = {
                let mut holder = self.holding.holder.lock();
                (holder.take_notices(self.key, most_bytes, Instant::now())?, holder.wants_tick())
            };
            // What is answered now may have to wait for one.
            if wants_tick {
                self.holding.tick_wanted.notify_one();
            }
            if !notices.is_empty() {
                return Ok(notices);
            }
            self.filled.notified().await;
        }
    }

    /// Waits until more waits for the edge than may: it does not take it in time.
    pub(super) async fn overflowed(&self) {
        while !self.holding.holder.lock().is_overflowed(self.key) {
            self.filled.notified().await;
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut asks = self.holding.holder.lock().gone(self.key).peekable();
        // Also if there are none: whether others have left may depend on it.
        loop {
            let portion = asks.by_ref().take(PORTION);
            self.holding.with(|holder, now| holder.give_up(self.key, portion, now));
            if asks.peek().is_none() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
