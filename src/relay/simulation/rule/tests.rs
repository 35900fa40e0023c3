//! Records written by hand. Event n is published at n seconds.

use super::{super::received::Got, super::record::TakeId, *};
use crate::{domain::Channel, relay::door::LinkId};

const fn take(round: u32) -> TakeId {
    TakeId { link: LinkId(1), ask: 1, round }
}

const MISSED: What = What::Missed { is_counted: true };

/// What happened at an edge; with the number of the event that the subscription got there, if any.
struct Story {
    subscription: Subscription,
    record: Vec<Entry>,
}

impl Story {
    /// A subscription at this time, when nothing had happened.
    fn since(seconds: u64) -> Self {
        let channel = Channel::named("timeline:1");
        let (since, got) = (Duration::from_secs(seconds), Vec::new());
        Self { subscription: Subscription { channel, since, place: 0, until: None, got }, record: Vec::new() }
    }

    fn then(mut self, what: What, at: u64) -> Self {
        self.record.push(Entry { what, at: Duration::from_secs(at) });
        self
    }

    fn said(self, round: u32, at: u64) -> Self {
        self.then(What::Said(take(round)), at).then(MISSED, at)
    }

    /// Events that come live.
    fn live(self, numbers: impl IntoIterator<Item = usize>) -> Self {
        numbers.into_iter().fold(self, |story, number| story.got(number, What::Live, number as u64))
    }

    fn replayed(self, round: u32, at: u64, numbers: impl IntoIterator<Item = usize>) -> Self {
        numbers.into_iter().fold(self, |story, number| story.got(number, What::Replayed(take(round)), at))
    }

    fn got(mut self, number: usize, what: What, at: u64) -> Self {
        self.subscription.got.push(Got { number, place: self.record.len() });
        self.then(what, at)
    }

    fn taken(self, round: u32, at: u64) -> Self {
        self.then(What::Taken(take(round)), at)
    }

    /// What was missing of so many events, and whether that was said.
    fn holes(&self, published: u64) -> Vec<(Range<usize>, bool)> {
        let published: Vec<Duration> = (0..published).map(Duration::from_secs).collect();
        let holes = holes(&self.subscription, &published, &self.record, Duration::from_secs(3));
        holes.into_iter().map(|hole| (hole.missing, hole.is_said)).collect()
    }
}

#[test]
fn whoever_got_everything_missed_nothing() {
    let story = Story::since(0).taken(1, 0).live(1..5).replayed(2, 7, 5..8).taken(2, 7).live(8..10);
    assert_eq!(story.holes(10), []);
}

#[test]
fn a_hole_between_live_events_is_not_said() {
    let story = Story::since(0).taken(1, 0).live(1..5).live(7..10);
    assert_eq!(story.holes(10), [(5..7, false)]);
}

#[test]
fn a_gap_is_said_where_it_stands() {
    let story = Story::since(0).taken(1, 0).live(1..5).said(2, 7).taken(2, 7).live(7..10);
    assert_eq!(story.holes(10), [(5..7, true)]);
}

#[test]
fn a_gap_pays_for_no_hole_elsewhere() {
    let story = Story::since(0).taken(1, 0).live(1..4).said(2, 4).taken(2, 4).live(4..6).live(8..10);
    assert_eq!(story.holes(10), [(6..8, false)]);
}

#[test]
fn a_gap_that_was_not_counted_covers_nothing() {
    let uncounted = What::Missed { is_counted: false };
    let said = Story::since(0).taken(1, 0).live(1..5).then(What::Said(take(2)), 7).then(uncounted, 7);
    assert_eq!(said.taken(2, 7).live(7..10).holes(10), [(5..7, false)]);
}

#[test]
fn a_gap_covers_the_holes_of_the_log_that_its_take_brings() {
    let story = Story::since(0).taken(1, 0).live(1..3).said(2, 9).replayed(2, 9, [4, 6]).taken(2, 9).live(9..10);
    assert_eq!(story.holes(10), [(3..4, true), (5..6, true), (7..9, true)]);
}

#[test]
fn a_take_that_said_no_gap_has_no_holes() {
    let story = Story::since(0).taken(1, 0).live(1..4).replayed(2, 9, [4, 6]).taken(2, 9).live(7..10);
    assert_eq!(story.holes(10), [(5..6, false)]);
}

