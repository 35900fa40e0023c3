//! What a session does with its client's messages: a state machine without I/O.

use std::{collections::VecDeque, sync::Arc};

use super::{Found, LookUp};
use crate::{
    domain::{Refusal, Stream, StreamRequest, Viewer, json, json::Value, stream::FeedAccess},
    hub::Subscription,
};

/// Streams that one connection may be subscribed to. Clients have a handful; each costs memory here and at Redis.
const MAX_SUBSCRIPTIONS: usize = 1_000;

/// Bytes that the names of one connection's streams may take: a hashtag is part of keys, channels and answers.
const MAX_NAME_BYTES: usize = 1024 * 1024;

/// Requests that may wait for a look-up, and the bytes of their parameters. Beyond it they are refused at once.
const MAX_WAITING: usize = 1_000;
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To open a stream.
    Subscribe(StreamRequest),
    /// To close one.
    Unsubscribe(StreamRequest),
}

/// What the session's task has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look this up, and give what was found to [`SessionState::found`].
    LookUp(LookUp),
    /// Tell the hub.
    Subscribe(Arc<Subscription>),
    /// Tell the hub.
    Unsubscribe(Arc<Subscription>),
    /// Send this text.
    Reply(String),
}

/// The state of one session. Requests take effect in the order in which they came, also when one needs a look-up.
#[derive(Debug)]
pub struct SessionState {
    viewer: Viewer,
    subscriptions: Vec<Arc<Subscription>>,
    phase: Phase,
    waiting: VecDeque<Request>,
}

#[derive(Debug)]
enum Phase {
    Ready,
    /// The request that the look-up is for.
    LookingUp(Pending),
}

#[derive(Debug)]
enum Pending {
    Subscribe(Stream),
    Unsubscribe,
}

impl Request {
    /// Reads a client's text message; `None` for everything that Mastodon's server ignores.
    pub fn read(message: &str) -> Option<Self> {
        let message = json::parse_object(message)?;
        match &*message.get("type").and_then(Value::text)? {
            "subscribe" => Some(Self::Subscribe(StreamRequest::from_message(&message))),
            "unsubscribe" => Some(Self::Unsubscribe(StreamRequest::from_message(&message))),
            _ => None,
        }
    }

    fn bytes(&self) -> usize {
        let (Self::Subscribe(request) | Self::Unsubscribe(request)) = self;
        request.bytes()
    }
}

impl SessionState {
    /// A session without subscriptions.
    pub fn new(viewer: Viewer) -> Self {
        Self { viewer, subscriptions: Vec::new(), phase: Phase::Ready, waiting: VecDeque::new() }
    }

    /// Takes a request.
    pub fn request(&mut self, request: Request) -> Vec<Effect> {
        let bytes: usize = self.waiting.iter().map(Request::bytes).sum();
        if !self.waiting.is_empty()
            && (self.waiting.len() >= MAX_WAITING || bytes + request.bytes() > MAX_WAITING_BYTES)
        {
            return vec![match request {
                Request::Subscribe(_) => refuse(Refusal::TooManySubscriptions),
                Request::Unsubscribe(_) => refuse_to_unsubscribe(),
            }];
        }
        self.waiting.push_back(request);
        let mut effects = Vec::new();
        self.proceed(&mut effects);
        effects
    }

    /// Takes the result of the look-up that was asked for.
    pub fn found(&mut self, found: Result<Found, Refusal>) -> Vec<Effect> {
        let mut effects = Vec::new();
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Ready => {}
            Phase::LookingUp(Pending::Subscribe(stream)) => {
                match found.and_then(|found| found.access(&stream, &self.viewer)) {
                    Ok(access) => self.subscribe(stream, access, &mut effects),
                    Err(refusal) => effects.push(refuse(refusal)),
                }
            }
            Phase::LookingUp(Pending::Unsubscribe) => {
                if !found.is_ok_and(|found| found.owns_list) {
                    effects.push(refuse_to_unsubscribe());
                }
            }
        }
        self.proceed(&mut effects);
        effects
    }

    fn proceed(&mut self, effects: &mut Vec<Effect>) {
        while matches!(self.phase, Phase::Ready) {
            let Some(request) = self.waiting.pop_front() else { break };
            match request {
                Request::Subscribe(request) => self.begin_subscribing(&request, effects),
                Request::Unsubscribe(request) => self.begin_unsubscribing(&request, effects),
            }
        }
        if self.waiting.is_empty() {
            // Most sessions never need this again.
            self.waiting = VecDeque::new();
        }
    }

    fn begin_subscribing(&mut self, request: &StreamRequest, effects: &mut Vec<Effect>) {
        let stream = match request.check_scopes(&self.viewer).and_then(|()| request.resolve(&self.viewer)) {
            Ok(stream) => stream,
            Err(refusal) => return effects.push(refuse(refusal)),
        };
        if self.place_of(&stream).is_some() {
            return;
        }
        let bytes: usize = self.subscriptions.iter().map(|open| open.stream.name_bytes()).sum();
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS || bytes + stream.name_bytes() > MAX_NAME_BYTES {
            return effects.push(refuse(Refusal::TooManySubscriptions));
        }
        match LookUp::to_subscribe(&stream, &self.viewer) {
            Some(look_up) => {
                effects.push(Effect::LookUp(look_up));
                self.phase = Phase::LookingUp(Pending::Subscribe(stream));
            }
            None => self.subscribe(stream, FeedAccess::OPEN, effects),
        }
    }

    fn subscribe(&mut self, stream: Stream, access: FeedAccess, effects: &mut Vec<Effect>) {
        let subscription = Arc::new(Subscription { stream, access });
        self.subscriptions.push(Arc::clone(&subscription));
        effects.push(Effect::Subscribe(subscription));
    }

    fn begin_unsubscribing(&mut self, request: &StreamRequest, effects: &mut Vec<Effect>) {
        let Ok(stream) = request.resolve(&self.viewer) else { return effects.push(refuse_to_unsubscribe()) };
        if let Some(place) = self.place_of(&stream) {
            effects.push(Effect::Unsubscribe(self.subscriptions.swap_remove(place)));
        } else if let Some(look_up) = LookUp::to_unsubscribe(&stream, &self.viewer) {
            effects.push(Effect::LookUp(look_up));
            self.phase = Phase::LookingUp(Pending::Unsubscribe);
        }
    }

    /// Streams with the same channels are the same subscription: two spellings of a hashtag, for instance.
    fn place_of(&self, stream: &Stream) -> Option<usize> {
        self.subscriptions.iter().position(|open| open.stream.channels == stream.channels)
    }
}

fn refuse(refusal: Refusal) -> Effect {
    let message = json::quote(refusal.message());
    Effect::Reply(format!(r#"{{"error":{message},"status":{}}}"#, refusal.status()))
}

fn refuse_to_unsubscribe() -> Effect {
    Effect::Reply(r#"{"error":"Error unsubscribing from channel"}"#.to_owned())
}

#[cfg(test)]
mod tests;
