//! Desired minus actual: which channels to subscribe and which to leave.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{domain::Channel, hub::Hub, upstream::Upstream};

/// How long a channel stays subscribed after its last watcher left: a client that reconnects, or a page that is
/// reloaded, costs no command then.
const LINGER: Duration = Duration::from_millis(200);

/// Runs for ever.
pub(super) async fn run(hub: Arc<Hub>, upstream: Arc<Upstream>) {
    let mut plan = Plan::default();
    loop {
        tokio::select! {
            changed = hub.interest_changes() => {
                let subscribe = plan.changed(changed, Instant::now(), |channel| hub.is_watched(channel));
                if !subscribe.is_empty() {
                    upstream.change(subscribe, Vec::new());
                }
            }
            () = plan.next_departure() => {
                let unsubscribe = plan.departures(Instant::now(), |channel| hub.is_watched(channel));
                if !unsubscribe.is_empty() {
                    upstream.change(Vec::new(), unsubscribe);
                }
            }
        }
    }
}

/// What is subscribed, and what is about to be left.
#[derive(Debug, Default)]
pub(super) struct Plan {
    subscribed: HashSet<Channel>,
    /// Channels without watchers, and when they are left if nobody comes back; in the order of time.
    leaving: VecDeque<(Instant, Channel)>,
}

impl Plan {
    /// Takes note of channels whose interest changed; returns those to subscribe.
    pub(super) fn changed(
        &mut self,
        channels: Vec<Channel>,
        now: Instant,
        is_watched: impl Fn(&Channel) -> bool,
    ) -> Vec<Channel> {
        let mut subscribe = Vec::new();
        for channel in channels {
            if !is_watched(&channel) {
                self.leaving.push_back((now + LINGER, channel));
            } else if self.subscribed.insert(channel.clone()) {
                subscribe.push(channel);
            }
        }
        subscribe
    }

    pub(super) async fn next_departure(&self) {
        match self.leaving.front() {
            Some((at, _)) => tokio::time::sleep_until(*at).await,
            None => std::future::pending().await,
        }
    }

    /// The channels to leave now: those that nobody came back to.
    pub(super) fn departures(&mut self, now: Instant, is_watched: impl Fn(&Channel) -> bool) -> Vec<Channel> {
        let mut unsubscribe = Vec::new();
        while let Some((_, channel)) = self.leaving.pop_front_if(|(at, _)| *at <= now) {
            if !is_watched(&channel) && self.subscribed.remove(&channel) {
                unsubscribe.push(channel);
            }
        }
        unsubscribe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> Channel {
        Channel::named("timeline:1")
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_is_subscribed_once_however_often_interest_changes() {
        let mut plan = Plan::default();
        assert_eq!(plan.changed(vec![channel()], Instant::now(), |_| true), [channel()]);
        assert!(plan.changed(vec![channel()], Instant::now(), |_| true).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_without_watchers_is_left_after_lingering() {
        let mut plan = Plan::default();
        plan.changed(vec![channel()], Instant::now(), |_| true);
        plan.changed(vec![channel()], Instant::now(), |_| false);
        assert!(plan.departures(Instant::now(), |_| false).is_empty());
        plan.next_departure().await;
        assert_eq!(plan.departures(Instant::now(), |_| false), [channel()]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_whose_watcher_comes_back_in_time_is_kept() {
        let mut plan = Plan::default();
        plan.changed(vec![channel()], Instant::now(), |_| true);
        plan.changed(vec![channel()], Instant::now(), |_| false);
        assert!(plan.changed(vec![channel()], Instant::now(), |_| true).is_empty());
        plan.next_departure().await;
        assert!(plan.departures(Instant::now(), |_| true).is_empty());
        assert!(plan.subscribed.contains(&channel()));
    }
}
