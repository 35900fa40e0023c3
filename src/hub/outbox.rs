//! What waits to be written to one client.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::Socket;
use crate::domain::{CloseReason, Frame};

/// Frames that may wait for one client: room for a burst of twenty thousand events. Beyond it the session ends.
const MAX_FRAMES: usize = 32_768;

/// Bytes that may wait for one client, unless it is a single frame. Beyond it the session ends. Frames are shared, so
/// this bounds what a client can hold back, not what it costs.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Frames that are written by one system call.
const WRITTEN_AT_ONCE: usize = 64;

/// How often one call goes on writing while the client takes everything and new frames come. The session's task goes on.
const MOST_ROUNDS: usize = 4;

/// A bounded queue of frames for one client. Filling it never waits.
///
/// Once it has [a socket](Self::attach), frames are [written](Self::write) from here, by whoever comes: as a rule the
/// [writers](super::Writers); when the socket is full, the session's task, which [waits](Self::poll_write) for it.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    task: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    /// Of the first frame, so many bytes have been written.
    begun: usize,
    /// Frames and bytes that wait, with those that are just being written.
    count: usize,
    bytes: usize,
    end: Option<CloseReason>,
    /// What is being written does not count any more, but for a frame of which a part was.
    discarded: bool,
    socket: Option<Arc<Socket>>,
    turn: Turn,
}

/// Whose turn it is to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    /// Nobody's: there is no socket yet.
    #[default]
    Nobody,
    /// Nothing waits.
    Resting,
    /// Something waits, and who offered it sees to it that it is written.
    Scheduled,
    /// It is just being written.
    Writing,
    /// The socket is full; the session's task waits for it.
    Waiting,
}

/// What became of an offered frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It waits for the client.
    Accepted,
    /// It waits for the client, and whoever offered it has to see to it that it is [written](Outbox::write).
    Due,
    /// It did not fit: the session ends now with [`CloseReason::OutboxFull`].
    Overflowed,
    /// The session has ended before.
    Ended,
}

/// What one call writes.
struct Batch {
    socket: Arc<Socket>,
    frames: VecDeque<Frame>,
    begun: usize,
    /// How many frames and bytes do not wait any more.
    done: (usize, usize),
}

impl Outbox {
    /// From now on frames are written to this socket, until it is [detached](Self::detach).
    pub fn attach(&self, socket: Arc<Socket>) {
        let mut queue = self.queue.lock();
        queue.socket = Some(socket);
        queue.turn = if queue.frames.is_empty() { Turn::Resting } else { Turn::Waiting };
    }

    /// Lets go of the socket; what waits is not written any more.
    pub fn detach(&self) {
        let mut queue = self.queue.lock();
        queue.begun = 0;
        queue.discard();
        let socket = queue.socket.take();
        drop(queue);
        // Closing it is a system call.
        drop(socket);
    }

    /// Offers a frame.
    pub fn offer(&self, frame: Frame) -> Offer {
        let mut queue = self.queue.lock();
        if queue.end.is_some() {
            return Offer::Ended;
        }
        let fits = queue.count < MAX_FRAMES && queue.bytes + frame.len() <= MAX_BYTES;
        let offer = if fits || queue.count == 0 {
            queue.push(frame)
        } else {
            queue.finish(CloseReason::OutboxFull);
            Offer::Overflowed
        };
        drop(queue);
        if offer == Offer::Overflowed {
            self.task.wake();
        }
        offer
    }

    /// Ends the session; the first reason counts.
    pub fn close(&self, reason: CloseReason) {
        let mut queue = self.queue.lock();
        if queue.end.is_none() {
            queue.finish(reason);
        }
        drop(queue);
        self.task.wake();
    }

    /// Why the session ends, if it does.
    pub fn ended(&self) -> Option<CloseReason> {
        self.queue.lock().end
    }

    /// Puts a last frame in the place of all that waits, behind one that was written in part. For a session that has ended.
    pub fn say_last(&self, frame: Frame) {
        let mut queue = self.queue.lock();
        queue.discard();
        queue.push(frame);
    }

    /// Writes what waits, as much as there is room for. Nothing happens if somebody else is writing. What is left is for the
    /// session's task, and so is the end when everything was written.
    pub fn write(&self) {
        if let Some((turn, ended)) = self.write_what_waits()
            && (turn == Turn::Waiting || ended)
        {
            self.task.wake();
        }
    }

    /// Whose turn it is then, and whether the session ends; `None` if there was nothing to do.
    fn write_what_waits(&self) -> Option<(Turn, bool)> {
        let mut left = None;
        for round in 1.. {
            let Some(mut batch) = self.queue.lock().begin() else { break };
            let written = batch.write();
            let goes_on = round < MOST_ROUNDS;
            let (turn, ended) = self.queue.lock().written(&mut batch, &written, goes_on);
            left = Some((turn, ended));
            if turn != Turn::Scheduled {
                break;
            }
        }
        left
    }