#[test]
fn a_gap_of_one_take_covers_no_hole_of_the_next() {
    let story = Story::since(0).taken(1, 0).live(1..3).said(2, 7).replayed(2, 7, [4, 5, 6]);
    assert_eq!(story.replayed(3, 12, 9..12).taken(3, 12).live(12..13).holes(13), [(3..4, true), (7..9, false)]);
}

#[test]
fn the_holes_of_a_second_take_are_its_own_though_no_live_event_came_between() {
    let story = Story::since(0).taken(1, 0).live(1..3).said(2, 6).replayed(2, 6, 4..7).taken(2, 6);
    assert_eq!(story.replayed(3, 12, [9, 10, 12]).holes(13), [(3..4, true), (7..9, false), (11..12, false)]);
}

#[test]
fn a_gap_covers_no_live_event_that_is_lost_after_its_take_has_brought_everything() {
    let story = Story::since(0).taken(1, 0).live(1..5).said(2, 7).taken(2, 7).live(12..13);
    assert_eq!(story.holes(13), [(5..12, false)]);
}

#[test]
fn a_gap_covers_nothing_that_was_published_after_everything_was_brought() {
    let story = Story::since(0).taken(1, 0).live(1..3).said(2, 7).replayed(2, 7, 4..7).taken(2, 7).live(9..10);
    assert_eq!(story.holes(10), [(3..4, true), (7..9, false)]);
}

#[test]
fn a_replay_within_the_same_moment_is_none_the_less_one() {
    let story = Story::since(0).taken(1, 0).live(1..4).replayed(2, 5, [5]).live(6..8);
    assert_eq!(story.holes(8), [(4..5, false)]);
}

#[test]
fn what_is_missing_within_two_seconds_of_the_beginning_is_no_hole() {
    assert_eq!(Story::since(3).taken(1, 3).live(5..8).holes(8), []);
}

#[test]
fn what_is_missing_later_at_the_beginning_is_one() {
    assert_eq!(Story::since(3).taken(1, 6).live(7..9).holes(9), [(5..7, false)]);
    assert_eq!(Story::since(3).said(1, 6).taken(1, 6).live(7..9).holes(9), [(5..7, true)]);
}

#[test]
fn a_gap_before_a_subscription_is_none_of_it() {
    let mut story = Story::since(3).said(1, 2).taken(1, 2);
    story.subscription.place = story.record.len();
    assert_eq!(story.live(7..9).holes(9), [(5..7, false)]);
}

#[test]
fn what_is_missing_between_two_events_is_a_hole_however_soon() {
    assert_eq!(Story::since(0).taken(1, 0).live([0, 2]).holes(3), [(1..2, false)]);
}

#[test]
fn a_subscription_that_ended_missed_what_was_published_long_before() {
    let until = |mut story: Story, seconds| {
        story.subscription.until = Some(Duration::from_secs(seconds));
        story.holes(20)
    };
    assert_eq!(until(Story::since(0).taken(1, 0), 4), []);
    assert_eq!(until(Story::since(0).taken(1, 0), 9), [(2..6, false)]);
    assert_eq!(until(Story::since(0).taken(1, 0).live(1..6), 9), []);
    assert_eq!(until(Story::since(0).taken(1, 0).live(1..6), 12), [(6..9, false)]);
    assert_eq!(until(Story::since(0).taken(1, 0).live(1..6).said(2, 11), 12), [(6..9, true)]);
}

#[test]
fn a_subscription_that_got_nothing_missed_everything() {
    assert_eq!(Story::since(3).taken(1, 3).holes(9), [(5..9, false)]);
    assert_eq!(Story::since(3).said(1, 9).taken(1, 9).holes(9), [(5..9, true)]);
    assert_eq!(Story::since(3).holes(4), []);
}

#[test]
#[should_panic(expected = "4 after 4")]
fn an_event_that_came_twice_fails() {
    Story::since(0).live([1, 2, 3, 4, 4]).holes(5);
}

#[test]
#[should_panic(expected = "gaps in the metrics")]
fn a_gap_that_no_place_is_known_of_fails() {
    let metrics = Metrics::default();
    metrics.relay.gap(crate::relay::message::GapCause::TooLarge);
    gaps(&metrics, &Record::default());
}
