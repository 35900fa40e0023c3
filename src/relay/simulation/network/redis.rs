//! A node's connection to Redis, over which everything comes in its order, later or sooner.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::upstream::Sink;

/// What comes over it.
enum News {
    Message(Arc<str>, Arc<str>),
    Lagged(u64),
    Connected,
    Broken,
    Subscribed(u64),
}

/// The way from Redis to whoever takes the events.
pub(super) struct Line {
    sink: Arc<dyn Sink>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    random: fastrand::Rng,
    under_way: VecDeque<(Instant, News)>,
    is_silent: bool,
}

impl Line {
    /// The longest time that anything is under way while the line is not silent.
    pub(super) const LONGEST: Duration = Duration::from_millis(Self::LONGEST_MS);

    const LONGEST_MS: u64 = 12;

    pub(super) fn new(sink: Arc<dyn Sink>, seed: u64) -> Arc<Self> {
        let random = fastrand::Rng::with_seed(seed);
        let state = Mutex::new(State { random, under_way: VecDeque::new(), is_silent: false });
        Arc::new(Self { sink, state, changed: Notify::new() })
    }

    /// Nothing arrives while it is silent; afterwards all of it does.
    pub(super) fn goes_silent(&self, is_silent: bool) {
        self.state.lock().is_silent = is_silent;
        self.changed.notify_one();
    }

    /// Messages that are under way are lost, and that is said in their place.
    pub(super) fn lags(&self) {
        let mut state = self.state.lock();
        let is_message = |news: &News| matches!(news, News::Message(..));
        let Some(first) = state.under_way.iter().position(|(_, news)| is_message(news)) else { return };
        let lost = state.under_way.iter().filter(|(_, news)| is_message(news)).count();
        state.under_way[first].1 = News::Lagged(lost as u64);
        state.under_way.retain(|(_, news)| !is_message(news));
    }

    fn put(&self, news: News) {
        let mut state = self.state.lock();
        let delay = state.random.u64(0..=Self::LONGEST_MS);
        let at = Instant::now() + Duration::from_millis(delay);
        let at = state.under_way.back().map_or(at, |(last, _)| at.max(*last));
        state.under_way.push_back((at, news));
        self.changed.notify_one();
    }

    /// Carries what is under way, for ever.
    pub(super) async fn carry(&self) {
        loop {
            let next = {
                let mut state = self.state.lock();
                let is_silent = state.is_silent;
                while let Some((_, news)) = state.under_way.pop_front_if(|(at, _)| !is_silent && *at <= Instant::now())
                {
                    self.hand_on(&news);
                }
                state.under_way.front().map(|(at, _)| *at).filter(|_| !is_silent)
            };
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.changed.notified() => {}
            }
        }
    }

    fn hand_on(&self, news: &News) {
        match news {
            News::Message(channel, message) => self.sink.receive(channel, message, Duration::ZERO),
            News::Lagged(messages) => self.sink.lagged(*messages),
            News::Connected => self.sink.connected(),
            News::Broken => self.sink.broken(),
            News::Subscribed(change) => self.sink.subscribed(*change),
        }
    }
}

impl Sink for Line {
    fn receive(&self, channel: &str, message: &str, _age: Duration) {
        self.put(News::Message(channel.into(), message.into()));
    }

    fn lagged(&self, messages: u64) {
        self.put(News::Lagged(messages));
    }

    fn connected(&self) {
        self.put(News::Connected);
    }

    fn broken(&self) {
        self.put(News::Broken);
    }

    fn subscribed(&self, change: u64) {
        self.put(News::Subscribed(change));
    }
}
