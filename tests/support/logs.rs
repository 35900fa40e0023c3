//! What a server under test writes.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

/// A line of a server's log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// As it was written.
    pub text: String,
    /// Parsed, or null if it is no JSON (a panic's message on standard error, for instance).
    pub json: Value,
    /// Whether it came on standard error.
    pub is_error_output: bool,
}

impl LogLine {
    fn new(text: String, is_error_output: bool) -> Self {
        let json = serde_json::from_str(&text).unwrap_or_default();
        Self { text, json, is_error_output }
    }

    /// The message without its fields; empty if there is none.
    pub fn message(&self) -> &str {
        self.field("message").as_str().unwrap_or_default()
    }

    /// A field by its name; null if there is none.
    pub fn field(&self, name: &str) -> &Value {
        &self.json["fields"][name]
    }

    /// `INFO`, `WARN`, …; empty if there is none.
    pub fn level(&self) -> &str {
        self.json["level"].as_str().unwrap_or_default()
    }

    /// The module that wrote it.
    pub fn target(&self) -> &str {
        self.json["target"].as_str().unwrap_or_default()
    }
}

/// The lines so far, shared with the threads that read them.
#[derive(Debug, Clone, Default)]
pub struct Logs(Arc<Mutex<Vec<LogLine>>>);

impl Logs {
    /// What a reading thread does with each line.
    pub fn reader(&self, is_error_output: bool) -> impl FnMut(String) + Send + 'static {
        let logs = self.clone();
        move |text| logs.0.lock().push(LogLine::new(text, is_error_output))
    }

    /// Whether all readers have come to the end, so that nothing more will be written.
    pub fn is_complete(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub fn lines(&self) -> Vec<LogLine> {
        self.0.lock().clone()
    }

    /// The first line for which the condition holds.
    pub fn find(&self, mut condition: impl FnMut(&LogLine) -> bool) -> Option<LogLine> {
        self.0.lock().iter().find(|line| condition(line)).cloned()
    }

    /// The last lines as text.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.0.lock();
        let start = lines.len().saturating_sub(count);
        let tail: Vec<&str> = lines[start..].iter().map(|line| line.text.as_str()).collect();
        tail.join("\n")
    }
}
