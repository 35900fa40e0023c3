//! What operators see: logs and metrics.

mod exposition;
pub mod logs;
pub mod metrics;
mod plain_words;
pub mod relay;
mod reminder;

pub use metrics::Metrics;
pub use plain_words::{concerns_tls, plain_words};
pub use reminder::{PACE, Reminder};
