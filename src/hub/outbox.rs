//! What waits to be written to one client.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::domain::{CloseReason, Frame};

/// Frames that may wait for one client: room for a burst of twenty thousand events. Beyond it the session ends.
const MAX_FRAMES: usize = 32_768;

/// Bytes that may wait for one client, unless it is a single frame. Beyond it the session ends. Frames are shared, so
/// this bounds what a client can hold back, not what it costs.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Bytes that are taken at once, unless it is a single frame. Frames are shared, but what is taken is copied to be written,
/// for each client on its own.
const TAKEN_BYTES: usize = 64 * 1024;

/// A bounded queue of frames from the fan-out to the session's task. Filling it never waits.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    reader: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    end: Option<CloseReason>,
}

/// What became of an offered frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It waits for the client.
    Accepted,
    /// It did not fit: the session ends now with [`CloseReason::OutboxFull`].
    Overflowed,
    /// The session has ended before.
    Ended,
}

/// What the session's task gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// There are frames in the given buffer.
    Frames,
    /// Nothing more will come: close for this reason.
    End(CloseReason),
}

impl Outbox {
    /// Offers a frame.
    pub fn offer(&self, frame: Frame) -> Offer {
        let mut queue = self.queue.lock();
        if queue.end.is_some() {
            return Offer::Ended;
        }
        let fits = queue.frames.len() < MAX_FRAMES && queue.bytes + frame.len() <= MAX_BYTES;
        let offer = if fits || queue.frames.is_empty() {
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
            Offer::Accepted
        } else {
            queue.finish(CloseReason::OutboxFull);
            Offer::Overflowed
        };
        drop(queue);
        self.reader.wake();
        offer
    }

    /// Ends the session; the first reason counts.
    pub fn close(&self, reason: CloseReason) {
        let mut queue = self.queue.lock();
        if queue.end.is_none() {
            queue.finish(reason);
        }
        drop(queue);
        self.reader.wake();
    }

    /// Why the session ends, if it does.
    pub fn ended(&self) -> Option<CloseReason> {
        self.queue.lock().end
    }

    /// Takes up to `most` frames, fewer if they are large, or the end. Only one task may wait here.
    pub fn poll_take(&self, cx: &mut Context<'_>, into: &mut Vec<Frame>, most: usize) -> Poll<Taken> {
        self.reader.register(cx.waker());
        let mut queue = self.queue.lock();
        if queue.frames.is_empty() {
            return match queue.end {
                Some(reason) => Poll::Ready(Taken::End(reason)),
                None => Poll::Pending,
            };
        }
        let mut bytes = 0;
        let fits = |frame: &&Frame| {
            bytes += frame.len();
            bytes <= TAKEN_BYTES
        };
        let count = queue.frames.iter().take(most).take_while(fits).count().max(1);
        let before = into.len();
        into.extend(queue.frames.drain(..count));
        queue.bytes -= into[before..].iter().map(Frame::len).sum::<usize>();
        if queue.frames.is_empty() {
            // An idle client holds no memory for a queue that it does not need.
            queue.frames = VecDeque::new();
        }
        Poll::Ready(Taken::Frames)
    }

    /// Completes when the session is told to end, whatever waits. Only the task that takes frames may wait here.
    pub fn poll_end(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.reader.register(cx.waker());
        self.queue.lock().end.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Queue {
    fn finish(&mut self, reason: CloseReason) {
        self.end = Some(reason);
        if !reason.lets_pending_frames_out() {
            self.frames = VecDeque::new();
            self.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn frame(bytes: usize) -> Frame {
        Frame("x".repeat(bytes).into())
    }

    fn take(outbox: &Outbox, most: usize) -> (Poll<Taken>, Vec<Frame>) {
        let mut frames = Vec::new();
        let taken = outbox.poll_take(&mut Context::from_waker(Waker::noop()), &mut frames, most);
        (taken, frames)
    }

    #[test]
    fn frames_come_out_in_the_order_in_which_they_were_offered() {
        let outbox = Outbox::default();
        for size in 1..=3 {
            assert_eq!(outbox.offer(frame(size)), Offer::Accepted);
        }
        assert_eq!(take(&outbox, 2).1, [frame(1), frame(2)]);
        assert_eq!(take(&outbox, 2).1, [frame(3)]);
        assert_eq!(take(&outbox, 2).0, Poll::Pending);
    }

    #[test]
    fn too_many_frames_end_the_session() {
        let outbox = Outbox::default();
        for _ in 0..MAX_FRAMES {
            assert_eq!(outbox.offer(frame(1)), Offer::Accepted);
        }
        assert_eq!(outbox.offer(frame(1)), Offer::Overflowed);
        assert_eq!(outbox.offer(frame(1)), Offer::Ended);
        assert_eq!(take(&outbox, 9).0, Poll::Ready(Taken::End(CloseReason::OutboxFull)));
    }

    #[test]
    fn too_many_bytes_end_the_session() {
        let outbox = Outbox::default();
        assert_eq!(outbox.offer(frame(MAX_BYTES)), Offer::Accepted);
        assert_eq!(outbox.offer(frame(1)), Offer::Overflowed);
    }

    #[test]
    fn a_frame_over_the_limit_fits_alone() {
        let outbox = Outbox::default();
        assert_eq!(outbox.offer(frame(MAX_BYTES + 1)), Offer::Accepted);
        let _ = take(&outbox, 1);
        assert_eq!(outbox.offer(frame(MAX_BYTES)), Offer::Accepted);
    }

    #[test]
    fn what_was_taken_makes_room() {
        let outbox = Outbox::default();
        outbox.offer(frame(MAX_BYTES / 2));
        outbox.offer(frame(MAX_BYTES / 2));
        let _ = take(&outbox, 1);
        assert_eq!(outbox.offer(frame(MAX_BYTES / 2)), Offer::Accepted);
    }

    #[test]
    fn large_frames_come_out_one_by_one() {
        let outbox = Outbox::default();
        for size in [TAKEN_BYTES + 1, TAKEN_BYTES - 1, 1, 1] {
            let _ = outbox.offer(frame(size));
        }
        for sizes in [&[TAKEN_BYTES + 1][..], &[TAKEN_BYTES - 1, 1], &[1]] {
            let taken: Vec<usize> = take(&outbox, 9).1.iter().map(Frame::len).collect();
            assert_eq!(taken, sizes);
        }
    }

    #[test]
    fn frames_offered_before_a_kill_are_still_delivered() {
        let outbox = Outbox::default();
        outbox.offer(frame(1));
        outbox.close(CloseReason::Killed);
        assert_eq!(outbox.offer(frame(2)), Offer::Ended);
        assert_eq!(take(&outbox, 9), (Poll::Ready(Taken::Frames), vec![frame(1)]));
        assert_eq!(take(&outbox, 9).0, Poll::Ready(Taken::End(CloseReason::Killed)));
    }

    #[test]
    fn the_first_reason_to_close_counts() {
        let outbox = Outbox::default();
        outbox.close(CloseReason::Killed);
        outbox.close(CloseReason::Restart);
        assert_eq!(outbox.ended(), Some(CloseReason::Killed));
    }
}
