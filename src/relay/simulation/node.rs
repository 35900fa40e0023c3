//! A simulated node and its connection to Redis.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    super::{edge::Edge, holder::Holder, log::Limits, position::Tick},
    received::Received,
};
use crate::{cluster::NodeId, domain::Channel, telemetry::Metrics, upstream::Sink};

pub(super) const TICKS: &str = "ticks";

/// As the task of a real node does: who has not run for longer was stopped.
const ASLEEP: Duration = Duration::from_secs(2);

/// What comes from Redis.
#[derive(Clone, Debug)]
pub(super) enum News {
    Message(Channel, Arc<str>),
    Subscribed(u64),
    Lagged,
    Connected,
    Broken,
}

/// A node's connection to Redis.
#[derive(Default)]
pub(super) struct Upstream {
    pub is_up: bool,
    /// What Redis sends, and when it arrives.
    pub news: VecDeque<(Instant, News)>,
    pub subscribed: HashSet<Channel>,
    wanted: HashSet<Channel>,
    /// Until when nothing passes in either direction, though the connection is not closed.
    pub silent_until: Option<Instant>,
    /// Changes under way: when they take effect.
    changes: VecDeque<(Instant, Vec<Channel>, Vec<Channel>, u64)>,
    number: u64,
}

impl Upstream {
    /// Something arrives later than everything before it.
    pub(super) fn arrives(&mut self, at: Instant, news: News) {
        let at = self.news.back().map_or(at, |(last, _)| at.max(*last));
        self.news.push_back((at, news));
    }

    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.silent_until.is_some_and(|until| until > now)
    }

    pub(super) fn publish(&mut self, channel: &Channel, message: &Arc<str>, at: Instant) {
        if self.is_up && self.subscribed.contains(channel) {
            self.arrives(at, News::Message(channel.clone(), Arc::clone(message)));
        }
    }

    pub(super) fn change(&mut self, subscribe: Vec<Channel>, unsubscribe: Vec<Channel>, at: Instant) -> u64 {
        self.number += 1;
        self.wanted.extend(subscribe.iter().cloned());
        for channel in &unsubscribe {
            self.wanted.remove(channel);
        }
        let at = self.changes.back().map_or(at, |(last, ..)| at.max(*last));
        self.changes.push_back((at, subscribe, unsubscribe, self.number));
        self.number
    }

    /// Messages that are under way are lost, and that is said in their place.
    pub(super) fn lag(&mut self) {
        let is_message = |news: &News| matches!(news, News::Message(..));
        if let Some(first) = self.news.iter().position(|(_, news)| is_message(news)) {
            self.news[first].1 = News::Lagged;
            self.news.retain(|(_, news)| !is_message(news));
        }
    }

    /// Carries out what is due.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some((at, subscribe, unsubscribe, number)) = self.changes.pop_front_if(|(at, ..)| *at <= now) {
            if self.is_up {
                self.subscribed.extend(subscribe);
                for channel in unsubscribe {
                    self.subscribed.remove(&channel);
                }
                self.arrives(at, News::Subscribed(number));
            }
        }
    }

    pub(super) fn cut(&mut self, now: Instant) {
        self.is_up = false;
        self.subscribed.clear();
        self.changes.clear();
        self.arrives(now, News::Broken);
    }

    pub(super) fn restore(&mut self, now: Instant) {
        self.is_up = true;
        self.subscribed.clone_from(&self.wanted);
        self.changes.clear();
        self.arrives(now, News::Subscribed(self.number));
        self.arrives(now, News::Connected);
    }
}

/// One run of a node.
pub(super) struct Node {
    pub id: NodeId,
    pub holder: Holder,
    pub edge: Edge,
    pub upstream: Upstream,
    pub received: Arc<Received>,
    pub metrics: Arc<Metrics>,
    /// Until when the process is stopped.
    pub asleep_until: Option<Instant>,
    /// Whether Redis does not permit it to publish.
    pub is_mute: bool,
    /// When it did something last.
    ran: Instant,
    /// When the holder was told last that another second is over.
    told_second: Instant,
    pub reviewed: Instant,
    pub settled: Instant,
    pub ticked: Instant,
    /// Ticks under way to Redis.
    pub publishing: VecDeque<(Instant, Tick)>,
    /// When the simulation began.
    began: Instant,
}

