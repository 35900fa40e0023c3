//! A session's place in the hub.

use std::sync::Arc;

use crate::{
    domain::CloseReason,
    hub::{Hub, SessionHandle, Subscription},
    telemetry::{Metrics, logs::Tally},
};

/// Sessions of this process that ended because their clients did not read.
static TOO_SLOW: Tally = Tally::new();

/// Runs for ever: tells of sessions that ended because their clients did not read. A whole crowd of them may end at once.
pub async fn tell_of_slow_clients() {
    TOO_SLOW
        .keep_telling(|sessions| {
            let reason = CloseReason::OutboxFull.label();
            tracing::info!(sessions, reason, "sessions were ended whose clients read more slowly than events came");
        })
        .await;
}

/// A session that has joined the hub. When this is dropped, whatever happened, nothing of the session stays there.
#[derive(Debug)]
pub struct Membership {
    session: Arc<SessionHandle>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
}

impl Membership {
    /// Joins the hub.
    pub fn new(session: Arc<SessionHandle>, hub: Arc<Hub>, metrics: Arc<Metrics>) -> Self {
        hub.join(&session);
        Self { session, hub, metrics }
    }

    /// The session.
    pub fn session(&self) -> &Arc<SessionHandle> {
        &self.session
    }

    /// Subscribes to a stream.
    pub fn subscribe(&self, subscription: &Arc<Subscription>) {
        self.hub.subscribe(&self.session, subscription);
    }

    /// Unsubscribes from a stream.
    pub fn unsubscribe(&self, subscription: &Arc<Subscription>) {
        self.hub.unsubscribe(&self.session, subscription);
    }

    /// Says why the session ends, unless it was told to end before; otherwise its client is gone.
    pub fn ends_for(&self, reason: CloseReason) {
        self.session.outbox.close(reason);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.session.outbox.close(CloseReason::ClientGone);
        // The first reason counts: a client that did not read is lost only later.
        let reason = self.session.outbox.ended().unwrap_or(CloseReason::ClientGone);
        self.hub.leave(&self.session);
        let transport = self.session.framing.transport();
        self.metrics.session_closed_for(transport, reason);
        if reason == CloseReason::OutboxFull {
            TOO_SLOW.count();
        }
        tracing::debug!(
            transport = transport.label(),
            account = self.session.viewer.account.0,
            reason = reason.label(),
            "session closed"
        );
    }
}
