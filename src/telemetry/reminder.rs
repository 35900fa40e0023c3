//! When to speak of a trouble that lasts.

use std::time::Duration;

use tokio::time::Instant;

/// How often a trouble is told again that lasts.
pub const PACE: Duration = Duration::from_secs(60);

/// How many different reasons are remembered; beyond it, nothing new is told for a while.
const MOST: usize = 1_000;

/// Remembers which reasons were told when: a new one is told at once, one that stays once in a while.
#[derive(Debug)]
pub struct Reminder {
    pace: Duration,
    told: Vec<(String, Instant)>,
}

impl Default for Reminder {
    fn default() -> Self {
        Self { pace: PACE, told: Vec::new() }
    }
}

impl Reminder {
    /// Whether this reason is to be told now; if so, it counts as told.
    pub fn is_due(&mut self, reason: &str) -> bool {
        let now = Instant::now();
        self.told.retain(|(_, at)| now.duration_since(*at) < self.pace);
        let is_due = self.told.len() < MOST && self.told.iter().all(|(told, _)| told != reason);
        if is_due {
            self.told.push((reason.to_owned(), now));
        }
        is_due
    }

    /// The trouble is over: the next one is told at once.
    pub fn forget(&mut self) {
        self.told.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which seconds reasons are told that are there in every second.
    async fn told(reason: impl Fn(u64) -> &'static str, seconds: u64) -> Vec<u64> {
        let mut reminder = Reminder::default();
        let mut told = Vec::new();
        for second in 0..seconds {
            if reminder.is_due(reason(second)) {
                told.push(second);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        told
    }

    #[tokio::test(start_paused = true)]
    async fn a_reason_that_stays_is_told_at_once_and_then_once_a_minute() {
        assert_eq!(told(|_| "away", 181).await, [0, 60, 120, 180]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_reason_is_told_at_once() {
        assert_eq!(told(|second| if second < 10 { "away" } else { "starting" }, 71).await, [0, 10, 70]);
    }

    #[tokio::test(start_paused = true)]
    async fn reasons_that_take_turns_are_each_told_once_a_minute() {
        assert_eq!(told(|second| ["away", "silent"][(second % 2) as usize], 62).await, [0, 1, 60, 61]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_different_reasons_fill_neither_log_nor_memory() {
        let mut reminder = Reminder::default();
        let told = (0..2 * MOST).filter(|number| reminder.is_due(&number.to_string())).count();
        assert_eq!((told, reminder.told.len()), (MOST, MOST));
        tokio::time::advance(PACE).await;
        assert!(reminder.is_due("another"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_that_comes_back_is_told_at_once() {
        let mut reminder = Reminder::default();
        assert!(reminder.is_due("away") && !reminder.is_due("away"));
        reminder.forget();
        assert!(reminder.is_due("away"));
    }
}
