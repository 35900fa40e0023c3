//! Compressed events (RFC 7692): inflated once, and known again byte by byte when they come to other clients.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::reading::Item;
use super::stamp::Stamp;
use super::support::websocket::inflate;

/// Events that are remembered: more than are under way at once when all clients get the same.
const REMEMBERED: usize = 16;

thread_local! {
    static SEEN: RefCell<VecDeque<(Box<[u8]>, Stamp)>> = const { RefCell::new(VecDeque::new()) };
}

/// What a payload says.
pub fn item(payload: &[u8]) -> Item {
    SEEN.with_borrow_mut(|seen| {
        if let Some((_, stamp)) = seen.iter().rev().find(|(known, _)| **known == *payload) {
            return Item::Event(*stamp);
        }
        let message = inflate(payload);
        let is_whole = message.ends_with(b"}\"}");
        let Some(stamp) = Stamp::read(&message).filter(|_| is_whole) else {
            return Item::Odd(format!("compressed: {}", String::from_utf8_lossy(&message)));
        };
        seen.push_back((payload.into(), stamp));
        if seen.len() > REMEMBERED {
            seen.pop_front();
        }
        Item::Event(stamp)
    })
}
