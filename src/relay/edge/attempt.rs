//! The taking of a channel that no source relays yet, or not any more.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{message::GapCause, position::Tick};

/// How long a node may take to answer a take, while it answers nothing else either, before another one is asked.
pub(super) const ANSWER: Duration = Duration::from_secs(3);

/// How long it may take while it answers others.
const LONGEST_ANSWER: Duration = Duration::from_secs(15);

/// How long the beginning of a subscription may take.
const MOMENT: Duration = Duration::from_secs(1);

/// How long a take may be on its way to a holder that has all that came since it arrived there.
const LONGEST_WAY: Duration = Duration::from_secs(2);

/// What was tried, and since when.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// The last tick before the first take: if that is not answered, others are asked for what came since.
    begun: Option<Tick>,
    /// When the first take was sent, until a source is live.
    beginning: Option<Instant>,
    /// The number of the last take.
    round: u32,
    /// Since when it is waited for the answer to the last take, or for more of it.
    awaited: Option<Instant>,
    /// Whether the last take may be refused, and whether a gap was said in answer to it.
    is_strict: bool,
    has_gap: bool,
    /// Since when no source is live, if one was, or the first one should be.
    lost: Option<Instant>,
    /// Why the last take that was given up was.
    given_up: Option<GapCause>,
    /// Since when everybody who can be asked has refused or is late, and others are waited for.
    waiting: Option<Instant>,
}

impl Attempt {
    /// The channel is wanted for the first time; this was the last tick before.
    pub(super) fn begin(&mut self, tick: Option<Tick>, now: Instant) {
        (self.begun, self.beginning) = (tick, Some(now));
    }

    pub(super) fn has_begun(&self) -> bool {
        self.round > 0
    }

    /// A take is sent; returns its number.
    pub(super) fn take(&mut self, is_strict: bool, now: Instant) -> u32 {
        self.round += 1;
        (self.awaited, self.is_strict, self.has_gap) = (Some(now), is_strict, false);
        self.round
    }

    pub(super) fn may_be_refused(&self) -> bool {
        self.is_strict
    }

    /// Events are missing at this place, a source says; whether it says so for the first time.
    pub(super) fn has_new_gap(&mut self) -> bool {
        !std::mem::replace(&mut self.has_gap, true)
    }

    /// Whoever was asked has all the time again to answer.
    pub(super) fn give_time(&mut self, now: Instant) {
        self.awaited = Some(now);
    }

    /// This process was stopped: whoever is waited for may have come long ago, and could not be heard.
    pub(super) fn wait_anew(&mut self, now: Instant) {
        self.give_time(now);
        self.waiting = self.waiting.map(|_| now);
    }

    /// Whether an answer is late from a node that last answered something at this time.
    pub(super) fn is_late(&self, answered: Option<Instant>, now: Instant) -> bool {
        let is_longer_ago = |since: Option<Instant>, time| since.is_some_and(|since| now.duration_since(since) >= time);
        let answers_others = answered.is_some() && !is_longer_ago(answered, ANSWER);
        is_longer_ago(self.awaited, if answers_others { LONGEST_ANSWER } else { ANSWER })
    }

    /// When to ask again whether an answer is late.
    pub(super) fn late_at(&self) -> Option<Instant> {
        self.awaited.map(|awaited| awaited + ANSWER)
    }

    /// Whom the last take was sent to does not answer. Returns the tick from which on everything is missing if nothing was
    /// taken yet.
    pub(super) fn give_up(&mut self, cause: GapCause, now: Instant) -> Option<Tick> {
        self.lost.get_or_insert(now);
        self.given_up = Some(cause);
        self.begun
    }

    /// There is a source.
    pub(super) fn succeed(&mut self) {
        (self.lost, self.beginning) = (None, None);
        (self.waiting, self.given_up) = (None, None);
    }

    /// The live source is lost.
    pub(super) fn lose(&mut self, now: Instant) {
        self.lost = Some(now);
    }

    /// Since when no source is live, if one was.
    pub(super) fn lost(&self) -> Option<Instant> {
        self.lost
    }

    /// Whether the first take was sent a moment ago, and nothing was taken yet. Nobody may have held the channel before: that
    /// a subscription takes a moment is no gap.
    pub(super) fn is_beginning(&self, now: Instant) -> bool {
        self.beginning.is_some_and(|beginning| now.duration_since(beginning) < MOMENT)
    }

    /// Whether, as nothing was taken yet, what came since the first take may be missing: there was another one, or it took
    /// too long. Who has `held` the channel all the time answers with all that came since it was asked, but nobody knows when
    /// that was.
    pub(super) fn has_lost_its_beginning(&self, held: bool, now: Instant) -> bool {
        let patience = if held { LONGEST_WAY } else { MOMENT };
        self.round > 1 || self.beginning.is_some_and(|beginning| now.duration_since(beginning) >= patience)
    }

    /// Why events may be missing that came since the first take.
    pub(super) fn cause_of_lost_beginning(&self) -> GapCause {
        self.given_up.unwrap_or(GapCause::SourceLost)
    }

    /// There is nobody else to take from: others are waited for.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waiting.get_or_insert(now);
    }

    /// Whether others were waited for at least so long, since there is no live source.
    pub(super) fn has_waited(&self, time: Duration, now: Instant) -> bool {
        self.waiting.is_some_and(|waiting| now.duration_since(waiting) >= time)
    }
}
