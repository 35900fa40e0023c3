//! Which channels are to be subscribed: what outlives a connection.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::Channel;

/// The channels that are wanted, and what of it a connection has not been told yet.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    all: HashSet<Channel>,
    /// Channels that changed since the connection was told, and whether they are wanted now. Nothing is noted while there
    /// is none: the next one is told everything.
    changes: HashMap<Channel, bool>,
    is_connected: bool,
    /// How many times anything was changed.
    number: u64,
}

impl State {
    fn note(&mut self, channel: Channel, is_wanted: bool) {
        if self.is_connected {
            self.changes.insert(channel, is_wanted);
        }
    }
}

/// What a connection has to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub subscribe: Vec<Channel>,
    pub unsubscribe: Vec<Channel>,
    /// The number of the last change in it.
    pub number: u64,
}

impl Wanted {
    pub(super) fn change(&self, subscribe: Vec<Channel>, unsubscribe: Vec<Channel>) -> u64 {
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        for channel in subscribe {
            state.all.insert(channel.clone());
            state.note(channel, true);
        }
        for channel in unsubscribe {
            state.all.remove(&channel);
            state.note(channel, false);
        }
        drop(state);
        self.changed.notify_one();
        number
    }

    /// Everything, for a new connection; nothing of it counts as a change any more.
    pub(super) fn all(&self) -> Changes {
        let mut state = self.state.lock();
        state.is_connected = true;
        state.changes.clear();
        Changes { subscribe: state.all.iter().cloned().collect(), unsubscribe: Vec::new(), number: state.number }
    }

    /// The connection is gone.
    pub(super) fn disconnected(&self) {
        let mut state = self.state.lock();
        (state.is_connected, state.changes) = (false, HashMap::new());
    }

    /// How many channels are wanted.
    pub(super) fn count(&self) -> usize {
        self.state.lock().all.len()
    }

    /// Waits for changes and takes them.
    pub(super) async fn changes(&self) -> Changes {
        loop {
            let (taken, number) = {
                let mut state = self.state.lock();
                (std::mem::take(&mut state.changes), state.number)
            };
            if !taken.is_empty() {
                let (subscribe, unsubscribe): (Vec<_>, Vec<_>) = taken.into_iter().partition(|(_, wanted)| *wanted);
                let channels =
                    |changes: Vec<(Channel, bool)>| changes.into_iter().map(|(channel, _)| channel).collect();
                return Changes { subscribe: channels(subscribe), unsubscribe: channels(unsubscribe), number };
            }
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> Channel {
        Channel::named(name)
    }

    #[tokio::test]
    async fn the_last_wish_for_a_channel_counts() {
        let wanted = Wanted::default();
        wanted.all();
        wanted.change(vec![channel("a"), channel("b")], vec![]);
        wanted.change(vec![], vec![channel("a")]);
        assert_eq!(
            wanted.changes().await,
            Changes { subscribe: vec![channel("b")], unsubscribe: vec![channel("a")], number: 2 }
        );
    }

    #[tokio::test]
    async fn a_new_connection_gets_everything_and_only_later_changes() {
        let wanted = Wanted::default();
        wanted.change(vec![channel("a")], vec![]);
        assert_eq!(wanted.all().subscribe, [channel("a")]);
        wanted.change(vec![channel("b")], vec![]);
        assert_eq!(wanted.changes().await, Changes { subscribe: vec![channel("b")], unsubscribe: vec![], number: 2 });
    }
    #[tokio::test]
    async fn changes_during_an_outage_are_not_kept_one_by_one() {
        let wanted = Wanted::default();
        wanted.all();
        wanted.disconnected();
        for number in 0..1_000 {
            wanted.change(vec![channel(&number.to_string())], vec![]);
            wanted.change(vec![], vec![channel(&number.to_string())]);
        }
        wanted.change(vec![channel("a")], vec![]);
        assert!(wanted.state.lock().changes.is_empty());
        assert_eq!(wanted.all(), Changes { subscribe: vec![channel("a")], unsubscribe: vec![], number: 2_001 });
    }
}
