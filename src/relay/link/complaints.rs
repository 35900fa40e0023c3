//! What is wrong with others is logged once in a while, however often they try.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// After how long the same is said again.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// How many different things are remembered; beyond it, nothing new is said for a while.
const MOST: usize = 1_000;

/// What was logged lately.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<String, Instant>>);

impl Complaints {
    /// Whether this is to be logged.
    pub(super) fn is_news(&self, what: &str) -> bool {
        let (mut said, now) = (self.0.lock(), Instant::now());
        if said.get(what).is_some_and(|at| now - *at < AGAIN_AFTER) {
            return false;
        }
        if said.len() >= MOST {
            said.retain(|_, at| now - *at < AGAIN_AFTER);
            if said.len() >= MOST {
                return false;
            }
        }
        said.insert(what.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_once_a_minute() {
        let complaints = Complaints::default();
        assert!(complaints.is_news("a"));
        assert!(!complaints.is_news("a"));
        assert!(complaints.is_news("b"));
        tokio::time::advance(AGAIN_AFTER).await;
        assert!(complaints.is_news("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn many_different_things_fill_neither_log_nor_memory() {
        let complaints = Complaints::default();
        let said = (0..10 * MOST).filter(|number| complaints.is_news(&number.to_string())).count();
        assert_eq!((said, complaints.0.lock().len()), (MOST, MOST));
    }
}
