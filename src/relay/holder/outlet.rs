//! What waits to be sent over one link.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::Notify;

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

/// Notices for one edge, in order.
#[derive(Debug, Default)]
pub(in super::super) struct Outlet {
    notices: VecDeque<Notice>,
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
        if self.is_full {
            return;
        }
        self.filled.notify_one();
        if self.bytes > MOST_BYTES {
            self.is_full = true;
            self.notices = VecDeque::new();
            return;
        }
        self.bytes += bytes_of(&notice);
        self.notices.push_back(notice);
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn wants_more(&self) -> bool {
        !self.is_full && self.bytes < ENOUGH
    }

    /// Whether a notice of so many bytes, put now, is among those that are [taken](Self::take) next; or, if it is large, then
    /// or the time after, as it might wait for ever for the outlet to be empty.
    pub(super) fn is_soon(&self, size: usize, most_bytes: usize) -> bool {
        !self.is_full && (self.bytes + size <= most_bytes || self.notices.is_empty() || self.bytes < most_bytes / 2)
    }

    /// Takes out up to so many bytes of notices, and at least one if there is one.
    pub(super) fn take(&mut self, most_bytes: usize) -> Result<Vec<Notice>, OutletFull> {
        if self.is_full {
            return Err(OutletFull);
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(notice) =
            self.notices.pop_front_if(|notice| bytes == 0 || bytes + bytes_of(notice) <= most_bytes)
        {
            bytes += bytes_of(&notice);
            taken.push(notice);
        }
        self.bytes -= bytes;
        if self.notices.is_empty() {
            self.notices = VecDeque::new();
        }
        Ok(taken)
    }
}

fn bytes_of(notice: &Notice) -> usize {
    notice.size().min(MOST_OF_ONE)
}
