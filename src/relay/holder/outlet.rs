//! What waits to be sent over one link.

use std::{collections::VecDeque, sync::Arc};

use tokio::{sync::Notify, time::Instant};

use super::super::message::Notice;

/// Bytes that may wait for an edge. Beyond it the link is closed: the edge comes back and takes from the log, at its own
/// pace.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// What counts of one notice, however large: else an event that is replayed would, with what comes meanwhile, close the link
/// of an edge each time it comes back.
const MOST_OF_ONE: usize = MOST_BYTES / 2;

/// Answers are given and replays go on while less than this waits.
const ENOUGH: usize = 1024 * 1024;

/// The edge does not take what is offered to it.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct OutletFull;

#[derive(Debug)]
struct Waiting {
    notice: Notice,
    /// When the event arrived, if it is one: its age grows until it is sent.
    received: Option<Instant>,
}

/// Notices for one edge, in order.
#[derive(Debug, Default)]
pub(in super::super) struct Outlet {
    notices: VecDeque<Waiting>,
    bytes: usize,
    is_full: bool,
    filled: Arc<Notify>,
}

impl Outlet {
    /// What is notified when there is something to take.
    pub(super) fn filled(&self) -> Arc<Notify> {
        Arc::clone(&self.filled)
    }

    pub(super) fn put(&mut self, notice: Notice) {
        self.push(Waiting { notice, received: None });
    }

    /// Puts an event that arrived at this time.
    pub(super) fn put_event(&mut self, notice: Notice, received: Instant) {
        self.push(Waiting { notice, received: Some(received) });
    }

    fn push(&mut self, waiting: Waiting) {
        if self.is_full {
            return;
        }
        self.filled.notify_one();
        if self.bytes > MOST_BYTES {
            self.is_full = true;
            self.notices = VecDeque::new();
            return;
        }
        self.bytes += waiting.bytes();
        self.notices.push_back(waiting);
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn wants_more(&self) -> bool {
        !self.is_full && self.bytes < ENOUGH
    }

    /// Takes out up to so many bytes of notices, and at least one if there is one.
    pub(super) fn take(&mut self, most_bytes: usize, now: Instant) -> Result<Vec<Notice>, OutletFull> {
        if self.is_full {
            return Err(OutletFull);
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(waiting) =
            self.notices.pop_front_if(|waiting| bytes == 0 || bytes + waiting.bytes() <= most_bytes)
        {
            bytes += waiting.bytes();
            taken.push(waiting.sent_at(now));
        }
        self.bytes -= bytes;
        if self.notices.is_empty() {
            self.notices = VecDeque::new();
        }
        Ok(taken)
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.notice.size().min(MOST_OF_ONE)
    }

    fn sent_at(mut self, now: Instant) -> Notice {
        if let Some(received) = self.received {
            self.notice.grow_older(now - received);
        }
        self.notice
    }
}
