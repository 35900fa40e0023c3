//! A client of server-sent events that shows comments and raw bytes too.

use serde_json::Value;

use super::eventually::within;
use super::http::{self, Body, Response};
use super::redis::Redis;
use super::statuses::Marker;
use super::wire::{Address, Wire};

/// An open stream.
pub struct Sse {
    wire: Wire,
    body: Body,
    /// The answer's status and headers.
    pub head: Response,
    /// The body so far, every byte.
    raw: Vec<u8>,
    /// How much of it was handed out.
    read: usize,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// With the end of the body, as HTTP wants it.
    Regular,
    /// In the middle of the body, in these words.
    Cut(String),
}

/// Lines up to a blank one.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub lines: Vec<String>,
}

impl Block {
    /// The values of a field, in their order. The space after the colon is taken off, and only one.
    pub fn field(&self, name: &str) -> Vec<&str> {
        let value = |line: &'_ str| -> Option<usize> {
            let rest = line.strip_prefix(name)?.strip_prefix(':')?;
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            Some(line.len() - rest.len())
        };
        let lines = self.lines.iter();
        lines.filter_map(|line| value(line).map(|start| &line[start..])).collect()
    }

    /// The comments, without their colon.
    pub fn comments(&self) -> Vec<&str> {
        let lines = self.lines.iter();
        lines.filter_map(|line| line.strip_prefix(':')).collect()
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The last `event:` line; empty if there is none.
    pub event: String,
    /// The `data:` lines.
    pub data_lines: Vec<String>,
    /// The last `id:` line.
    pub id: Option<String>,
}

impl Event {
    /// The data, its lines joined as a client joins them.
    pub fn data(&self) -> String {
        self.data_lines.join("\n")
    }

    /// The data as JSON; panics if it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.data()) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {self:?}"),
        }
    }
}

impl Sse {
    /// Opens a stream with a token (in the header `Authorization`; an empty one is none) and waits for its first line, `:)`.
    /// Panics if the answer is another than 200.
    pub async fn open(address: impl Into<Address>, target: &str, token: &str) -> Self {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str())];
        let headers = if token.is_empty() { &[] } else { &headers[..] };
        match Self::try_open(address, target, headers).await {
            Ok(stream) => stream,
            Err(response) => panic!("{target} cannot be opened: {response:?}"),
        }
    }

    /// Opens a stream with any headers, or returns the answer that is no stream.
    pub async fn try_open(
        address: impl Into<Address>,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Response> {
        Self::open_on(Wire::open(address).await, target, headers).await
    }

    /// The same on an open connection.
    pub async fn open_on(mut wire: Wire, target: &str, headers: &[(&str, &str)]) -> Result<Self, Response> {
        wire.send(http::encode("GET", target, headers, b"")).await;
        let head = http::read_head(&mut wire).await;
        let body = Body::of(&head, "GET");
        let mut stream = Self { wire, body, head, raw: Vec::new(), read: 0 };
        if stream.head.status != 200 {
            while stream.more().await.is_ok() {}
            stream.head.body = stream.raw;
            return Err(stream.head);
        }
        let first = stream.line().await.expect("a stream has a first line");
        assert_eq!(first, ":)", "first line");
        Ok(stream)
    }

    /// Every byte of the body that has come so far.
    pub fn raw_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// The next lines up to a blank one, comments included; an error if the stream ends.
    pub async fn next_block(&mut self) -> Result<Block, Ending> {
        let mut lines = Vec::new();
        loop {
            match self.line().await? {
                blank if blank.is_empty() => return Ok(Block { lines }),
                line => lines.push(line),
            }
        }
    }

    /// The next event. Comments are passed over.
    #[track_caller]
    pub fn next_event(&mut self) -> impl Future<Output = Event> + Send {
        within("event of a stream", self.event())
    }

    async fn event(&mut self) -> Event {
        loop {
            let block = match self.next_block().await {
                Ok(block) => block,
                Err(ending) => panic!("the stream ended instead of an event: {ending:?}"),
            };
            if let Some(event) = as_event(&block) {
                return event;
            }
        }
    }

    /// How the stream ends; panics if an event comes before.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = Ending> + Send {
        within("end of a stream", self.ending())
    }

    async fn ending(&mut self) -> Ending {
        loop {
            match self.next_block().await {
                Err(ending) => return ending,
                Ok(block) => {
                    if let Some(event) = as_event(&block) {
                        panic!("an event instead of the stream's end: {event:?}");
                    }
                }
            }
        }
    }

    /// That nothing was delivered so far: publishes a marker on a channel and requires it to be the next event.
    pub async fn silent_until(&mut self, redis: &Redis, channel: &str) {
        let marker = Marker::publish(redis, channel).await;
        let next = self.next_event().await;
        assert!(next.data() == marker.payload(), "nothing but the marker was expected, but {next:?} came");
    }

    async fn line(&mut self) -> Result<String, Ending> {
        loop {
            let unread = &self.raw[self.read..];
            if let Some(length) = unread.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8(unread[..length].to_vec());
                self.read += length + 1;
                return Ok(line.expect("a stream is UTF-8"));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Ending> {
        match self.body.next(&mut self.wire).await {
            Ok(Some(part)) => {
                self.raw.extend_from_slice(&part);
                Ok(())
            }
            Ok(None) => Err(Ending::Regular),
            Err(cut) => Err(Ending::Cut(cut)),
        }
    }
}

/// None if there is nothing but comments.
fn as_event(block: &Block) -> Option<Event> {
    if block.lines.iter().all(|line| line.starts_with(':')) {
        return None;
    }
    let last = |name| block.field(name).last().map(std::string::ToString::to_string);
    let data_lines = block.field("data").into_iter().map(str::to_owned);
    Some(Event { event: last("event").unwrap_or_default(), data_lines: data_lines.collect(), id: last("id") })
}
