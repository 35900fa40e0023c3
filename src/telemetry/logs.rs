//! Logs: lines of JSON on standard output in production, readable lines otherwise.

use std::{
    io::IsTerminal,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::PACE;

/// How much is logged, in what form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The least severe level that is logged.
    pub level: LogLevel,
    /// Whether lines are JSON.
    pub json: bool,
}

/// The levels of `LOG_LEVEL`, as the Node server names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// Every session.
    Debug,
    /// What changes.
    Info,
    /// What needs attention soon.
    Warn,
    /// What needs attention now; `fatal` is the same.
    Error,
}

impl LogLevel {
    /// Reads a value of `LOG_LEVEL`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" | "fatal" => Self::Error,
            _ => return None,
        })
    }

    /// Libraries are heard from `warn` on, unless everything is asked for. Those for Redis and PostgreSQL from `error` on:
    /// what they warn of is a connection that was lost, which this server says itself, once.
    fn filter(self) -> EnvFilter {
        EnvFilter::new(match self {
            Self::Trace => "warn,flodgatt=trace,fred=debug,sqlx=debug",
            Self::Debug => "warn,fred=error,sqlx=error,flodgatt=debug",
            Self::Info => "warn,fred=error,sqlx=error,flodgatt=info",
            Self::Warn => "warn,fred=error,sqlx=error",
            Self::Error => "error",
        })
    }
}

/// Starts logging for this process, and makes panics part of the log.
pub fn start(config: LogConfig) {
    let registry = tracing_subscriber::registry().with(config.level.filter());
    // A second start, as in tests, leaves the first in place.
    let _ = if config.json {
        registry.with(fmt::layer().json().flatten_event(false)).try_init()
    } else {
        registry.with(fmt::layer().with_ansi(std::io::stdout().is_terminal())).try_init()
    };
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let location = panic.location().map(ToString::to_string);
        tracing::error!(message_text = message, location, "panic");
    }));
}

/// Counts what may happen often, so that it does not flood the log: the first time is told at once, what follows once a
/// minute.
#[derive(Debug, Default)]
pub struct Tally {
    untold: AtomicU64,
    happened: Notify,
}

impl Tally {
    /// Nothing has happened.
    pub const fn new() -> Self {
        Self { untold: AtomicU64::new(0), happened: Notify::const_new() }
    }

    /// It has happened once more.
    pub fn count(&self) {
        self.add(1);
    }

    /// It has happened so many times more.
    pub fn add(&self, times: u64) {
        self.untold.fetch_add(times, Ordering::Relaxed);
        self.happened.notify_one();
    }

    /// Runs for ever: calls `tell` with how often it has happened since the last call.
    pub async fn keep_telling(&self, tell: impl Fn(u64)) {
        loop {
            self.happened.notified().await;
            let times = self.untold.swap(0, Ordering::Relaxed);
            // Counted and told, but notified of only afterwards.
            if times > 0 {
                tell(times);
                tokio::time::sleep(PACE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_time_is_told_at_once_and_what_follows_once_a_minute() {
        let (tally, told) = (Tally::new(), parking_lot::Mutex::new(Vec::new()));
        let happens = async {
            let after = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
            tally.count();
            after(1).await;
            assert_eq!(*told.lock(), [1]);
            for _ in 0..1_000 {
                tally.count();
            }
            after(58).await;
            assert_eq!(*told.lock(), [1]);
            after(2).await;
            assert_eq!(*told.lock(), [1, 1_000]);
            after(600).await;
            assert_eq!(told.lock().len(), 2, "there was nothing to tell");
            tally.count();
            after(1).await;
            assert_eq!(*told.lock(), [1, 1_000, 1]);
        };
        tokio::select! {
            () = tally.keep_telling(|times| told.lock().push(times)) => {}
            () = happens => {}
        }
    }
}
