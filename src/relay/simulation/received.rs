//! What a node's clients would have got.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;

use super::record::Record;
use crate::{domain::Channel, telemetry::Metrics, upstream::Sink};

/// An event that a subscription got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Got {
    /// Which one of its channel it is.
    pub number: usize,
    /// Where it stands in the edge's record of the channel.
    pub place: usize,
}

/// One subscription to a channel, and what it got.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub channel: Channel,
    /// When it was made, from the beginning of the simulation on.
    pub since: Duration,
    /// How long the edge's record of the channel was then.
    pub place: usize,
    /// When it was given up, or its node was no more.
    pub until: Option<Duration>,
    pub got: Vec<Got>,
}

impl Subscription {
    pub(super) fn is_open(&self) -> bool {
        self.until.is_none()
    }

    fn ends(&mut self, now: Duration) {
        self.until.get_or_insert(now);
    }
}

/// What the subscriptions of one run of a node got, in the order in which they were made.
#[derive(Default)]
pub(super) struct Received {
    record: OnceLock<Arc<Record>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    subscriptions: Vec<Subscription>,
    /// The last one of each channel for which events may come.
    watched: HashMap<Channel, usize>,
}

impl Received {
    /// Events come from an edge of which this is the record.
    pub(super) fn comes_from(&self, record: Arc<Record>) {
        self.record.set(record).expect("there is one edge");
    }

    pub(super) fn record(&self) -> &Record {
        self.record.get().expect("there is an edge")
    }

    /// Somebody watches a channel from now on.
    pub(super) fn subscribed(&self, channel: &Channel, since: Duration) {
        let place = self.record().length(channel.as_str());
        let mut state = self.state.lock();
        let number = state.subscriptions.len();
        state.watched.insert(channel.clone(), number);
        state.subscriptions.push(Subscription { channel: channel.clone(), since, place, until: None, got: Vec::new() });
    }

    /// Nobody watches it any more, though events may come yet.
    pub(super) fn unsubscribed(&self, channel: &Channel) {
        let now = self.record().now();
        let mut state = self.state.lock();
        if let Some(number) = state.watched.get(channel).copied() {
            state.subscriptions[number].ends(now);
        }
    }

    /// Nobody watches it any more, and nothing may come. Whether anybody has.
    pub(super) fn left(&self, channel: &Channel) -> bool {
        self.unsubscribed(channel);
        self.state.lock().watched.remove(channel).is_some()
    }

    /// The node is no more: what is published from now on is nothing that it missed.
    pub(super) fn ended(&self) {
        let now = self.record().now();
        self.state.lock().subscriptions.iter_mut().for_each(|subscription| subscription.ends(now));
    }

    pub(super) fn is_watched(&self, channel: &Channel) -> bool {
        self.state.lock().watched.contains_key(channel)
    }

    pub(super) fn subscriptions(&self) -> Vec<Subscription> {
        self.state.lock().subscriptions.clone()
    }
}

impl Sink for Received {
    fn receive(&self, channel: &str, message: &str, age: Duration) {
        let (now, length) = (self.record().now(), self.record().length(channel));
        let mut state = self.state.lock();
        let number = *state.watched.get(channel).expect("only what is watched comes");
        let subscription = &mut state.subscriptions[number];
        // As the delivery to sessions does.
        if !age.is_zero() && subscription.since > now.saturating_sub(age) {
            return;
        }
        let number = message.split(' ').next().and_then(|number| number.parse().ok());
        let number = number.expect("events begin with a number");
        // Its entry was made just now.
        subscription.got.push(Got { number, place: length - 1 });
    }

    fn lagged(&self, _messages: u64) {}

    fn connected(&self) {}
}

/// The sum of the metrics that begin so.
pub(super) fn metric(metrics: &Metrics, series: &str) -> usize {
    let page = metrics.page();
    let lines = page.lines().filter(|line| line.starts_with(series));
    lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<usize>().ok()).expect("a number")).sum()
}
