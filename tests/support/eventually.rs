//! Waiting for a condition, never for a time.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long any wait of the tests may take before it counts as failed.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What a condition of [`eventually`] may answer: `bool`, `Option<T>`, or `Result<T, seen>`, where `seen` tells what was
/// there instead.
pub trait Outcome {
    type Value;
    fn outcome(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();
    fn outcome(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".into()) }
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".into())
    }
}

impl<T, E: Display> Outcome for Result<T, E> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.map_err(|seen| seen.to_string())
    }
}

/// Asks again and again until the condition holds, and returns what it found.
/// Panics after [`DEADLINE`] with `what` and with what was seen last.
#[track_caller]
pub fn eventually<C, F>(what: impl Display, condition: C) -> impl Future<Output = <F::Output as Outcome>::Value>
where
    C: FnMut() -> F,
    F: Future<Output: Outcome>,
{
    eventually_within(DEADLINE, what, condition)
}

/// [`eventually`] with a deadline of its own, for what takes long by nature (a ping comes after 30 seconds).
#[track_caller]
pub fn eventually_within<C, F>(
    deadline: Duration,
    what: impl Display,
    mut condition: C,
) -> impl Future<Output = <F::Output as Outcome>::Value>
where
    C: FnMut() -> F,
    F: Future<Output: Outcome>,
{
    let caller = std::panic::Location::caller();
    async move {
        let started = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let seen = match condition().await.outcome() {
                Ok(value) => return value,
                Err(seen) => seen,
            };
            assert!(started.elapsed() < deadline, "{caller}: not within {deadline:?}: {what}; seen last: {seen}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

/// The future's result; panics if it takes longer than [`DEADLINE`].
#[track_caller]
pub fn within<F: Future>(what: impl Display, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(value) => value,
            Err(_) => panic!("{caller}: not within {DEADLINE:?}: {what}"),
        }
    }
}
