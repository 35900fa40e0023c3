//! Which events a subscription missed, and whether that was said of its channel, and in that place.

use std::{fmt::Display, ops::Range, time::Duration};

use super::{
    received::Subscription,
    record::{Entry, Record, What},
};
use crate::telemetry::Metrics;

/// What is missing so soon after the beginning of a subscription is no gap.
const MOMENT: Duration = Duration::from_secs(2);

/// Events that a subscription missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// Their numbers.
    pub missing: Range<usize>,
    /// Whether its edge told the sessions of a gap of this channel in this place.
    pub is_said: bool,
    /// Between which places of the record they are missing.
    pub places: Range<usize>,
}

impl Hole {
    /// What is missing where, and what happened there.
    pub(super) fn words(
        &self,
        of: impl Display,
        subscription: &Subscription,
        published: &[Duration],
        record: &[Entry],
    ) -> String {
        let (Subscription { channel, since, .. }, missing) = (subscription, &self.missing);
        let (from, to) = (published[missing.start], published[missing.end - 1]);
        let there = &record[self.places.start..(self.places.end + 1).min(record.len())];
        format!("{of} lacks {missing:?} of {channel}, {from:?} to {to:?}, watched since {since:?}: {there:?}")
    }
}

/// What a subscription missed of the events that were published at these times: before its first event, between any two,
/// and after its last one, if it was open for so `late` as an event may come. Checks that no event came twice and none out of
/// order.
///
/// A gap covers what is missing where it stands in the record, until a take has brought everything. Logs can have holes of
/// their own, so that one that a take has said covers also what is missing further on among what this take brings; but
/// nothing that was published after that.
pub(super) fn holes(
    subscription: &Subscription,
    published: &[Duration],
    record: &[Entry],
    late: Duration,
) -> Vec<Hole> {
    let hole = |missing: Range<usize>, places: Range<usize>| {
        let last = *published.get(missing.end.checked_sub(1)?)?;
        (!missing.is_empty()).then(|| Hole { is_said: is_said(record, places.clone(), last), missing, places })
    };
    let got = &subscription.got;
    let counts_from = published.partition_point(|at| *at < subscription.since + MOMENT);
    let counts_to =
        subscription.until.map_or(published.len(), |until| published.partition_point(|at| *at + late < until));
    let first = got.first().and_then(|first| hole(counts_from..first.number, subscription.place..first.place));
    let (begin, place) = got.last().map_or((counts_from, subscription.place), |last| (last.number + 1, last.place));
    let last = hole(begin..counts_to, place..record.len());
    let between = got.windows(2).filter_map(|pair| {
        let (one, other) = (pair[0], pair[1]);
        assert!(one.number < other.number, "{} after {}", other.number, one.number);
        hole(one.number + 1..other.number, one.place..other.place)
    });
    first.into_iter().chain(between).chain(last).collect()
}

/// Whether a gap covers what is missing between two places of the record, the last of which was published then.
fn is_said(record: &[Entry], places: Range<usize>, last: Duration) -> bool {
    let between = &record[places.clone()];
    if let Some(missed) = between.iter().rposition(|entry| entry.what == What::Missed { is_counted: true }) {
        let taken = between[missed..].iter().find(|entry| matches!(entry.what, What::Taken(_)));
        return taken.is_none_or(|taken| last <= taken.at);
    }
    let Some(What::Replayed(take)) = between.first().map(|entry| entry.what) else { return false };
    let has_said = record[..places.start]
        .windows(2)
        .any(|pair| pair[0].what == What::Said(take) && pair[1].what == What::Missed { is_counted: true });
    let taken = between.iter().find(|entry| entry.what == What::Taken(take));
    let goes_on = record.get(places.end).is_some_and(|entry| entry.what == What::Replayed(take));
    has_said && (goes_on || taken.is_some_and(|taken| last <= taken.at))
}

/// Checks that metrics and record agree on how many gaps there were, and returns how many.
pub(super) fn gaps(metrics: &Metrics, record: &Record) -> usize {
    let gaps = super::received::metric(metrics, "flodgatt_relay_gaps_total{");
    assert_eq!(gaps, record.counted(), "gaps in the metrics, gaps of which sessions were told");
    gaps
}

#[cfg(test)]
mod tests;
