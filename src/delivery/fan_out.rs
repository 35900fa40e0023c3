//! One event offered to many sessions.

use std::{collections::HashMap, sync::Arc};

use crate::{
    domain::{Event, Frame, Framing, Transport},
    hub::{Offer, SessionHandle, Watcher, Writers},
    telemetry::{Metrics, metrics::DeliveryDrop},
};

/// Offers an event to sessions, encoding it once for each distinct shape: framing, stream name as the client knows
/// it, and result of custom filters. When it is dropped, the sessions are written to, and what was sent is counted.
pub(super) struct FanOut<'a> {
    event: &'a Event<'a>,
    frames: HashMap<Shape<'a>, Frame>,
    due: Vec<&'a Arc<SessionHandle>>,
    writers: &'a Writers,
    metrics: &'a Metrics,
    web_socket: u64,
    event_source: u64,
}

/// Frames are shared among sessions for which all of this is equal.
#[derive(PartialEq, Eq, Hash)]
struct Shape<'a> {
    framing: Framing,
    label: &'a str,
    filtered: Option<&'a str>,
}

impl<'a> FanOut<'a> {
    pub(super) fn new(event: &'a Event<'a>, writers: &'a Writers, metrics: &'a Metrics) -> Self {
        Self { event, frames: HashMap::new(), due: Vec::new(), writers, metrics, web_socket: 0, event_source: 0 }
    }

    /// Offers the event to one session, with the result of its viewer's custom filters if the event gets one.
    pub(super) fn offer(&mut self, watcher: &'a Watcher, filtered: Option<&'a str>) {
        let Some(subscription) = &watcher.subscription else { return };
        if !self.event.is_delivered_to(subscription.stream.name) {
            return;
        }
        let framing = watcher.session.framing;
        let transport = framing.transport();
        let label = match transport {
            Transport::WebSocket => &*subscription.stream.label,
            // A block of an event stream does not name the stream.
            Transport::EventSource => "",
        };
        let event = self.event;
        let shape = Shape { framing, label, filtered };
        let frame = self.frames.entry(shape).or_insert_with(|| event.frame(framing, label, filtered));
        match watcher.session.outbox.offer(frame.clone()) {
            Offer::Accepted => {}
            Offer::Due => self.due.push(&watcher.session),
            Offer::Overflowed => {
                self.metrics.delivery_dropped(DeliveryDrop::OutboxFull, 1);
                return;
            }
            Offer::Ended => return,
        }
        match transport {
            Transport::WebSocket => self.web_socket += 1,
            Transport::EventSource => self.event_source += 1,
        }
    }
}

impl Drop for FanOut<'_> {
    fn drop(&mut self) {
        self.writers.write(&self.due);
        self.metrics.sent(Transport::WebSocket, self.web_socket);
        self.metrics.sent(Transport::EventSource, self.event_source);
    }
}
