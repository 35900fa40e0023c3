//! The keys `subscribed:<channel>`: Mastodon publishes home feeds and notifications only while they are there.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{sync::watch, time::MissedTickBehavior};

use crate::{
    domain::Channel,
    hub::Hub,
    upstream::{LinkState, Upstream},
};

/// How often the keys of all open streams are set anew; they live three times as long.
const RENEWAL: Duration = Duration::from_secs(360);

const RETRY: Duration = Duration::from_secs(1);

/// Runs for ever: sets keys when streams are opened, regularly, and after Redis was away.
pub(super) async fn run(hub: Arc<Hub>, upstream: Arc<Upstream>) {
    let state = upstream.state();
    let set = |channels: Vec<Channel>| {
        let upstream = Arc::clone(&upstream);
        async move { upstream.renew_keys(&channels).await }
    };
    keep(&hub, state, set).await;
}

/// The same with any way to set keys.
async fn keep<E, F>(hub: &Hub, mut state: watch::Receiver<LinkState>, set: impl Fn(Vec<Channel>) -> F)
where
    E: fmt::Display,
    F: Future<Output = Result<(), E>>,
{
    let mut regularly = tokio::time::interval(RENEWAL);
    regularly.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let channels = tokio::select! {
            opened = hub.renewals() => opened,
            _ = regularly.tick() => hub.stream_channels(),
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
                match &*state.borrow_and_update() {
                    LinkState::Up => hub.stream_channels(),
                    LinkState::Down { .. } => continue,
                }
            }
        };
        renew(hub, &set, channels).await;
    }
}

/// Sets keys, and tries again until it succeeds: all of them then, for Redis may have lost them.
async fn renew<E, F>(hub: &Hub, set: &impl Fn(Vec<Channel>) -> F, mut channels: Vec<Channel>)
where
    E: fmt::Display,
    F: Future<Output = Result<(), E>>,
{
    let mut failed = false;
    while !channels.is_empty() {
        match set(channels).await {
            Ok(()) => return,
            Err(error) if !failed => tracing::warn!(
                %error,
                "the keys subscribed:… could not be set; trying again. After 18 minutes without them Mastodon publishes \
                 nothing on home feeds"
            ),
            Err(_) => {}
        }
        failed = true;
        tokio::time::sleep(RETRY).await;
        channels = hub.stream_channels();
    }
}

#[cfg(test)]
mod tests;
