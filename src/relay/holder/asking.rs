//! What edges ask for, and what they are answered.

use super::{
    super::{message::Notice, position::Tick},
    Answer, Ask, AskKey, AskedTwice, EdgeKey, Held, Holder, Mode,
};
use crate::domain::{Channel, ChannelKind};

impl Holder {
    pub(super) fn ask(&mut self, key: EdgeKey, ask: u64, channel: &Channel, mode: Mode) -> Result<(), AskedTwice> {
        let Some(edge) = self.edges.get_mut(&key) else { return Ok(()) };
        let is_another = |one: &&Ask| one.key.edge == key && one.key.ask != ask;
        if self.channels.get(channel).is_some_and(|held| held.asks.iter().any(|one| is_another(&one))) {
            return Err(AskedTwice);
        }
        // An ask stays with the channel for which it was made.
        let known = edge.asks.entry(ask).or_insert_with(|| channel.clone());
        if known != channel {
            return Ok(());
        }
        let held = self.channels.entry(channel.clone()).or_insert_with(|| {
            self.subscribe.push(channel.clone());
            Held::default()
        });
        let is_take = matches!(mode, Mode::Waiting { .. });
        let key = AskKey { edge: key, ask };
        match held.asks.iter_mut().find(|one| one.key == key) {
            Some(known) => known.mode = mode,
            None => held.asks.push(Ask { key, mode }),
        }
        edge.owe(ask, !is_take);
        Ok(())
    }

    pub(super) fn release(&mut self, key: EdgeKey, ask: u64) {
        let Some(channel) = self.edges.get_mut(&key).and_then(|edge| edge.release(ask)) else { return };
        let Some(held) = self.channels.get_mut(&channel) else { return };
        held.asks.retain(|one| one.key != AskKey { edge: key, ask });
        if held.asks.is_empty() && held.kept_since.is_none() {
            self.leave(channel);
        }
    }

    pub(super) fn leave(&mut self, channel: Channel) {
        let Some(held) = self.channels.remove(&channel) else { return };
        if let Some(ordered) = held.ordered.filter(|_| held.since.is_none()) {
            self.forget_unconfirmed(ordered, &channel);
        }
        self.waiting.remove(&channel);
        self.unsubscribe.push(channel);
    }

    /// Answers what can be answered of the takes that wait for something on a channel.
    pub(super) fn answer(&mut self, channel: &Channel) {
        self.waiting.remove(channel);
        let asks = self.channels.get(channel).map_or(0, |held| held.asks.len());
        for index in 0..asks {
            self.answer_one(channel, index);
        }
    }

    /// Says what there was no room for, or what was asked since, as it is now: of several takes of one ask, only the last
    /// is worked out.
    pub(super) fn pay(&mut self, key: EdgeKey) {
        while let Some(edge) = self.edges.get_mut(&key).filter(|edge| edge.outlet.wants_more()) {
            let Some((ask, is_news)) = edge.owed.pop_first() else { return };
            let Some(channel) = edge.asks.get(&ask).cloned() else { continue };
            let Some(held) = self.channels.get(&channel) else { continue };
            if let Some(since) = held.since.filter(|_| is_news).and_then(|since| self.ticks.from(since)) {
                edge.outlet.put(Notice::Held { ask, since });
            }
            if let Some(index) = held.asks.iter().position(|one| one.key == AskKey { edge: key, ask }) {
                self.answer_one(&channel, index);
            }
        }
    }

    /// Answers an ask of a channel if it waits and can be answered.
    fn answer_one(&mut self, channel: &Channel, index: usize) {
        let Some(held) = self.channels.get_mut(channel) else { return };
        let Ask { key: AskKey { edge, ask }, mode: Mode::Waiting { take, asked_at, own_tick } } = held.asks[index]
        else {
            return;
        };
        let Some(edge) = self.edges.get_mut(&edge) else { return };
        if edge.owed.contains_key(&ask) || !edge.outlet.wants_more() {
            edge.owe(ask, false);
            return;
        }
        #[cfg(test)]
        {
            self.looks += 1;
        }
        let has_caught_up = self.ticks.is_past(Tick { incarnation: self.incarnation, counter: own_tick });
        held.asks[index].mode = match held.answer(take, asked_at, has_caught_up, &self.ticks, &self.log) {
            // While the subscription does not count, only that it does can change anything.
            Answer::Wait if held.since.is_none() => return,
            Answer::Wait => {
                self.waiting.insert(channel.clone());
                // One that was sent since will do.
                self.tick_wanted |= self.counter <= own_tick;
                return;
            }
            Answer::Refuse(cause) => {
                // That it holds is news to who asked it for the first time.
                if let Some(since) = held.since.and_then(|since| self.ticks.from(since)) {
                    edge.outlet.put(Notice::Held { ask, since });
                }
                edge.outlet.put(Notice::Refused { ask, round: take.round, cause });
                Mode::Holding
            }
            Answer::Begin { gap, from } => {
                if let Some(cause) = gap {
                    edge.outlet.put(Notice::Gap { ask, round: take.round, cause });
                }
                let is_relayed = |one: &Ask| matches!(one.mode, Mode::Replaying { .. } | Mode::Relaying);
                if channel.kind() != ChannelKind::Control && !held.asks.iter().any(is_relayed) {
                    self.newly_relayed.insert(channel.clone());
                }
                edge.begin(ask, take.round, from, held.count_since(self.ticks.last()))
            }
        };
    }
}
