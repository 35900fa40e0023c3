//! Tasks and their end: everything that runs beside the caller is spawned here, and everything stops here.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Spawns tasks and stops them. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    tasks: TaskTracker,
    stop: CancellationToken,
    failed: Arc<AtomicBool>,
    abandoned: Arc<AtomicBool>,
    retiring: Arc<AtomicBool>,
}

impl Lifecycle {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task that may end at any time, such as a session.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        // On the heap, for the compiler would keep room for it twice: before it is awaited, and meanwhile.
        let task = Box::pin(task);
        self.tasks.spawn(async move {
            let _alarm = PanicAlarm(name);
            task.await;
        });
    }

    /// Runs a task that the server cannot do without: if it ends before the stop, the server stops and has failed.
    pub fn spawn_essential(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let lifecycle = self.clone();
        self.tasks.spawn(async move {
            let alarm = EssentialTask { name, lifecycle };
            task.await;
            drop(alarm);
        });
    }

    /// Runs something for as long as the server does, which must not end before: it is dropped at the stop.
    pub fn spawn_lasting(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let own = self.clone();
        self.spawn_essential(name, async move {
            tokio::select! {
                () = task => {}
                () = own.stopping() => {}
            }
        });
    }

    /// Completes when the server is to stop.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the server is to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// The stop is near: no clients are to be sent here any more. Everything still runs.
    pub fn retire(&self) {
        self.retiring.store(true, Ordering::Release);
    }

    /// Whether no clients are to be sent here any more.
    pub fn is_retiring(&self) -> bool {
        self.retiring.load(Ordering::Acquire) || self.is_stopping()
    }

    /// Tells every task to stop.
    pub fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    /// Waits until all tasks have ended; `false` if some had not within the limit.
    pub async fn ended(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }

    /// How many tasks run.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Whether an essential task ended before the stop.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Lets the tasks be dropped as they stand, without a stop, as in the crash of a process: that is no failure.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }
}

struct PanicAlarm(&'static str);

impl Drop for PanicAlarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.0, "task panicked");
        }
    }
}

struct EssentialTask {
    name: &'static str,
    lifecycle: Lifecycle,
}

impl Drop for EssentialTask {
    fn drop(&mut self) {
        if !self.lifecycle.is_stopping() && !self.lifecycle.abandoned.load(Ordering::Acquire) {
            tracing::error!(task = self.name, "a task that the server needs has ended; stopping");
            self.lifecycle.failed.store(true, Ordering::Release);
            self.lifecycle.stop();
        }
    }
}

/// A pause before something is tried again, from half as long to half as long again: so that nodes do not try in step.
pub fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_and_stay_within_their_bounds() {
        let pauses: Vec<_> = (0..100).map(|_| jittered(Duration::from_secs(2))).collect();
        assert!(pauses.iter().all(|pause| (1..3).contains(&pause.as_secs())), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }

    #[tokio::test]
    async fn an_essential_task_that_ends_stops_the_server_as_failed() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn_essential("brief", async {});
        lifecycle.stopping().await;
        assert!(lifecycle.has_failed());
    }

    #[tokio::test]
    async fn an_essential_task_that_panics_stops_the_server_as_failed() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn_essential("broken", async { panic!("on purpose") });
        lifecycle.stopping().await;
        assert!(lifecycle.has_failed());
    }

    #[test]
    fn essential_tasks_that_are_abandoned_and_dropped_are_no_failure() {
        let lifecycle = Lifecycle::new();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        lifecycle.spawn_essential("endless", std::future::pending());
        lifecycle.abandon();
        runtime.shutdown_timeout(Duration::from_secs(10));
        assert_eq!((lifecycle.tasks(), lifecycle.has_failed(), lifecycle.is_stopping()), (0, false, false));
    }

    #[tokio::test]
    async fn a_lasting_task_is_dropped_at_the_stop_and_its_earlier_end_is_a_failure() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn_lasting("endless", std::future::pending());
        lifecycle.stop();
        assert!(lifecycle.ended(Duration::from_secs(10)).await && !lifecycle.has_failed());
        let lifecycle = Lifecycle::new();
        lifecycle.spawn_lasting("brief", async {});
        lifecycle.stopping().await;
        assert!(lifecycle.has_failed());
    }

    #[tokio::test]
    async fn tasks_that_end_after_the_stop_are_no_failure() {
        let lifecycle = Lifecycle::new();
        let own = lifecycle.clone();
        lifecycle.spawn_essential("patient", async move { own.stopping().await });
        lifecycle.stop();
        assert!(lifecycle.ended(Duration::from_secs(10)).await);
        assert!(!lifecycle.has_failed());
    }
}
