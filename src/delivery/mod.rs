//! From a published message to frames in outboxes: an event is read once, decided once for all its viewers, and
//! encoded once for each distinct shape.

mod fan_out;
mod lanes;
mod missed_kills;
mod screening;

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use crate::{
    domain::{ChannelKind, CloseReason, Event, event::EventError},
    hub::{Audience, Hub, SessionHandle, Watcher, Writers},
    lifecycle::Lifecycle,
    store::Store,
    telemetry::{Metrics, metrics::EventDrop},
    upstream::Sink,
};
use fan_out::FanOut;
use lanes::{Fence, Item, Lanes};
use screening::Screening;

/// Delivers events to this node's sessions. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Delivery {
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    lanes: Lanes,
    writers: Arc<Writers>,
    /// Tells that kills may have been missed.
    interruptions: Arc<Notify>,
}

impl Delivery {
    /// Delivers to the sessions of `hub`; screens by what `store` knows.
    pub fn new(hub: Arc<Hub>, store: Arc<Store>, metrics: Arc<Metrics>, lifecycle: &Lifecycle) -> Self {
        let writers = Arc::<Writers>::default();
        writers.start(lifecycle);
        let screening = Screening::new(Arc::clone(&store), Arc::clone(&writers), Arc::clone(&metrics));
        let lanes = Lanes::new(Arc::new(screening), Arc::clone(&writers), Arc::clone(&metrics), lifecycle.clone());
        let delivery = Self { hub, metrics, lanes, writers, interruptions: Arc::default() };
        let sweeping = delivery.clone();
        lifecycle.spawn_lasting("missed kills", async move { sweeping.end_missed_kills(&store).await });
        delivery
    }

    /// Obeys a message on a control channel. Nothing of it is forwarded.
    fn obey(&self, audience: &Audience, message: &str) {
        let Some(event) = read(message, &self.metrics) else { return };
        match event.name() {
            "kill" => self.kill_all(audience),
            "filters_changed" => {
                for watcher in audience.watchers.iter() {
                    watcher.session.filters.discard();
                }
            }
            _ => {}
        }
    }

    fn deliver_plain(&self, message: &str, watchers: &[Watcher]) {
        let Some(event) = read(message, &self.metrics) else { return };
        let mut fan_out = FanOut::new(&event, &self.writers, &self.metrics);
        for watcher in watchers {
            fan_out.offer(watcher, None);
        }
    }

    fn kill_all(&self, audience: &Audience) {
        for watcher in audience.watchers.iter() {
            self.kill(&watcher.session);
        }
    }

    /// Ends a session. It gets nothing that was received after this, but what was received before and still waits to be
    /// screened is delivered first: the session closes when the last lane has passed the fence.
    fn kill(&self, session: &Arc<SessionHandle>) {
        let fence = Arc::new(Fence::new(Arc::clone(session), CloseReason::Killed));
        for subscription in self.hub.leave(session) {
            for channel in subscription.stream.channels.iter().filter(|one| one.kind() == ChannelKind::Filtered) {
                self.lanes.fence(channel, &fence);
            }
        }
    }
}

impl Sink for Delivery {
    fn receive(&self, channel: &str, message: &str, age: Duration) {
        let Some(mut audience) = self.hub.audience(channel) else { return };
        if !age.is_zero() {
            audience.retain_those_before(age);
        }
        match audience.channel.kind() {
            ChannelKind::Control => self.obey(&audience, message),
            ChannelKind::Plain => self.deliver_plain(message, &audience.watchers),
            ChannelKind::Filtered => {
                self.lanes.push(&audience.channel, Item::event(message.to_owned(), audience.watchers));
            }
        }
    }

    fn lagged(&self, messages: u64) {
        self.metrics.event_dropped(EventDrop::Lagged, messages);
        self.missed();
    }

    fn connected(&self) {
        self.missed();
    }

    fn missed(&self) {
        // A `filters_changed` may have been among what was missed, or a `kill`.
        self.hub.discard_filters();
        self.interruptions.notify_one();
    }
}

fn read<'a>(message: &'a str, metrics: &Metrics) -> Option<Event<'a>> {
    Event::read(message)
        .inspect_err(|error| {
            let cause = match error {
                EventError::NoObject => EventDrop::NoObject,
                EventError::NoName => EventDrop::NoName,
            };
            let bytes = message.len();
            if metrics.event_dropped(cause, 1) {
                tracing::warn!(%error, bytes, "a message from redis was dropped; further ones are only counted");
            }
        })
        .ok()
}
