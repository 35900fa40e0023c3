//! What operators see: logs and metrics.

mod exposition;
pub mod logs;
pub mod metrics;

pub use metrics::Metrics;
