//! What the log is told of a database that is away, and of look-ups that fail: one trouble once, however many kinds of
//! look-ups have it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::StoreError;
use crate::telemetry::{PACE, Reminder};

/// Shared by all that use a database.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<ByKind>);

/// A database that answers is reachable, but the statement that failed may do so again.
#[derive(Debug, Default)]
struct ByKind {
    unreachable: Complaint,
    /// Since when there has been no connection, if that is so.
    down: Option<Instant>,
    failed: Complaint,
}

#[derive(Debug, Default)]
struct Complaint {
    reminder: Reminder,
    /// Look-ups that failed since it was told last.
    untold: usize,
    last: Option<Instant>,
}

impl Complaints {
    /// So many look-ups failed. If it is time to tell it, how many to tell of.
    pub(super) fn failed(&self, error: &StoreError, lookups: usize) -> Option<usize> {
        let mut by_kind = self.0.lock();
        match error {
            StoreError::Unreachable { .. } => by_kind.unreachable.add(error, lookups),
            StoreError::Failed { .. } => by_kind.failed.add(error, lookups),
        }
    }

    /// There is no connection.
    pub(super) fn lost(&self) {
        self.0.lock().down.get_or_insert_with(Instant::now);
    }

    /// The database answers; for how long it was away until now.
    pub(super) fn answered(&self) -> Option<Duration> {
        let mut by_kind = self.0.lock();
        by_kind.unreachable = Complaint::default();
        by_kind.down.take().map(|since| since.elapsed())
    }
}

impl Complaint {
    fn add(&mut self, error: &StoreError, lookups: usize) -> Option<usize> {
        // What nobody had for so long was another trouble.
        if self.last.is_none_or(|at| at.elapsed() >= PACE) {
            self.untold = 0;
        }
        self.last = Some(Instant::now());
        self.untold += lookups;
        self.reminder.is_due(&error.to_string()).then(|| std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> StoreError {
        StoreError::Unreachable { address: "db:5432".into(), cause: "is away".into() }
    }

    fn failed() -> StoreError {
        StoreError::Failed { address: "db:5432".into(), cause: "no such table".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_that_lasts_is_told_once_a_minute_with_all_look_ups_that_had_it() {
        let complaints = Complaints::default();
        let mut told = Vec::new();
        for _ in 0..=60 {
            told.extend(complaints.failed(&unreachable(), 2));
            tokio::time::advance(PACE / 60).await;
        }
        assert_eq!(told, [2, 120]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_after_another_is_told_at_once_and_by_its_own_look_ups() {
        let complaints = Complaints::default();
        assert_eq!([1, 5].map(|lookups| complaints.failed(&unreachable(), lookups)), [Some(1), None]);
        complaints.answered();
        assert_eq!(complaints.failed(&unreachable(), 2), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_an_outage_is_told_once_with_its_time_since_it_was_first_noticed() {
        let complaints = Complaints::default();
        assert_eq!(complaints.answered(), None);
        complaints.lost();
        tokio::time::advance(PACE).await;
        complaints.lost();
        assert_eq!([complaints.answered(), complaints.answered()], [Some(PACE), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_statement_that_fails_is_told_once_a_minute_though_others_succeed() {
        let complaints = Complaints::default();
        assert_eq!(complaints.failed(&failed(), 1), Some(1));
        complaints.answered();
        assert_eq!(complaints.failed(&failed(), 1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_statement_that_fails_after_an_hour_is_told_by_its_own_look_ups() {
        let complaints = Complaints::default();
        assert_eq!([1, 5].map(|lookups| complaints.failed(&failed(), lookups)), [Some(1), None]);
        tokio::time::advance(PACE * 60).await;
        assert_eq!(complaints.failed(&failed(), 2), Some(2));
    }
}
