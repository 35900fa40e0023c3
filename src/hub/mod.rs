//! Local interest: which sessions of this node watch which channels, and the outboxes that frames are offered to.

mod outbox;
mod session;
mod socket;
mod state;
mod writers;

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

pub use outbox::{Offer, Outbox, Taken};
pub use session::{FilterCache, SessionHandle, SessionId, Subscription, Watcher};
pub use socket::Socket;
pub use writers::Writers;

use crate::{
    domain::{Channel, ChannelKind, CloseReason, TokenId},
    telemetry::Metrics,
};
use state::State;

/// Who watches what on this node. Shared by reference; its lock is held for moments only.
#[derive(Debug)]
pub struct Hub {
    state: Mutex<State>,
    interest_changed: Notify,
    renewal_wanted: Notify,
    metrics: Arc<Metrics>,
}

/// The sessions that watch a channel at one moment.
#[derive(Clone, Debug)]
pub struct Audience {
    /// The channel.
    pub channel: Channel,
    /// Its watchers; a session may be among them twice, by two streams.
    pub watchers: Arc<Vec<Watcher>>,
}

impl Audience {
    /// Leaves out who came less than this time ago.
    pub fn retain_those_before(&mut self, age: Duration) {
        let now = Instant::now();
        let came_before = |watcher: &Watcher| now.duration_since(watcher.since) >= age;
        if !self.watchers.iter().all(came_before) {
            self.watchers = Arc::new(self.watchers.iter().filter(|watcher| came_before(watcher)).cloned().collect());
        }
    }
}

impl Hub {
    /// Nobody is there yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), interest_changed: Notify::new(), renewal_wanted: Notify::new(), metrics }
    }

    /// A session begins: it listens on its control channels. It must [`leave`](Self::leave) in the end.
    pub fn join(&self, session: &Arc<SessionHandle>) {
        self.state.lock().join(session);
        self.metrics.session_opened(session.framing.transport());
        self.interest_changed.notify_one();
    }

    /// A session subscribes to a stream. Without effect for a session that has left or was expelled.
    pub fn subscribe(&self, session: &Arc<SessionHandle>, subscription: &Arc<Subscription>) {
        if self.state.lock().subscribe(session, subscription) {
            self.metrics.stream_opened(session.framing.transport(), subscription.stream.name);
            self.interest_changed.notify_one();
            self.renewal_wanted.notify_one();
        }
    }

    /// A session unsubscribes from a stream.
    pub fn unsubscribe(&self, session: &SessionHandle, subscription: &Arc<Subscription>) {
        if self.state.lock().unsubscribe(session.id, subscription) {
            self.metrics.stream_closed(session.framing.transport(), subscription.stream.name);
            self.interest_changed.notify_one();
        }
    }

    /// A session ends: nothing of it stays. Returns the streams that it watched until now.
    pub fn leave(&self, session: &SessionHandle) -> Vec<Arc<Subscription>> {
        let left = self.state.lock().leave(session.id);
        let Some(subscriptions) = left else { return Vec::new() };
        for subscription in &subscriptions {
            self.metrics.stream_closed(session.framing.transport(), subscription.stream.name);
        }
        self.metrics.session_closed(session.framing.transport());
        self.interest_changed.notify_one();
        subscriptions
    }

    /// Who watches a channel now.
    pub fn audience(&self, channel: &str) -> Option<Audience> {
        self.state.lock().audience(channel)
    }

    /// Every session reads its viewer's filters anew when it needs them.
    pub fn discard_filters(&self) {
        let sessions = self.state.lock().all_sessions();
        for session in sessions {
            session.filters.discard();
        }
    }

    /// The tokens of all sessions, each once.
    pub fn tokens(&self) -> HashSet<TokenId> {
        self.state.lock().tokens()
    }

    /// Tells every session to end, and every one that joins from now on.
    pub fn close_all(&self, reason: CloseReason) {
        let sessions = self.state.lock().close(reason);
        for session in sessions {
            session.outbox.close(reason);
        }
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.state.lock().sessions()
    }

    /// Waits for channels that gained their first watcher or lost their last one, and takes them.
    pub async fn interest_changes(&self) -> Vec<Channel> {
        loop {
            let changed = self.state.lock().take_changed();
            if !changed.is_empty() {
                return changed;
            }
            self.interest_changed.notified().await;
        }
    }

    /// Whether anybody watches the channel.
    pub fn is_watched(&self, channel: &Channel) -> bool {
        self.state.lock().is_watched(channel)
    }

    /// Waits for channels to which a stream was opened, and takes them: their `subscribed:` keys are to be renewed.
    pub async fn renewals(&self) -> Vec<Channel> {
        loop {
            let wanted = self.state.lock().take_renewals();
            if !wanted.is_empty() {
                return wanted;
            }
            self.renewal_wanted.notified().await;
        }
    }

    /// All channels of open streams.
    pub fn stream_channels(&self) -> Vec<Channel> {
        self.state.lock().channels(|kind| kind != ChannelKind::Control)
    }
}

#[cfg(test)]
mod tests;
