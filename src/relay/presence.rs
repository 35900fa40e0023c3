//! The keys `subscribed:<channel>`: Mastodon publishes home feeds and notifications only while they are there.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use tokio::{sync::watch, time::MissedTickBehavior};

use super::holding::Holding;
use crate::{
    domain::Channel,
    hub::Hub,
    upstream::{LinkState, RedisError, Upstream},
};

/// How often the keys of all open streams are set anew; they live three times as long.
const RENEWAL: Duration = Duration::from_secs(360);

const RETRY: Duration = Duration::from_secs(1);

/// How often an owner looks for channels that it has taken over from another one.
const TAKEOVER: Duration = Duration::from_secs(5);

/// Runs for ever: sets keys when streams are opened, regularly, and after Redis was away.
pub(super) async fn run(hub: Arc<Hub>, upstream: Arc<Upstream>) {
    let set = |channels| set(Arc::clone(&upstream), channels);
    keep(&hub, upstream.state(), || hub.stream_channels(), set).await;
}

async fn set(upstream: Arc<Upstream>, channels: Vec<Channel>) -> Result<(), RedisError> {
    upstream.renew_keys(&channels).await
}

/// The same in a cluster: a key is set by the node where a stream is opened, and renewed by the owner of its channel.
pub(super) async fn run_for_cluster(hub: Arc<Hub>, upstream: Arc<Upstream>, holding: Arc<Holding>) {
    let set = |channels| set(Arc::clone(&upstream), channels);
    let (owned, newly) = (|| holding.relayed(), || holding.newly_relayed());
    tokio::join!(keep(&hub, upstream.state(), owned, set), take_over(upstream.state(), owned, newly, set));
}

/// Sets the keys of channels that were not owned before: nobody knows how old those of another owner are. Nor does anybody know
/// which are left when Redis comes back.
async fn take_over<E, F>(
    mut state: watch::Receiver<LinkState>,
    owned: impl Fn() -> Vec<Channel>,
    newly: impl Fn() -> Vec<Channel>,
    set: impl Fn(Vec<Channel>) -> F,
) where
    E: fmt::Display,
    F: Future<Output = Result<(), E>>,
{
    loop {
        tokio::time::sleep(TAKEOVER).await;
        let mut channels = newly();
        if state.has_changed().is_ok_and(|changed| changed) {
            state.mark_unchanged();
            channels = owned();
        }
        renew(&set, channels, &owned).await;
    }
}

/// The same with any way to know whose keys are to be kept, and to set them.
async fn keep<E, F>(
    hub: &Hub,
    mut state: watch::Receiver<LinkState>,
    all: impl Fn() -> Vec<Channel>,
    set: impl Fn(Vec<Channel>) -> F,
) where
    E: fmt::Display,
    F: Future<Output = Result<(), E>>,
{
    let mut regularly = tokio::time::interval(RENEWAL);
    regularly.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let channels = tokio::select! {
            opened = hub.renewals() => opened,
            _ = regularly.tick() => all(),
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
                match &*state.borrow_and_update() {
                    // Redis may have lost them, and whose they are may just change.
                    LinkState::Up => union(all(), hub.stream_channels()),
                    LinkState::Down { .. } => continue,
                }
            }
        };
        renew(&set, channels, &all).await;
    }
}

/// Sets keys, and tries again until it succeeds: with all others then, for Redis may have lost them.
async fn renew<E, F>(set: &impl Fn(Vec<Channel>) -> F, asked: Vec<Channel>, all: impl Fn() -> Vec<Channel>)
where
    E: fmt::Display,
    F: Future<Output = Result<(), E>>,
{
    let (mut failed, mut channels) = (false, asked.clone());
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
        channels = union(all(), asked.clone());
    }
}

fn union(one: Vec<Channel>, other: Vec<Channel>) -> Vec<Channel> {
    let both: HashSet<Channel> = one.into_iter().chain(other).collect();
    both.into_iter().collect()
}

#[cfg(test)]
mod tests;
