//! What the hub's lock protects.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use tokio::time::Instant;

use super::{Audience, SessionHandle, SessionId, Subscription, Watcher};
use crate::domain::{Channel, ChannelKind, CloseReason, TokenId, stream};

#[derive(Debug, Default)]
pub(super) struct State {
    /// Channels with at least one watcher. A fan-out keeps its own reference to the watchers that it saw.
    channels: HashMap<Channel, Arc<Vec<Watcher>>>,
    sessions: HashMap<SessionId, Member>,
    /// Channels whose interest went from none to some, or back, since it was last asked.
    changed: HashSet<Channel>,
    /// Channels of streams that were opened since it was last asked.
    renewals: HashSet<Channel>,
    /// Set once the server stops: whoever joins is closed at once.
    closing: Option<CloseReason>,
}

#[derive(Debug)]
struct Member {
    session: Arc<SessionHandle>,
    subscriptions: Vec<Arc<Subscription>>,
}

impl State {
    pub(super) fn join(&mut self, session: &Arc<SessionHandle>) {
        self.sessions.insert(session.id, Member { session: Arc::clone(session), subscriptions: Vec::new() });
        for channel in stream::control_channels(&session.viewer) {
            self.watch(channel, Watcher { session: Arc::clone(session), subscription: None, since: Instant::now() });
        }
        if let Some(reason) = self.closing {
            session.outbox.close(reason);
        }
    }

    pub(super) fn subscribe(&mut self, session: &Arc<SessionHandle>, subscription: &Arc<Subscription>) -> bool {
        let Some(member) = self.sessions.get_mut(&session.id) else { return false };
        member.subscriptions.push(Arc::clone(subscription));
        for channel in &subscription.stream.channels {
            self.renewals.insert(channel.clone());
            let subscription = Some(Arc::clone(subscription));
            self.watch(channel.clone(), Watcher { session: Arc::clone(session), subscription, since: Instant::now() });
        }
        true
    }

    pub(super) fn unsubscribe(&mut self, session: SessionId, subscription: &Arc<Subscription>) -> bool {
        let Some(member) = self.sessions.get_mut(&session) else { return false };
        let Some(place) = member.subscriptions.iter().position(|one| Arc::ptr_eq(one, subscription)) else {
            return false;
        };
        member.subscriptions.swap_remove(place);
        self.unwatch_stream(session, subscription);
        true
    }

    pub(super) fn leave(&mut self, session: SessionId) -> Option<Vec<Arc<Subscription>>> {
        let member = self.sessions.remove(&session)?;
        for subscription in &member.subscriptions {
            self.unwatch_stream(session, subscription);
        }
        for channel in stream::control_channels(&member.session.viewer) {
            self.unwatch(&channel, |watcher| watcher.session.id == session);
        }
        Some(member.subscriptions)
    }

    pub(super) fn close(&mut self, reason: CloseReason) -> Vec<Arc<SessionHandle>> {
        self.closing = Some(reason);
        self.all_sessions()
    }

    pub(super) fn all_sessions(&self) -> Vec<Arc<SessionHandle>> {
        self.sessions.values().map(|member| Arc::clone(&member.session)).collect()
    }

    pub(super) fn tokens(&self) -> HashSet<TokenId> {
        self.sessions.values().map(|member| member.session.viewer.token).collect()
    }

    pub(super) fn audience(&self, channel: &str) -> Option<Audience> {
        let (channel, watchers) = self.channels.get_key_value(channel)?;
        Some(Audience { channel: channel.clone(), watchers: Arc::clone(watchers) })
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn is_watched(&self, channel: &Channel) -> bool {
        self.channels.contains_key(channel)
    }

    pub(super) fn channels(&self, wanted: impl Fn(ChannelKind) -> bool) -> Vec<Channel> {
        self.channels.keys().filter(|channel| wanted(channel.kind())).cloned().collect()
    }

    pub(super) fn take_changed(&mut self) -> Vec<Channel> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    pub(super) fn take_renewals(&mut self) -> Vec<Channel> {
        std::mem::take(&mut self.renewals).into_iter().collect()
    }

    fn watch(&mut self, channel: Channel, watcher: Watcher) {
        match self.channels.entry(channel) {
            Entry::Occupied(mut watchers) => Arc::make_mut(watchers.get_mut()).push(watcher),
            Entry::Vacant(place) => {
                self.changed.insert(place.key().clone());
                place.insert(Arc::new(vec![watcher]));
            }
        }
    }

    fn unwatch_stream(&mut self, session: SessionId, subscription: &Arc<Subscription>) {
        let by_this_stream = |watcher: &Watcher| {
            watcher.session.id == session
                && watcher.subscription.as_ref().is_some_and(|one| Arc::ptr_eq(one, subscription))
        };
        for channel in &subscription.stream.channels {
            self.unwatch(channel, by_this_stream);
        }
    }

    fn unwatch(&mut self, channel: &Channel, which: impl Fn(&Watcher) -> bool) {
        let Some(watchers) = self.channels.get_mut(channel) else { return };
        let Some(place) = watchers.iter().position(which) else { return };
        if watchers.len() > 1 {
            Arc::make_mut(watchers).swap_remove(place);
        } else {
            self.channels.remove(channel);
            self.changed.insert(channel.clone());
        }
    }
}