impl Node {
    pub(super) fn new(id: NodeId, incarnation: u64, began: Instant, now: Instant) -> Self {
        let (received, metrics) = (Arc::<Received>::default(), Arc::<Metrics>::default());
        let limits = Limits { age: Duration::from_secs(60), bytes: 64 * 1024 * 1024 };
        let mut upstream = Upstream::default();
        upstream.change(vec![Channel::named(TICKS)], Vec::new(), now);
        upstream.restore(now);
        let edge = Edge::new(Arc::clone(&received) as Arc<dyn Sink>, Arc::clone(&metrics));
        received.comes_from(edge.record());
        Self {
            id,
            holder: Holder::new(incarnation, limits),
            edge,
            upstream,
            received,
            metrics,
            asleep_until: None,
            is_mute: false,
            ran: now,
            told_second: now,
            reviewed: now,
            settled: now,
            ticked: now,
            publishing: VecDeque::new(),
            began,
        }
    }

    pub(super) fn is_awake(&self, now: Instant) -> bool {
        self.asleep_until.is_none_or(|until| until <= now)
    }

    /// A session subscribes to a channel, if none has.
    pub(super) fn watch(&mut self, channel: &Channel, now: Instant) {
        if !self.received.is_watched(channel) {
            self.received.subscribed(channel, now - self.began);
            self.edge.want(vec![channel.clone()], now);
        }
    }

    /// It unsubscribes.
    pub(super) fn leave(&mut self, channel: &Channel) {
        if self.received.left(channel) {
            self.edge.leave(std::slice::from_ref(channel));
        }
    }

    /// Looks, before it does anything, whether it was stopped.
    pub(super) fn wake(&mut self, now: Instant) {
        if now.duration_since(self.ran) > ASLEEP {
            self.edge.has_slept(now);
        }
        self.ran = now;
    }

    /// Takes what has arrived from Redis.
    pub(super) fn take_news(&mut self, now: Instant) {
        self.received.record().is_at(now - self.began);
        if self.upstream.is_silent(now) {
            return;
        }
        self.upstream.advance(now);
        while let Some((_, news)) = self.upstream.news.pop_front_if(|(at, _)| *at <= now) {
            match news {
                News::Message(channel, message) if channel.as_str() == TICKS => {
                    self.holder.ticked(message.parse().expect("only ticks are published here"), now);
                }
                News::Message(channel, message) => self.holder.received(channel.as_str(), &message, now),
                News::Subscribed(change) => self.holder.subscribed(change),
                News::Lagged => self.holder.lagged(),
                News::Connected => self.holder.connected(),
                News::Broken => self.holder.broken(),
            }
        }
    }

    /// Does what its timers are for.
    pub(super) fn take_time(&mut self, now: Instant, delay: Duration) {
        let since = |time: Instant| now.duration_since(time);
        if since(self.told_second) >= Duration::from_secs(1) {
            self.told_second = now;
            self.holder.another_second();
        }
        if since(self.ticked) >= Duration::from_secs(1)
            || (self.holder.wants_tick() && since(self.ticked).as_millis() >= 2)
        {
            self.ticked = now;
            let tick = self.holder.next_tick();
            if self.upstream.is_up && !self.is_mute {
                self.publishing.push_back((now + delay, tick));
            }
        }
        if since(self.settled) >= Duration::from_millis(100) {
            self.settled = now;
            self.edge.settle(now);
        }
        if since(self.reviewed) >= Duration::from_secs(1) {
            self.reviewed = now;
            self.edge.review(now);
        }
        self.holder.has_heir(self.edge.has_heir(now));
    }

    pub(super) fn place_orders(&mut self, at: Instant) {
        let upstream = &mut self.upstream;
        self.holder.place_orders(|subscribe, unsubscribe| upstream.change(subscribe, unsubscribe, at));
    }
}
