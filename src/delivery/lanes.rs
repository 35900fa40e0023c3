//! Events of filtered channels wait here for their screening, in order, each channel in a lane of its own: a slow
//! screening holds back its channel and no other, and never the receive loop.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
    time::Instant,
};

use parking_lot::Mutex;

use super::{FanOut, Screening, read};
use crate::{
    domain::{Channel, CloseReason},
    hub::{SessionHandle, Watcher, Writers},
    lifecycle::Lifecycle,
    telemetry::{Metrics, metrics::EventDrop},
};

/// Events that may wait in one lane. Beyond it new ones are dropped and counted.
const MAX_EVENTS: usize = 32_768;

/// Bytes that may wait in one lane. Beyond it new events are dropped and counted.
const MAX_BYTES: usize = 128 * 1024 * 1024;

/// The lanes with something in them. A lane's task lives as long as there is something to do.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    lanes: Arc<Mutex<HashMap<Channel, Lane>>>,
    screening: Arc<Screening>,
    writers: Arc<Writers>,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
}

#[derive(Debug, Default)]
struct Lane {
    items: VecDeque<Item>,
    bytes: usize,
}

/// What waits in a lane.
#[derive(Debug)]
pub(super) enum Item {
    /// An event, with those who watched its channel when it was received.
    Event { message: String, watchers: Arc<Vec<Watcher>>, received: Instant },
    /// A session ends when this was passed in all lanes.
    Fence { _passed: Arc<Fence> },
}

impl Item {
    pub(super) fn event(message: String, watchers: Arc<Vec<Watcher>>) -> Self {
        Self::Event { message, watchers, received: Instant::now() }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Event { message, .. } => message.len(),
            Self::Fence { .. } => 0,
        }
    }
}

/// Ends a session when its last reference is gone.
#[derive(Debug)]
pub(super) struct Fence {
    session: Arc<SessionHandle>,
    reason: CloseReason,
}

impl Fence {
    pub(super) fn new(session: Arc<SessionHandle>, reason: CloseReason) -> Self {
        Self { session, reason }
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.session.outbox.close(self.reason);
    }
}

impl Lanes {
    pub(super) fn new(
        screening: Arc<Screening>,
        writers: Arc<Writers>,
        metrics: Arc<Metrics>,
        lifecycle: Lifecycle,
    ) -> Self {
        Self { lanes: Arc::default(), screening, writers, metrics, lifecycle }
    }

    /// Puts an item at the end of the channel's lane.
    pub(super) fn push(&self, channel: &Channel, item: Item) {
        let mut lanes = self.lanes.lock();
        match lanes.entry(channel.clone()) {
            Entry::Occupied(mut lane) => {
                if !lane.get_mut().push(item) && self.metrics.event_dropped(EventDrop::ScreeningBacklog, 1) {
                    tracing::error!(%channel, "events come faster than they are screened; those dropped are counted");
                }
            }
            Entry::Vacant(place) => {
                place.insert(Lane::default()).push(item);
                let (lanes, channel) = (self.clone(), channel.clone());
                self.lifecycle.spawn("screening lane", async move { lanes.work_off(channel).await });
            }
        }
    }

    /// Puts a fence behind what waits in the channel's lane, if anything does.
    pub(super) fn fence(&self, channel: &Channel, fence: &Arc<Fence>) {
        if let Some(lane) = self.lanes.lock().get_mut(channel) {
            lane.items.push_back(Item::Fence { _passed: Arc::clone(fence) });
        }
    }

    async fn work_off(&self, channel: Channel) {
        let _unwinding = Unwinding { lanes: self, channel: &channel };
        tokio::select! {
            biased;
            () = self.lifecycle.stopping() => {
                // Nobody gets these events any more. The fences among them close their sessions: not under the lock.
                let lane = self.lanes.lock().remove(&channel);
                drop(lane);
            }
            () = self.deliver_all(&channel) => {}
        }
    }

    async fn deliver_all(&self, channel: &Channel) {
        while let Some(item) = self.next(channel) {
            let Item::Event { message, watchers, received } = item else { continue };
            self.deliver(&message, &watchers, received).await;
            // A burst that needs no look-ups must not keep a processor from others.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn next(&self, channel: &Channel) -> Option<Item> {
        let mut lanes = self.lanes.lock();
        let item = lanes.get_mut(channel).and_then(Lane::pop);
        if item.is_none() {
            lanes.remove(channel);
        }
        item
    }

    async fn deliver(&self, message: &str, watchers: &[Watcher], received: Instant) {
        let Some(event) = read(message, &self.metrics) else { return };
        match event.payload().filter(|_| event.is_status()) {
            Some(payload) => self.screening.deliver(&event, payload, watchers, received).await,
            None => {
                let mut fan_out = FanOut::new(&event, &self.writers, &self.metrics);
                for watcher in watchers {
                    fan_out.offer(watcher, None);
                }
            }
        }
    }
}

/// Removes a lane whose task panics, so that the channel's next event opens a new one.
struct Unwinding<'a> {
    lanes: &'a Lanes,
    channel: &'a Channel,
}

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(lane) = self.lanes.lanes.lock().remove(self.channel)
        {
            let events = lane.items.iter().filter(|item| matches!(item, Item::Event { .. })).count();
            self.lanes.metrics.event_dropped(EventDrop::InternalError, 1 + events as u64);
        }
    }
}

impl Lane {
    fn push(&mut self, item: Item) -> bool {
        let fits = self.items.len() < MAX_EVENTS && self.bytes + item.bytes() <= MAX_BYTES;
        if fits || self.items.is_empty() {
            self.bytes += item.bytes();
            self.items.push_back(item);
            true
        } else {
            false
        }
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes();
        Some(item)
    }
}
