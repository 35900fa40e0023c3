//! After an interruption nobody knows whom Mastodon told to end meanwhile: what the sessions' tokens open is read anew.

use std::{collections::HashSet, time::Duration};

use super::Delivery;
use crate::{
    domain::{Channel, TokenId},
    store::Store,
    telemetry::Reminder,
};

/// Tokens in one statement.
const BATCH: usize = 1_000;

/// The pause after a statement that failed; it doubles up to the longest one.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// The pause after a sweep. What is interrupted again and again shares the next one.
const REST: Duration = Duration::from_secs(1);

impl Delivery {
    /// Makes up for missed kills, one sweep at a time: an interruption during one is followed by another.
    pub(super) async fn end_missed_kills(&self, store: &Store) {
        loop {
            self.interruptions.notified().await;
            let ended = self.sweep(store).await;
            if ended > 0 {
                tracing::info!(sessions = ended, "sessions ended whose kill was missed");
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Ends the sessions whose token opens nothing any more, unless it has merely expired, and returns how many. Nothing of
    /// a session is held meanwhile: the database may be away for long.
    async fn sweep(&self, store: &Store) -> usize {
        let tokens: Vec<TokenId> = self.hub.tokens().into_iter().collect();
        let (mut ended, mut reminder) = (0, Reminder::default());
        for batch in tokens.chunks(BATCH) {
            let in_force = in_force(store, batch, &mut reminder).await;
            for token in batch.iter().filter(|token| !in_force.contains(token)) {
                if let Some(audience) = self.hub.audience(Channel::access_token(*token).as_str()) {
                    ended += audience.watchers.len();
                    self.kill_all(&audience);
                }
            }
        }
        ended
    }
}

/// Those of the tokens that still open something, asked for until there is an answer.
async fn in_force(store: &Store, tokens: &[TokenId], reminder: &mut Reminder) -> HashSet<TokenId> {
    let mut backoff = FIRST_BACKOFF;
    loop {
        match store.in_force(tokens).await {
            Ok(found) => {
                reminder.forget();
                return found;
            }
            Err(error) if reminder.is_due(&error.to_string()) => {
                tracing::warn!(%error, "missed kills cannot be made up for yet; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        domain::{CloseReason, Framing, Viewer},
        hub::{Hub, SessionHandle},
        lifecycle::Lifecycle,
        store::Embedded,
        telemetry::Metrics,
        upstream::Sink,
    };

    #[tokio::test(start_paused = true)]
    async fn messages_that_were_skipped_may_have_been_kills() {
        let (metrics, lifecycle) = (Arc::<Metrics>::default(), Lifecycle::new());
        let hub = Arc::new(Hub::new(Arc::clone(&metrics)));
        let [known, unknown] = [1, 2].map(|account| {
            let session = Arc::new(SessionHandle::new(Viewer::in_tests(account, "read"), Framing::Text));
            hub.join(&session);
            session
        });
        let store = Store::Embedded(Embedded::new(vec![("one".to_owned(), known.viewer.clone())], Vec::new()));
        let delivery = Delivery::new(Arc::clone(&hub), Arc::new(store), metrics, &lifecycle);
        delivery.lagged(1);
        let ended = async {
            while unknown.outbox.ended().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LONGEST_BACKOFF, ended).await.expect("the session ends");
        assert_eq!((unknown.outbox.ended(), known.outbox.ended()), (Some(CloseReason::Killed), None));
        assert_eq!(hub.sessions(), 1);
    }
}
