//! What an edge asks for over one link, within bounds to which both ends keep.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{super::message::Order, wire::Malformed};
use crate::domain::Channel;

/// Channels that an edge may ask for. An instance needs half of it if its 500,000 accounts are all connected to this edge,
/// each with a home timeline, notifications, a token and a system channel.
const MOST_ASKS: usize = 4_000_000;

/// Bytes of a name that is not long: with room for every channel of an account, a list or a token, as numbers have at most
/// 20 digits, and for most hashtags.
const ORDINARY: usize = 64;

/// Bytes of the long names together, as many as the others may have. Clients may ask for hashtags of any length, and must
/// not be able to take the place of other channels with them. Tests would spend most of their time with so many.
const MOST_LONG_BYTES: usize = if cfg!(test) { 16_000_000 } else { ORDINARY * MOST_ASKS };

/// What the links of all other nodes may ask for together: as much as two of them.
const MOST_OF_ALL: Count = Count { asks: 2 * MOST_ASKS, long_bytes: 2 * MOST_LONG_BYTES };

/// The asks that are open on one link.
#[derive(Debug, Default)]
pub(super) struct Asked {
    open: HashMap<u64, Channel>,
    long_bytes: usize,
    all: Option<Arc<AllAsked>>,
}

/// The asks that are open on all links of other nodes.
#[derive(Debug)]
pub(super) struct AllAsked {
    most: Count,
    open: Mutex<Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    asks: usize,
    long_bytes: usize,
}

impl Default for AllAsked {
    fn default() -> Self {
        Self { most: MOST_OF_ALL, open: Mutex::default() }
    }
}

impl AllAsked {
    fn add(&self, long_bytes: usize) -> Result<(), Malformed> {
        let mut open = self.open.lock();
        let sum = Count { asks: open.asks + 1, long_bytes: open.long_bytes + long_bytes };
        if sum.asks > self.most.asks || sum.long_bytes > self.most.long_bytes {
            return Err(Malformed::new("order.ask", "all nodes together ask for too many channels"));
        }
        *open = sum;
        Ok(())
    }

    fn remove(&self, asks: usize, long_bytes: usize) {
        let mut open = self.open.lock();
        open.asks -= asks;
        open.long_bytes -= long_bytes;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(all) = &self.all {
            all.remove(self.open.len(), self.long_bytes);
        }
    }
}

impl Asked {
    /// Those of one link among several.
    pub(super) fn of_many(all: &Arc<AllAsked>) -> Self {
        Self { open: HashMap::new(), long_bytes: 0, all: Some(Arc::clone(all)) }
    }

    /// Takes note of an order, unless there is no room for its channel, or the ask is about another one.
    pub(super) fn note(&mut self, ask: u64, order: &Order) -> Result<(), Malformed> {
        match order {
            Order::Release => {
                if let Some(channel) = self.open.remove(&ask) {
                    let long_bytes = long_bytes(&channel);
                    self.long_bytes -= long_bytes;
                    if let Some(all) = &self.all {
                        all.remove(1, long_bytes);
                    }
                }
            }
            Order::Hold(channel) | Order::Take(channel, _) => {
                match self.open.get(&ask) {
                    Some(known) if known == channel => return Ok(()),
                    Some(_) => return Err(Malformed::new("order.ask", "is open for another channel")),
                    None => {}
                }
                if self.open.len() >= MOST_ASKS {
                    return Err(Malformed::new("order.ask", "asks for too many channels"));
                }
                let long_bytes = long_bytes(channel);
                if self.long_bytes + long_bytes > MOST_LONG_BYTES {
                    return Err(Malformed::new("channel", "there are too many long names"));
                }
                self.all.as_ref().map_or(Ok(()), |all| all.add(long_bytes))?;
                self.long_bytes += long_bytes;
                self.open.insert(ask, channel.clone());
            }
        }
        Ok(())
    }
}

fn long_bytes(channel: &Channel) -> usize {
    Some(channel.as_str().len()).filter(|bytes| *bytes > ORDINARY).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hashtag's channel with a name of so many bytes.
    fn channel(bytes: usize) -> Channel {
        let start = "timeline:hashtag:";
        Channel::named(&format!("{start}{}", "x".repeat(bytes - start.len())))
    }

    /// How many asks for a channel are noted.
    fn room(asked: &mut Asked, channel: &Channel) -> u64 {
        let hold = Order::Hold(channel.clone());
        (0..).find(|ask| asked.note(*ask, &hold).is_err()).expect("there is an end to everything")
    }

    #[test]
    fn every_channel_of_500_000_accounts_fits_twice() {
        let longest = [
            "timeline:18446744073709551615:notifications",
            "timeline:access_token:18446744073709551615",
            "timeline:system:18446744073709551615",
            "timeline:18446744073709551615",
        ];
        assert!(longest.iter().all(|name| name.len() <= ORDINARY));
        assert_eq!(MOST_ASKS, 2 * 500_000 * longest.len());
        assert_eq!(room(&mut Asked::default(), &channel(ORDINARY)), MOST_ASKS as u64);
    }

    #[test]
    fn long_names_are_bounded_together_and_leave_room_for_others() {
        let mut asked = Asked::default();
        assert_eq!(room(&mut asked, &channel(2 << 20)), MOST_LONG_BYTES as u64 / (2 << 20));
        assert_eq!(asked.note(1_000, &Order::Hold(channel(ORDINARY))), Ok(()));
    }

    #[test]
    fn what_is_released_makes_room() {
        let (mut asked, long) = (Asked::default(), channel(2 << 20));
        let last = room(&mut asked, &long);
        asked.note(0, &Order::Release).expect("a release is always possible");
        asked.note(0, &Order::Release).expect("a release is always possible");
        assert_eq!(asked.note(last, &Order::Hold(long.clone())), Ok(()));
        assert!(asked.note(last + 1, &Order::Hold(long)).is_err());
    }

    #[test]
    fn a_number_can_be_given_anew_when_its_ask_was_released() {
        let mut asked = Asked::default();
        assert_eq!(asked.note(1, &Order::Hold(channel(20))), Ok(()));
        assert!(asked.note(1, &Order::Hold(channel(21))).is_err());
        assert_eq!(asked.note(1, &Order::Release), Ok(()));
        assert_eq!(asked.note(1, &Order::Hold(channel(21))), Ok(()));
    }

    #[test]
    fn the_asks_of_all_links_are_bounded_together_until_they_are_released_or_their_link_has_ended() {
        let all = Arc::new(AllAsked { most: Count { asks: 10, long_bytes: 1_000 }, open: Mutex::default() });
        let (mut one, mut other) = (Asked::of_many(&all), Asked::of_many(&all));
        assert_eq!(room(&mut one, &channel(20)), 10);
        assert!(other.note(1, &Order::Hold(channel(20))).is_err());
        one.note(0, &Order::Release).expect("a release is always possible");
        assert_eq!(room(&mut other, &channel(20)), 1);
        drop(one);
        assert!(other.note(100, &Order::Hold(channel(900))).is_ok());
        assert!(other.note(101, &Order::Hold(channel(200))).is_err());
        drop(other);
        assert_eq!(room(&mut Asked::of_many(&all), &channel(100)), 10);
    }

    #[test]
    fn another_order_for_the_same_ask_takes_no_room() {
        let (mut asked, long) = (Asked::default(), channel(2 << 20));
        for _ in 0..1_000 {
            asked.note(1, &Order::Hold(long.clone())).expect("it is the same");
        }
    }
}
