//! The end of a session whose client does not read.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Sleep;

use crate::{domain::CloseReason, hub::Outbox};

/// How long a client may take to read what waits for it when its session is told to end.
const MOMENT: Duration = Duration::from_secs(5);

/// Watches over the end of a session: it comes at once if nothing that waits may go out any more, else after a moment.
#[derive(Debug, Default)]
pub struct LastMoment(Option<Pin<Box<Sleep>>>);

impl LastMoment {
    /// Completes when the connection must be given up, whatever waits to be written.
    pub fn poll(&mut self, outbox: &Outbox, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let reason = ready!(outbox.poll_end(cx));
        if reason.lets_pending_frames_out() {
            let moment = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep(MOMENT)));
            ready!(moment.as_mut().poll(cx));
        }
        Poll::Ready(reason)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_was_too_slow_gets_no_moment() {
        let (outbox, mut end) = (Outbox::default(), LastMoment::default());
        assert!(end.poll(&outbox, &mut Context::from_waker(Waker::noop())).is_pending());
        outbox.close(CloseReason::OutboxFull);
        assert!(end.poll(&outbox, &mut Context::from_waker(Waker::noop())).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_was_killed_has_a_moment_to_read() {
        let (outbox, mut end) = (Outbox::default(), LastMoment::default());
        let begun = tokio::time::Instant::now();
        outbox.close(CloseReason::Killed);
        assert_eq!(poll_fn(|cx| end.poll(&outbox, cx)).await, CloseReason::Killed);
        assert!(begun.elapsed() >= MOMENT);
    }
}