    /// Goes on writing whenever there is room again; never completes. Only the session's task may wait here.
    pub fn poll_write(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let socket = {
                let queue = self.queue.lock();
                queue.socket.clone().filter(|_| queue.turn == Turn::Waiting)
            };
            let Some(socket) = socket else { return Poll::Pending };
            // An error is seen by writing.
            let _ = ready!(socket.poll_write_ready(cx));
            // The task waits for room here, and is woken only to see the end.
            if let Some((Turn::Resting, true)) = self.write_what_waits() {
                self.task.wake();
            }
        }
    }

    /// Completes when everything is written. Only the session's task may wait here.
    pub fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.task.register(cx.waker());
        let _ = self.write_what_waits();
        let _ = self.poll_write(cx);
        if self.is_written() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether nothing waits.
    pub fn is_written(&self) -> bool {
        self.queue.lock().count == 0
    }

    /// Whether the client does not read as fast as it is written to.
    pub fn is_waiting(&self) -> bool {
        self.queue.lock().turn == Turn::Waiting
    }

    /// What waits.
    #[cfg(test)]
    pub fn frames(&self) -> Vec<Frame> {
        self.queue.lock().frames.iter().cloned().collect()
    }

    /// Completes when the session is told to end, whatever waits. Only the session's task may wait here.
    pub fn poll_end(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.task.register(cx.waker());
        self.queue.lock().end.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Queue {
    fn push(&mut self, frame: Frame) -> Offer {
        self.count += 1;
        self.bytes += frame.len();
        self.frames.push_back(frame);
        if self.turn != Turn::Resting {
            return Offer::Accepted;
        }
        self.turn = Turn::Scheduled;
        Offer::Due
    }

    fn finish(&mut self, reason: CloseReason) {
        self.end = Some(reason);
        if !reason.lets_pending_frames_out() {
            self.discard();
        }
    }

    /// Drops what waits, but for a frame of which a part was written. What is being written is looked at afterwards.
    fn discard(&mut self) {
        if self.turn == Turn::Writing {
            self.discarded = true;
            self.forget_waiting(0);
        } else {
            self.forget_waiting(usize::from(self.begun > 0));
        }
    }

    fn forget_waiting(&mut self, kept: usize) {
        while self.frames.len() > kept {
            let Some(frame) = self.frames.pop_back() else { break };
            self.count -= 1;
            self.bytes -= frame.len();
        }
        self.frames.shrink_to_fit();
    }

    /// Takes what waits, to be written outside the lock.
    fn begin(&mut self) -> Option<Batch> {
        if self.frames.is_empty() {
            if self.turn != Turn::Writing && self.socket.is_some() {
                self.turn = Turn::Resting;
            }
            return None;
        }
        let socket = self.socket.as_ref().filter(|_| self.turn != Turn::Writing)?;
        let batch = Batch {
            socket: Arc::clone(socket),
            frames: std::mem::take(&mut self.frames),
            begun: std::mem::take(&mut self.begun),
            done: (0, 0),
        };
        self.turn = Turn::Writing;
        Some(batch)
    }

    /// Puts back what was not written, in front of what came meanwhile. Whose turn it is then, and whether the session ends.
    fn written(&mut self, batch: &mut Batch, written: &io::Result<usize>, goes_on: bool) -> (Turn, bool) {
        if std::mem::take(&mut self.discarded) {
            batch.keep(usize::from(batch.begun > 0));
        }
        let lost = matches!(written, Err(error) if error.kind() != io::ErrorKind::WouldBlock);
        if lost || self.socket.is_none() {
            // There is nobody to write to any more.
            self.end.get_or_insert(CloseReason::ClientGone);
            batch.begun = 0;
            batch.keep(0);
            self.forget_waiting(0);
        }
        self.count -= batch.done.0;
        self.bytes -= batch.done.1;
        self.begun = batch.begun;
        self.turn = match (batch.frames.is_empty(), self.frames.is_empty()) {
            (true, true) => Turn::Resting,
            (true, false) if goes_on => Turn::Scheduled,
            _ => Turn::Waiting,
        };
        if !batch.frames.is_empty() {
            batch.frames.append(&mut self.frames);
            self.frames = std::mem::take(&mut batch.frames);
        }
        (self.turn, self.end.is_some())
    }
}

impl Batch {
    /// Writes once, and drops what was written.
    fn write(&mut self) -> io::Result<usize> {
        let mut parts = [IoSlice::new(&[]); WRITTEN_AT_ONCE];
        let count = self.frames.len().min(WRITTEN_AT_ONCE);
        for (place, (part, Frame(frame))) in parts.iter_mut().zip(&self.frames).enumerate() {
            *part = IoSlice::new(if place == 0 { &frame[self.begun..] } else { frame });
        }
        let written = self.socket.try_write_vectored(&parts[..count])?;
        self.begun += written;
        while self.frames.front().is_some_and(|first| first.len() <= self.begun) {
            let Some(first) = self.frames.pop_front() else { break };
            self.begun -= first.len();
            self.is_done_with(&first);
        }
        Ok(written)
    }

    /// Drops all but the first frames.
    fn keep(&mut self, count: usize) {
        while self.frames.len() > count {
            let Some(last) = self.frames.pop_back() else { break };
            self.is_done_with(&last);
        }
    }

    fn is_done_with(&mut self, frame: &Frame) {
        self.done.0 += 1;
        self.done.1 += frame.len();
    }
}

#[cfg(test)]
mod tests;
