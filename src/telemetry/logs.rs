//! Logs: lines of JSON on standard output in production, readable lines otherwise.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

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
