//! One message published on a channel: an event name and a payload.

use std::{borrow::Cow, sync::OnceLock};

use super::{Frame, Framing, StreamName, json, json::Value};

/// A published message, read once; it borrows from the message's text.
#[derive(Debug)]
pub struct Event<'a> {
    name: Cow<'a, str>,
    payload: Option<Value<'a>>,
    /// The payload as a JSON string, made when the first WebSocket frame needs it.
    quoted: OnceLock<String>,
}

/// Why a message is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not an object of JSON.
    #[error("the message is no JSON object")]
    NoObject,
    /// `event` is missing, empty or no string.
    #[error("the message has no event name")]
    NoName,
}

impl<'a> Event<'a> {
    /// Reads a message as Mastodon publishes it: `{"event": …, "payload": …}`, where further keys do not count.
    pub fn read(message: &'a str) -> Result<Self, EventError> {
        let object = json::parse_object(message).ok_or(EventError::NoObject)?;
        let name = object.get("event").and_then(Value::text).filter(|name| !name.is_empty());
        Ok(Self { name: name.ok_or(EventError::NoName)?, payload: object.get("payload"), quoted: OnceLock::new() })
    }

    /// The event's name, such as `update`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The payload, if there is one that ECMAScript would not call false.
    pub fn payload(&self) -> Option<Value<'a>> {
        self.payload.filter(|payload| payload.is_truthy())
    }

    /// Whether the payload is a status that public and hashtag streams screen.
    pub fn is_status(&self) -> bool {
        matches!(&*self.name, "update" | "status.update")
    }

    /// Whether a stream forwards this event: one without payload only if it is `filters_changed` on `user`.
    pub fn is_delivered_to(&self, stream: StreamName) -> bool {
        self.payload().is_some() || (stream == StreamName::User && self.name == "filters_changed")
    }

    /// What is written to sessions of this framing whose clients know the stream by this label (a JSON array), with the
    /// result of their custom filters (a JSON array) as the payload's key `filtered`.
    pub fn frame(&self, framing: Framing, label: &str, filtered: Option<&str>) -> Frame {
        match framing {
            Framing::Text => self.message(label, filtered, Frame::text_of),
            Framing::Deflated => self.message(label, filtered, |pieces| Frame::deflated(&pieces.concat())),
            Framing::Chunked => Frame::chunk(self.block(filtered).as_bytes()),
            Framing::Bare => Frame::bare(self.block(filtered)),
        }
    }

    /// What a WebSocket says of it, in pieces.
    fn message(&self, label: &str, filtered: Option<&str>, encode: impl FnOnce(&[&str]) -> Frame) -> Frame {
        let (stream, event, payload) = (r#"{"stream":"#, r#","event":"#, r#","payload":"#);
        let name = &*json::quote(&self.name);
        let Some(value) = self.payload() else { return encode(&[stream, label, event, name, "}"]) };
        if !(value.is_object() || value.is_array()) {
            return encode(&[stream, label, event, name, payload, value.raw(), "}"]);
        }
        let quoted = self.quoted.get_or_init(|| json::quote(value.raw()));
        let Some(filtered) = filtered else {
            return encode(&[stream, label, event, name, payload, quoted, "}"]);
        };
        // The quoted object ends with `}"`, the quoted addition begins with `"`.
        let open = &quoted[..quoted.len() - 2];
        let addition = &json::quote(&format!(r#","filtered":{filtered}}}"#))[1..];
        encode(&[stream, label, event, name, payload, open, addition, "}"])
    }

    fn block(&self, filtered: Option<&str>) -> String {
        let mut block = format!("event: {}\n", self.name.replace(['\r', '\n'], ""));
        match (self.payload(), filtered) {
            (None, _) => push_data(&mut block, "undefined"),
            (Some(payload), Some(filtered)) => {
                let open = &payload.raw()[..payload.raw().len() - 1];
                push_data(&mut block, &format!(r#"{open},"filtered":{filtered}}}"#));
            }
            (Some(payload), None) => {
                push_data(&mut block, &payload.text().unwrap_or(Cow::Borrowed(payload.raw())));
            }
        }
        block.push('\n');
        block
    }
}

/// One `data:` line for each line: any of LF, CR and CRLF ends a line of an event stream (WHATWG HTML, 9.2.6).
fn push_data(block: &mut String, data: &str) {
    block.reserve(data.len() + 16);
    let unified: Cow<'_, str> =
        if data.contains('\r') { data.replace("\r\n", "\n").replace('\r', "\n").into() } else { data.into() };
    for line in unified.split('\n') {
        block.push_str("data: ");
        block.push_str(line);
        block.push('\n');
    }
}

#[cfg(test)]
mod tests;
