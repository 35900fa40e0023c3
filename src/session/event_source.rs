//! A session over server-sent events: the body of its response.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::time::Interval;

use super::{Membership, regularly};
use crate::{
    domain::{CloseReason, Frame},
    hub::Taken,
};

/// Comments tell clients and proxies that the connection is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
const FIRST_BYTES: &[u8] = b":)\n";
const HEARTBEAT_BYTES: &[u8] = b":thump\n\n";

/// Frames that are handed to the HTTP server at once.
const BATCH: usize = 16;

/// The body of an event stream. It ends when the session ends, and the session ends when it is dropped.
#[derive(Debug)]
pub struct EventStream {
    membership: Membership,
    heartbeat: Interval,
    greeted: bool,
    batch: Vec<Frame>,
}

impl EventStream {
    /// The stream of a session that has subscribed.
    pub fn new(membership: Membership) -> Self {
        Self { membership, heartbeat: regularly(HEARTBEAT), greeted: false, batch: Vec::new() }
    }

    fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let taken = self.membership.session().outbox.poll_take(cx, &mut self.batch, BATCH);
        taken.map(|taken| match taken {
            Taken::Frames => Some(Ok(concatenated(&mut self.batch))),
            // A client that was too slow must not take this for a regular end.
            Taken::End(reason) => (reason == CloseReason::OutboxFull).then(|| Err(io::Error::other(reason.label()))),
        })
    }
}

fn concatenated(batch: &mut Vec<Frame>) -> Bytes {
    if batch.len() == 1 {
        return batch.remove(0).0;
    }
    let mut bytes = BytesMut::with_capacity(batch.iter().map(Frame::len).sum());
    for Frame(block) in batch.drain(..) {
        bytes.extend_from_slice(&block);
    }
    bytes.freeze()
}

impl Stream for EventStream {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if !this.greeted {
            this.greeted = true;
            return Poll::Ready(Some(Ok(Bytes::from_static(FIRST_BYTES))));
        }
        // Events do not put the heartbeat off.
        if this.heartbeat.poll_tick(cx).is_ready() {
            return Poll::Ready(Some(Ok(Bytes::from_static(HEARTBEAT_BYTES))));
        }
        this.poll_outbox(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc};

    use tokio::time::Instant;

    use super::*;
    use crate::{
        domain::{Framing, Viewer},
        hub::{Hub, SessionHandle},
        telemetry::Metrics,
    };

    fn stream() -> (EventStream, Arc<SessionHandle>, Arc<Hub>) {
        let metrics = Arc::<Metrics>::default();
        let hub = Arc::new(Hub::new(Arc::clone(&metrics)));
        let viewer = Viewer::in_tests(1, "");
        let session = Arc::new(SessionHandle::new(viewer, Framing::Bare));
        let membership = Membership::new(Arc::clone(&session), Arc::clone(&hub), metrics);
        (EventStream::new(membership), session, hub)
    }

    async fn next(stream: &mut EventStream) -> Option<io::Result<Bytes>> {
        poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
    }

    async fn bytes(stream: &mut EventStream) -> Bytes {
        next(stream).await.expect("the stream goes on").expect("it is no error")
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_come_every_15_seconds() {
        let (mut stream, ..) = stream();
        let began = Instant::now();
        assert_eq!(bytes(&mut stream).await, FIRST_BYTES);
        for beat in 1..=4 {
            assert_eq!(bytes(&mut stream).await, HEARTBEAT_BYTES);
            assert_eq!(began.elapsed().as_secs(), beat * 15);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_do_not_put_heartbeats_off() {
        let (mut stream, session, _hub) = stream();
        let began = Instant::now();
        bytes(&mut stream).await;
        let publishing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(700)).await;
                session.outbox.offer(Frame::block("event: a\ndata: b\n\n".to_owned()));
            }
        });
        let mut beats = Vec::new();
        while beats.len() < 4 {
            if bytes(&mut stream).await == HEARTBEAT_BYTES {
                beats.push(began.elapsed().as_secs());
            }
        }
        publishing.abort();
        assert_eq!(beats, [15, 30, 45, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kill_ends_the_stream_after_what_was_offered_before() {
        let (mut stream, session, _hub) = stream();
        bytes(&mut stream).await;
        session.outbox.offer(Frame::block("a".to_owned()));
        session.outbox.offer(Frame::block("b".to_owned()));
        session.outbox.close(CloseReason::Killed);
        assert_eq!(bytes(&mut stream).await, "ab");
        assert!(next(&mut stream).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_was_too_slow_is_not_told_of_a_regular_end() {
        let (mut stream, session, _hub) = stream();
        bytes(&mut stream).await;
        session.outbox.close(CloseReason::OutboxFull);
        assert!(next(&mut stream).await.expect("something is said").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_dropped_leaves_the_hub() {
        let (stream, session, hub) = stream();
        assert_eq!(hub.sessions(), 1);
        drop(stream);
        assert_eq!((hub.sessions(), session.outbox.ended()), (0, Some(CloseReason::ClientGone)));
    }
}
