//! The keys `subscribed:<channel>`: Mastodon publishes home feeds and notifications only while they are there.

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;

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
    let mut regularly = tokio::time::interval(RENEWAL);
    regularly.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut state = upstream.state();
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
        renew(&hub, &upstream, channels).await;
    }
}

/// Sets keys, and tries again until it succeeds: all of them then, for Redis may have lost them.
async fn renew(hub: &Hub, upstream: &Upstream, mut channels: Vec<Channel>) {
    let mut failed = false;
    while !channels.is_empty() {
        match upstream.renew_keys(&channels).await {
            Ok(()) => return,
            Err(error) if !failed => tracing::warn!(%error, "keys could not be renewed; trying again"),
            Err(_) => {}
        }
        failed = true;
        tokio::time::sleep(RETRY).await;
        channels = hub.stream_channels();
    }
}
