//! Which channels are to be subscribed: what outlives a connection.

use std::collections::{BTreeMap, HashMap, HashSet};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::Channel;

/// How many changes a connection is told at a time.
const PORTION: usize = 10_000;

/// The channels that are wanted, and what of it a connection has not been told yet.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    all: HashSet<Channel>,
    /// Channels that changed since the connection was told. Nothing is noted while there is none: the next one is told
    /// everything.
    changes: HashMap<Channel, Change>,
    /// What of earlier changes it is still to be told, in portions.
    left: BTreeMap<Channel, Change>,
    is_connected: bool,
    /// How many times anything was changed.
    number: u64,
    /// The last of the changes in what is left, and the last that the connection was told altogether.
    number_left: u64,
    number_told: u64,
}

/// What is to be done about a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// The connection does not know it: if it is not wanted any more, there is nothing to do.
    Subscribe,
    /// It may be subscribed already.
    SubscribeAgain,
    Unsubscribe,
}

impl State {
    fn add(&mut self, channel: Channel) {
        let is_new = self.all.insert(channel.clone());
        if self.is_connected {
            let fresh = if is_new { Change::Subscribe } else { Change::SubscribeAgain };
            let change = self.changes.entry(channel).or_insert(fresh);
            if *change == Change::Unsubscribe {
                *change = Change::SubscribeAgain;
            }
        }
    }

    fn remove(&mut self, channel: Channel) {
        self.all.remove(&channel);
        if !self.is_connected {
            return;
        }
        match self.changes.get(&channel) {
            Some(Change::Subscribe) => drop(self.changes.remove(&channel)),
            None if self.left.get(&channel) == Some(&Change::Subscribe) => drop(self.left.remove(&channel)),
            _ => drop(self.changes.insert(channel, Change::Unsubscribe)),
        }
    }

    fn forget_changes(&mut self) {
        (self.changes, self.left) = Default::default();
    }

    /// What the connection is to be told next.
    fn portion(&mut self) -> Option<Changes> {
        if self.left.is_empty() && self.number_left <= self.number_told {
            self.left = std::mem::take(&mut self.changes).into_iter().collect();
            self.number_left = self.number;
        }
        if self.left.is_empty() && self.number_left == self.number_told {
            return None;
        }
        let mut portion = Changes::default();
        for (channel, change) in std::iter::from_fn(|| self.left.pop_first()).take(PORTION) {
            match change {
                Change::Subscribe | Change::SubscribeAgain => portion.subscribe.push(channel),
                Change::Unsubscribe => portion.unsubscribe.push(channel),
            }
        }
        if self.left.is_empty() {
            self.number_told = self.number_left;
        }
        portion.number = self.number_told;
        Some(portion)
    }
}

/// What a connection has to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub subscribe: Vec<Channel>,
    pub unsubscribe: Vec<Channel>,
    /// All changes up to this number are done with it.
    pub number: u64,
}

impl Wanted {
    pub(super) fn change(&self, subscribe: Vec<Channel>, unsubscribe: Vec<Channel>) -> u64 {
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        for channel in subscribe {
            state.add(channel);
        }
        for channel in unsubscribe {
            state.remove(channel);
        }
        drop(state);
        self.changed.notify_one();
        number
    }

    /// Everything, for a new connection; nothing of it counts as a change any more.
    pub(super) fn all(&self) -> Changes {
        let mut state = self.state.lock();
        state.is_connected = true;
        state.forget_changes();
        (state.number_left, state.number_told) = (state.number, state.number);
        Changes { subscribe: state.all.iter().cloned().collect(), unsubscribe: Vec::new(), number: state.number }
    }

    /// The connection is gone.
    pub(super) fn disconnected(&self) {
        let mut state = self.state.lock();
        state.is_connected = false;
        state.forget_changes();
    }

    /// How many channels are wanted.
    pub(super) fn count(&self) -> usize {
        self.state.lock().all.len()
    }

    /// Waits for changes and takes some of them: what is not wanted any more when its turn comes is passed over.
    pub(super) async fn changes(&self) -> Changes {
        loop {
            let portion = self.state.lock().portion();
            match portion {
                Some(portion) => return portion,
                None => self.changed.notified().await,
            }
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
        assert_eq!(wanted.changes().await, Changes { subscribe: vec![channel("b")], unsubscribe: vec![], number: 2 });
        wanted.change(vec![channel("a")], vec![channel("b")]);
        wanted.change(vec![channel("b")], vec![channel("a")]);
        assert_eq!(wanted.changes().await, Changes { subscribe: vec![channel("b")], unsubscribe: vec![], number: 4 });
        wanted.change(vec![], vec![channel("b")]);
        assert_eq!(wanted.changes().await, Changes { subscribe: vec![], unsubscribe: vec![channel("b")], number: 5 });
    }

    #[tokio::test]
    async fn changes_that_cancel_each_other_out_are_done_though_there_is_nothing_to_do() {
        let wanted = Wanted::default();
        wanted.all();
        wanted.change(vec![channel("a")], vec![]);
        wanted.change(vec![], vec![channel("a")]);
        assert_eq!(wanted.changes().await, Changes { number: 2, ..Changes::default() });
    }

    #[tokio::test]
    async fn of_many_channels_those_that_are_given_up_before_their_turn_are_never_subscribed() {
        let wanted = Wanted::default();
        wanted.all();
        let many: Vec<Channel> = (0..5 * PORTION).map(|number| channel(&number.to_string())).collect();
        wanted.change(many.clone(), vec![]);
        let first = wanted.changes().await;
        assert_eq!((first.subscribe.len(), first.number), (PORTION, 0));
        wanted.change(vec![], many);
        let second = wanted.changes().await;
        assert_eq!((second.subscribe.len(), second.unsubscribe.len(), second.number), (0, 0, 1));
        let third = wanted.changes().await;
        assert_eq!((third.subscribe.len(), third.unsubscribe.len(), third.number), (0, PORTION, 2));
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
