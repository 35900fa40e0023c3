//! What is known of a server that refuses connections.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// A server that refuses is not tried again before.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A refusal that is so old says nothing of the server any more.
const STALE: Duration = Duration::from_secs(2);

/// Lets one try a server that refuses, a few times a second, and tells all others what the last one was told.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// When the last attempt began.
    attempted: Option<Instant>,
    /// When somebody was let in last.
    let_in: Option<Instant>,
    /// The last refusal since, and when it came.
    refusal: Option<(Instant, Arc<sqlx::Error>)>,
}

/// An attempt to connect, by when it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt(Instant);

impl Refusals {
    /// The caller is to try; or else what it would be told.
    pub(super) fn attempt(&self) -> Result<Attempt, Arc<sqlx::Error>> {
        let mut known = self.0.lock();
        let tried_lately = known.attempted.is_some_and(|at| at.elapsed() < RETRY_PAUSE);
        match &known.refusal {
            Some((at, error)) if tried_lately && at.elapsed() < STALE => Err(Arc::clone(error)),
            _ => {
                let now = Instant::now();
                known.attempted = Some(now);
                Ok(Attempt(now))
            }
        }
    }

    /// The attempt was refused. If somebody was let in since it began, that is the later news.
    pub(super) fn refused(&self, attempt: Attempt, error: &Arc<sqlx::Error>) {
        let mut known = self.0.lock();
        if known.let_in.is_none_or(|at| at <= attempt.0) {
            known.refusal = Some((Instant::now(), Arc::clone(error)));
        }
    }

    /// An attempt succeeded.
    pub(super) fn let_in(&self) {
        let mut known = self.0.lock();
        known.let_in = Some(Instant::now());
        known.refusal = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    fn error() -> Arc<sqlx::Error> {
        Arc::new(sqlx::Error::PoolClosed)
    }

    /// A server that has just refused somebody.
    fn refusing() -> Refusals {
        let refusals = Refusals::default();
        refusals.refused(refusals.attempt().expect("nothing is known"), &error());
        refusals
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_of_which_nothing_is_known_is_tried_by_everybody() {
        let refusals = Refusals::default();
        assert!(refusals.attempt().is_ok() && refusals.attempt().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_told_to_all_who_come_within_the_pause() {
        let refusals = refusing();
        tokio::time::advance(RETRY_PAUSE - MOMENT).await;
        assert!(refusals.attempt().is_err() && refusals.attempt().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_pause_one_tries_and_others_are_told_the_last_refusal() {
        let refusals = refusing();
        tokio::time::advance(RETRY_PAUSE).await;
        assert!(refusals.attempt().is_ok() && refusals.attempt().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_is_long_past_is_told_to_nobody_even_while_another_tries() {
        let refusals = refusing();
        tokio::time::advance(STALE).await;
        assert!(refusals.attempt().is_ok() && refusals.attempt().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_let_in_ends_the_refusal() {
        let refusals = refusing();
        refusals.let_in();
        assert!(refusals.attempt().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_comes_after_another_was_let_in_is_late_and_counts_for_nothing() {
        let refusals = Refusals::default();
        let attempt = refusals.attempt().expect("nothing is known");
        tokio::time::advance(MOMENT).await;
        refusals.let_in();
        refusals.refused(attempt, &error());
        assert!(refusals.attempt().is_ok());
    }
}
