//! Events that this process publishes to itself, for the demo.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{LinkState, Sink};
use crate::domain::Channel;

/// A source of events inside the process.
pub struct Embedded {
    subscribed: Mutex<HashSet<Channel>>,
    sink: Arc<dyn Sink>,
    state: watch::Sender<LinkState>,
    opened: Notify,
}

impl Embedded {
    /// A source that is always up.
    pub fn new(sink: Arc<dyn Sink>) -> Self {
        Self { subscribed: Mutex::default(), sink, state: watch::Sender::new(LinkState::Up), opened: Notify::new() }
    }

    /// Publishes a message as Mastodon does at Redis; whether anybody was subscribed.
    pub fn publish(&self, channel: &str, message: &str) -> bool {
        let subscribed = self.subscribed.lock().contains(channel);
        if subscribed {
            self.sink.receive(channel, message);
        }
        subscribed
    }

    pub(super) fn change(&self, subscribe: Vec<Channel>, unsubscribe: Vec<Channel>) {
        let mut subscribed = self.subscribed.lock();
        subscribed.extend(subscribe);
        for channel in unsubscribe {
            subscribed.remove(&channel);
        }
    }

    /// Waits until somebody opens a stream; once for several that are opened before this is called again.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }

    /// What Mastodon would be told by keys at Redis: somebody watches, most likely since a moment.
    pub(super) fn renew_keys(&self) {
        self.opened.notify_one();
    }

    pub(super) fn state(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}
