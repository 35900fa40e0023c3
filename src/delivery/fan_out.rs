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

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::{
        domain::{StreamRequest, Viewer, json, stream::FeedAccess},
        hub::Subscription,
    };

    fn watcher(account: i64, framing: Framing) -> Watcher {
        let message = json::parse(r#"{"stream":"user"}"#).and_then(json::Value::object).expect("it is an object");
        let viewer = Viewer::in_tests(account, "read");
        let stream = StreamRequest::from_message(&message).resolve(&viewer).expect("it is a stream");
        Watcher {
            session: Arc::new(SessionHandle::new(viewer, framing)),
            subscription: Some(Arc::new(Subscription { stream, access: FeedAccess::OPEN })),
            since: tokio::time::Instant::now(),
        }
    }

    fn frames(watchers: &[Watcher], message: &str) -> Vec<Frame> {
        let event = Event::read(message).expect("it is an event");
        let (writers, metrics) = (Writers::default(), Metrics::default());
        let mut fan_out = FanOut::new(&event, &writers, &metrics);
        for watcher in watchers {
            fan_out.offer(watcher, None);
        }
        drop(fan_out);
        let mut frames = Vec::new();
        for watcher in watchers {
            let taken = watcher.session.outbox.poll_take(&mut Context::from_waker(Waker::noop()), &mut frames, 1);
            assert!(taken.is_ready(), "everybody gets it");
        }
        frames
    }

    fn is_shared(one: &Frame, other: &Frame) -> bool {
        one.0.as_ptr() == other.0.as_ptr()
    }

    #[test]
    fn an_event_is_compressed_once_for_all_clients_that_take_it_so() {
        let framings = [Framing::Deflated, Framing::Text, Framing::Deflated, Framing::Text, Framing::Bare];
        let watchers: Vec<Watcher> = (1..).zip(framings).map(|(account, framing)| watcher(account, framing)).collect();
        let message = format!(r#"{{"event":"update","payload":{{"content":"{}"}}}}"#, "heron ".repeat(50));
        let frames = frames(&watchers, &message);
        assert!(is_shared(&frames[0], &frames[2]) && is_shared(&frames[1], &frames[3]));
        assert_eq!((frames[0].0[0], frames[1].0[0]), (0xc1, 0x81));
        assert!(frames[0].len() < frames[1].len() / 2);
        assert!(frames[4].0.starts_with(b"event: update\n"));
    }

    #[test]
    fn the_same_event_in_several_feeds_is_compressed_once() {
        let content = "heron ".repeat(50);
        let message = format!(r#"{{"event":"update","payload":{{"content":"{content}"}}}}"#);
        let of = |account| frames(&[watcher(account, Framing::Deflated)], &message).remove(0);
        assert!(is_shared(&of(1), &of(2)));
    }

    #[test]
    fn a_short_event_is_sent_as_it_is_to_everybody() {
        let watchers = [watcher(1, Framing::Deflated), watcher(2, Framing::Text)];
        let frames = frames(&watchers, r#"{"event":"delete","payload":"107214471804101576"}"#);
        assert_eq!(frames[0], frames[1]);
    }
}
