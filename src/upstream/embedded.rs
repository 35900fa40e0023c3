//! Events that this process publishes to itself: what Redis is to a server, a bus is to the nodes of the demo.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Instant,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{
    LinkState, Sink,
    intake::{Intake, News},
};
use crate::{domain::Channel, lifecycle::Lifecycle, telemetry::Metrics};

/// What several nodes in this process are subscribed at. Like Redis, it shows all of them one order of all messages.
#[derive(Debug, Default)]
pub struct Bus(Mutex<HashMap<usize, Weak<Subscriber>>>);

/// One node's connection to a bus.
#[derive(Debug)]
pub struct Embedded {
    bus: Arc<Bus>,
    subscriber: Arc<Subscriber>,
}

#[derive(Debug)]
struct Subscriber {
    /// Changes only with the bus locked, so that it changes between two messages.
    subscribed: Mutex<HashSet<Channel>>,
    changes: Mutex<u64>,
    intake: Intake,
    state: watch::Sender<LinkState>,
    opened: Notify,
}

impl Bus {
    /// Publishes a message as Mastodon does at Redis; how many nodes were subscribed.
    pub fn publish(&self, channel: &str, message: &str) -> usize {
        let (channel, message): (Arc<str>, Arc<str>) = (channel.into(), message.into());
        let mut nodes = self.0.lock();
        nodes.retain(|_, node| node.strong_count() > 0);
        let hears = |node: &Arc<Subscriber>| node.is_up() && node.subscribed.lock().contains(&*channel);
        let hearing: Vec<_> = nodes.values().filter_map(Weak::upgrade).filter(hears).collect();
        for node in &hearing {
            node.intake.put(News::Own(Arc::clone(&channel), Arc::clone(&message)));
        }
        hearing.len()
    }
}

impl Embedded {
    /// Connects to a bus; everything published there goes to the sink.
    pub fn start(bus: &Arc<Bus>, sink: Arc<dyn Sink>, metrics: Arc<Metrics>, lifecycle: &Lifecycle) -> Self {
        let subscriber = Arc::new(Subscriber {
            subscribed: Mutex::default(),
            changes: Mutex::default(),
            intake: Intake::new(metrics),
            state: watch::Sender::new(LinkState::Up),
            opened: Notify::new(),
        });
        bus.0.lock().insert(Arc::as_ptr(&subscriber).addr(), Arc::downgrade(&subscriber));
        subscriber.intake.put(News::Connected);
        let heard = Arc::clone(&subscriber);
        lifecycle.spawn_lasting("embedded deliveries", async move { heard.intake.deliver("", sink).await });
        Self { bus: Arc::clone(bus), subscriber }
    }

    /// Publishes a message as Mastodon does at Redis; whether anybody was subscribed.
    pub fn publish(&self, channel: &str, message: &str) -> bool {
        self.subscriber.is_up() && self.bus.publish(channel, message) > 0
    }

    /// Cuts the connection, as when Redis cannot be reached: nothing is heard until it is [restored](Self::restore).
    pub fn cut(&self) {
        let _order = self.bus.0.lock();
        let cut = self.subscriber.state.send_if_modified(|state| {
            let was_up = matches!(state, LinkState::Up);
            *state = LinkState::Down { since: Instant::now(), reason: "cut off".to_owned() };
            was_up
        });
        if cut {
            self.subscriber.intake.put(News::Broken);
        }
    }

    /// Connects again after a [cut](Self::cut).
    pub fn restore(&self) {
        let _order = self.bus.0.lock();
        if !self.subscriber.is_up() {
            self.subscriber.state.send_replace(LinkState::Up);
            self.subscriber.intake.put(News::Subscribed(*self.subscriber.changes.lock()));
            self.subscriber.intake.put(News::Connected);
        }
    }

    pub(super) fn change(&self, subscribe: Vec<Channel>, unsubscribe: Vec<Channel>) -> u64 {
        let _order = self.bus.0.lock();
        let mut subscribed = self.subscriber.subscribed.lock();
        subscribed.extend(subscribe);
        for channel in unsubscribe {
            subscribed.remove(&channel);
        }
        let mut changes = self.subscriber.changes.lock();
        *changes += 1;
        if self.subscriber.is_up() {
            self.subscriber.intake.put(News::Subscribed(*changes));
        }
        *changes
    }

    /// What it is subscribed at now.
    pub fn channels(&self) -> Vec<Channel> {
        self.subscriber.subscribed.lock().iter().cloned().collect()
    }

    /// Waits until somebody opens a stream; once for several that are opened before this is called again.
    pub async fn opened(&self) {
        self.subscriber.opened.notified().await;
    }

    /// What Mastodon would be told by keys at Redis: somebody watches, most likely since a moment.
    pub(super) fn renew_keys(&self) {
        self.subscriber.opened.notify_one();
    }

    pub(super) fn state(&self) -> watch::Receiver<LinkState> {
        self.subscriber.state.subscribe()
    }
}

impl Subscriber {
    fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), LinkState::Up)
    }
}
