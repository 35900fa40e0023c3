//! A session over server-sent events: the task that says heartbeats and sees the client go. Events leave by the session's
//! outbox.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Interval;

use super::{
    LastMoment, Membership,
    line::{Line, read},
    regularly,
};
use crate::{
    domain::{CloseReason, Frame, Framing},
    hub::Socket,
};

/// Comments tell clients and proxies that the connection is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
const HEARTBEAT_BYTES: &[u8] = b":thump\n\n";

/// What a client may send during its stream, in bytes: nothing of it is needed.
const MOST_HEARD: usize = 64 * 1024;

/// A session whose stream was answered for. It ends when this is dropped.
#[derive(Debug)]
pub struct EventStreamSession {
    membership: Membership,
    heartbeat: Interval,
    /// Bytes that the client has sent after its request.
    heard: usize,
    /// Of a session that ends before its answer is written.
    last_moment: LastMoment,
}

/// What happened next.
enum Step {
    Readable,
    End(CloseReason),
    HeartbeatDue,
}

impl EventStreamSession {
    /// What the body of the answer begins with.
    pub const GREETING: &[u8] = b":)\n";

    /// A session that has subscribed.
    pub fn new(membership: Membership) -> Self {
        Self { membership, heartbeat: regularly(HEARTBEAT), heard: 0, last_moment: LastMoment::default() }
    }

    /// Completes when the session has ended before its answer could be written, and is not worth waiting for.
    pub fn poll_abandoned(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.last_moment.poll(&self.membership.session().outbox, cx)
    }

    /// Serves the client to the end, once the head of the answer and the greeting are written. Of what the client sent
    /// after its request so many bytes were read already.
    pub async fn run(mut self: Box<Self>, socket: Socket, read_ahead: usize) {
        let mut line = Line::new(socket, self.membership.session());
        let mut going_on = self.hear(read_ahead);
        let reason = loop {
            if let Err(reason) = going_on {
                break reason;
            }
            going_on = self.advance(&mut line).await;
        };
        // Who was too slow, or does not read, must not take the end for a regular one.
        let is_complete = reason.lets_pending_frames_out() && line.outbox().is_written();
        let last = (self.framing() == Framing::Chunked).then(Frame::last_chunk);
        self.membership.ends_for(reason);
        // A session that ends watches nothing any more, even while its client takes its time to close.
        drop(self);
        if is_complete {
            Box::pin(line.close(last)).await;
        }
    }

    async fn advance(&mut self, line: &mut Line) -> Result<(), CloseReason> {
        match std::future::poll_fn(|cx| self.poll_step(line, cx)).await {
            Step::Readable => read(&line.socket(), |bytes| self.hear(bytes.len())),
            Step::End(reason) => Err(reason),
            Step::HeartbeatDue => {
                line.say(self.framed(HEARTBEAT_BYTES));
                Ok(())
            }
        }
    }

    fn poll_step(&mut self, line: &mut Line, cx: &mut Context<'_>) -> Poll<Step> {
        if let Poll::Ready(reason) = line.poll_end(cx) {
            return Poll::Ready(Step::End(reason));
        }
        let _ = line.outbox().poll_write(cx);
        // Events do not put the heartbeat off.
        if self.heartbeat.poll_tick(cx).is_ready() {
            return Poll::Ready(Step::HeartbeatDue);
        }
        line.poll_readable(cx).map(|()| Step::Readable)
    }

    /// Lets what the client sent be; one that does not stop is cut off.
    fn hear(&mut self, bytes: usize) -> Result<(), CloseReason> {
        self.heard = self.heard.saturating_add(bytes);
        if self.heard > MOST_HEARD { Err(CloseReason::ClientGone) } else { Ok(()) }
    }

    fn framed(&self, part: &'static [u8]) -> Frame {
        if self.framing() == Framing::Chunked { Frame::chunk(part) } else { Frame::bare(part) }
    }

    fn framing(&self) -> Framing {
        self.membership.session().framing
    }
}

#[cfg(test)]
mod tests;
