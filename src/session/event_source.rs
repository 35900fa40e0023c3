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
