//! What a WebSocket client gets.

use serde_json::Value;

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// A close frame, with code and reason if it has them.
    Close(Option<(u16, String)>),
    /// The end of the connection without a close frame.
    Cut,
}

/// An event as Mastodon's clients get it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub stream: Value,
    pub event: String,
    /// None if the key is missing.
    pub payload: Option<Value>,
}

impl Event {
    /// The payload, which is a string of JSON, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let text = self.payload.as_ref().and_then(Value::as_str);
        let text = text.unwrap_or_else(|| panic!("the payload is no string: {self:?}"));
        match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {self:?}"),
        }
    }
}
