//! What became of numbered events at those who watch their channels.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::time::Duration;

/// One event, by what it is known to the publisher. Times are since the beginning of the load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    pub at: Duration,
    /// How many connections got it, as Redis said.
    pub receivers: i64,
}

/// One arrival of an event at one client. Numbers of a channel begin at 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Receipt {
    pub load: u32,
    pub channel: usize,
    pub number: usize,
    pub at: Duration,
}

/// What a client that watches some channels got, in the order in which it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    pub node: usize,
    pub channels: Vec<usize>,
    /// For one that came during the load: when it asked, and when its subscriptions were seen to work. It must get nothing
    /// that is older than the first, and everything from the first event on, or from the second time on if that is earlier.
    pub since: Option<(Duration, Duration)>,
    pub receipts: Vec<Receipt>,
}

/// Events of one load.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub load: u32,
    /// For each channel.
    pub published: Vec<Vec<Published>>,
    /// How often each event was published in a row, for each channel.
    pub copies: Vec<usize>,
}

/// An event that did not come, came too often, or came when it must not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    pub node: usize,
    pub channel: usize,
    pub number: usize,
    pub published: Option<Published>,
}

/// What went wrong at the clients of one node, or of several together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    pub watchers: usize,
    pub received: usize,
    /// Once for each copy.
    pub lost: Vec<Fault>,
    pub doubled: Vec<Fault>,
    /// Behind one of a higher number.
    pub disordered: Vec<Fault>,
    /// Older than the subscription of who got it.
    pub stale: Vec<Fault>,
    /// The longest time from an event's publication until it came.
    pub longest: Duration,
    /// When that event was published.
    pub longest_at: Duration,
    /// For each arrival, when the event was published and how long it took.
    pub pauses: Vec<(Duration, Duration)>,
}

/// What is known of a load, by the nodes of the clients.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    pub events: usize,
    pub nodes: BTreeMap<usize, Findings>,
}

/// A subscription takes effect a moment after it was asked for; what was on its way then is not older.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

impl Facts {
    fn fault(&self, node: usize, channel: usize, number: usize) -> Fault {
        let published = self.published.get(channel).and_then(|events| events.get(number.checked_sub(1)?));
        Fault { node, channel, number, published: published.copied() }
    }

    pub fn judge(&self, watchers: &[Watched]) -> Verdict {
        let mut verdict = Verdict {
            events: self.published.iter().zip(&self.copies).map(|(events, copies)| events.len() * copies).sum(),
            nodes: BTreeMap::new(),
        };
        for watched in watchers {
            self.judge_one(watched, verdict.nodes.entry(watched.node).or_default());
        }
        verdict
    }

    fn judge_one(&self, watched: &Watched, findings: &mut Findings) {
        findings.watchers += watched.channels.len();
        findings.received += watched.receipts.len();
        let mut counts: HashMap<(usize, usize), usize> = HashMap::new();
        let (mut last, mut first) = (HashMap::new(), HashMap::new());
        for receipt in &watched.receipts {
            let (channel, number) = (receipt.channel, receipt.number);
            let fault = self.fault(watched.node, channel, number);
            let (Some(published), true) = (fault.published, receipt.load == self.load) else {
                // Of an earlier load, all of which was seen already, or never published.
                findings.doubled.push(fault);
                continue;
            };
            let count = counts.entry((channel, number)).or_default();
            *count += 1;
            let last = last.entry(channel).or_insert(0);
            first.entry(channel).or_insert(number);
            if *count > self.copies[channel] {
                findings.doubled.push(fault);
            } else if number < *last {
                findings.disordered.push(fault);
            }
            *last = number.max(*last);
            if watched.since.is_some_and(|(since, _)| published.at + ON_ITS_WAY < since) {
                findings.stale.push(fault);
            }
            let pause = receipt.at.saturating_sub(published.at);
            findings.pauses.push((published.at, pause));
            if pause > findings.longest {
                (findings.longest, findings.longest_at) = (pause, published.at);
            }
        }
        for &channel in &watched.channels {
            let all = self.published[channel].len();
            let start = match watched.since {
                None => 1,
                Some((_, works)) => {
                    let due = self.published[channel].partition_point(|event| event.at < works) + 1;
                    first.get(&channel).copied().unwrap_or(due).min(due)
                }
            };
            for number in start..=all {
                let count = counts.get(&(channel, number)).copied().unwrap_or(0);
                let missing = self.copies[channel].saturating_sub(count);
                // Of the first event that a newcomer got, it may have missed a copy.
                let missing = if watched.since.is_some() && Some(&number) == first.get(&channel) { 0 } else { missing };
                findings.lost.extend((0..missing).map(|_| self.fault(watched.node, channel, number)));
            }
        }
    }
}

impl Verdict {
    /// All that the clients of these nodes found, together.
    pub fn at(&self, nodes: &[usize]) -> Findings {
        let mut all = Findings::default();
        for findings in nodes.iter().filter_map(|node| self.nodes.get(node)) {
            all.watchers += findings.watchers;
            all.received += findings.received;
            all.lost.extend(&findings.lost);
            all.doubled.extend(&findings.doubled);
            all.disordered.extend(&findings.disordered);
            all.stale.extend(&findings.stale);
            all.pauses.extend(&findings.pauses);
            if findings.longest > all.longest {
                (all.longest, all.longest_at) = (findings.longest, findings.longest_at);
            }
        }
        all
    }

    pub fn everywhere(&self) -> Findings {
        self.at(&self.nodes.keys().copied().collect::<Vec<_>>())
    }

    /// Requires that every client got everything once and in order.
    #[track_caller]
    pub fn is_clean(&self) {
        let all = self.everywhere();
        assert!(all.received > 0, "nothing was received at all");
        assert!(all.is_clean(), "{self}{}", all.examples());
    }
}

impl Findings {
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.is_honest()
    }

    /// Whether nothing came twice, too late or unasked, whatever did not come.
    pub fn is_honest(&self) -> bool {
        self.doubled.is_empty() && self.disordered.is_empty() && self.stale.is_empty()
    }

    /// The time in which everything was published that was lost.
    pub fn lost_span(&self) -> Duration {
        let times = || self.lost.iter().filter_map(|fault| Some(fault.published?.at));
        times().max().unwrap_or_default() - times().min().unwrap_or_default()
    }

    /// The longest time from publication until arrival, of what was published in a time.
    pub fn longest_in(&self, time: Range<Duration>) -> Duration {
        let pauses = self.pauses.iter().filter(|(at, _)| time.contains(at));
        pauses.map(|(_, pause)| *pause).max().unwrap_or_default()
    }

    /// The first faults of each kind, each on a line of its own.
    pub fn examples(&self) -> String {
        let mut text = String::new();
        let kinds = [("lost", &self.lost), ("doubled", &self.doubled)];
        let kinds = kinds.into_iter().chain([("out of order", &self.disordered), ("stale", &self.stale)]);
        for (kind, faults) in kinds {
            for fault in faults.iter().take(12) {
                let _ = write!(text, "\n  {kind}: {fault}");
            }
        }
        text
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} of channel {} at node {}", self.number, self.channel, self.node)?;
        match self.published {
            Some(Published { at, receivers }) => {
                write!(f, ", published at {:.3} s to {receivers} connections", at.as_secs_f64())
            }
            None => write!(f, ", never published"),
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { watchers, received, lost, doubled, disordered, stale, longest, longest_at, .. } = self;
        write!(f, "{watchers} watchers got {received}: lost {}, doubled {}", lost.len(), doubled.len())?;
        write!(f, ", out of order {}, stale {}", disordered.len(), stale.len())?;
        write!(f, ", longest {} ms (at {:.3} s)", longest.as_millis(), longest_at.as_secs_f64())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events; {}", self.events, self.everywhere())?;
        if self.nodes.len() > 1 {
            for (node, findings) in &self.nodes {
                write!(f, "; node {node}: lost {}, {} ms", findings.lost.len(), findings.longest.as_millis())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// One event a second on one channel.
    fn facts(events: u32, copies: usize) -> Facts {
        let published = (1..=events).map(|number| Published { at: SECOND * number, receivers: 2 }).collect();
        Facts { load: 1, published: vec![published], copies: vec![copies] }
    }

    fn watched(numbers: &[usize]) -> Watched {
        let receipt = |number: &usize| Receipt { load: 1, channel: 0, number: *number, at: SECOND * *number as u32 };
        Watched { node: 0, channels: vec![0], since: None, receipts: numbers.iter().map(receipt).collect() }
    }

    fn numbers(faults: &[Fault]) -> Vec<usize> {
        faults.iter().map(|fault| fault.number).collect()
    }

    /// Lost, doubled, out of order, stale.
    fn found(facts: &Facts, watched: &Watched) -> [Vec<usize>; 4] {
        let all = facts.judge(std::slice::from_ref(watched)).everywhere();
        [&all.lost, &all.doubled, &all.disordered, &all.stale].map(|faults| numbers(faults))
    }

    fn nothing() -> [Vec<usize>; 4] {
        [const { Vec::new() }; 4]
    }

    #[test]
    fn whoever_gets_everything_once_and_in_order_has_nothing_to_complain_of() {
        assert_eq!(found(&facts(3, 1), &watched(&[1, 2, 3])), nothing());
        facts(3, 1).judge(&[watched(&[1, 2, 3])]).is_clean();
    }

    #[test]
    fn an_event_that_does_not_come_is_lost_at_the_beginning_in_the_middle_and_at_the_end() {
        for (got, lost) in [([2, 3], 1), ([1, 3], 2), ([1, 2], 3)] {
            assert_eq!(found(&facts(3, 1), &watched(&got)), [vec![lost], vec![], vec![], vec![]]);
        }
        assert_eq!(found(&facts(2, 1), &watched(&[])), [vec![1, 2], vec![], vec![], vec![]]);
    }

    #[test]
    fn an_event_that_comes_again_is_doubled_at_once_and_later() {
        for got in [[1, 1, 2], [1, 2, 1]] {
            assert_eq!(found(&facts(2, 1), &watched(&got)), [vec![], vec![1], vec![], vec![]]);
        }
    }

    #[test]
    fn an_event_that_comes_behind_a_later_one_is_out_of_order() {
        assert_eq!(found(&facts(3, 1), &watched(&[1, 3, 2])), [vec![], vec![], vec![2], vec![]]);
    }

    #[test]
    fn equal_events_in_pairs_come_in_pairs() {
        assert_eq!(found(&facts(2, 2), &watched(&[1, 1, 2, 2])), nothing());
        assert_eq!(found(&facts(2, 2), &watched(&[1, 2, 2])), [vec![1], vec![], vec![], vec![]]);
        assert_eq!(found(&facts(2, 2), &watched(&[1, 1, 1, 2, 2])), [vec![], vec![1], vec![], vec![]]);
        assert_eq!(found(&facts(2, 2), &watched(&[1, 2, 1, 2])), [vec![], vec![], vec![1], vec![]]);
    }

    #[test]
    fn who_came_later_gets_what_is_newer_without_holes() {
        let newcomer = |numbers: &[usize]| Watched { since: Some((SECOND * 3, SECOND * 5)), ..watched(numbers) };
        assert_eq!(found(&facts(5, 1), &newcomer(&[3, 4, 5])), nothing());
        assert_eq!(found(&facts(5, 1), &newcomer(&[4, 5])), nothing());
        assert_eq!(found(&facts(5, 1), &newcomer(&[3, 5])), [vec![4], vec![], vec![], vec![]]);
        assert_eq!(found(&facts(6, 1), &newcomer(&[6])), [vec![5], vec![], vec![], vec![]]);
        assert_eq!(found(&facts(6, 1), &newcomer(&[])), [vec![5, 6], vec![], vec![], vec![]]);
        assert_eq!(found(&facts(5, 1), &newcomer(&[2, 3, 4, 5])), [vec![], vec![], vec![], vec![2]]);
        assert_eq!(found(&facts(2, 2), &newcomer(&[2])), [vec![], vec![], vec![], vec![2]]);
    }

    #[test]
    fn what_nobody_published_and_what_an_earlier_load_published_is_one_too_many() {
        let mut stray = watched(&[1, 2]);
        stray.receipts[0].load = 0;
        assert_eq!(found(&facts(2, 1), &stray), [vec![1], vec![1], vec![], vec![]]);
        assert_eq!(found(&facts(1, 1), &watched(&[1, 2])), [vec![], vec![2], vec![], vec![]]);
    }

    #[test]
    fn the_longest_time_is_from_publication_to_arrival() {
        let mut late = watched(&[1, 2, 3]);
        late.receipts[1].at += SECOND * 2;
        late.receipts[2].at += SECOND;
        let all = facts(3, 1).judge(&[late]).everywhere();
        assert_eq!((all.longest, all.longest_at), (SECOND * 2, SECOND * 2));
        assert_eq!(all.longest_in(SECOND * 2..SECOND * 3), SECOND * 2);
        assert_eq!(all.longest_in(SECOND * 3..SECOND * 4), SECOND);
        assert_eq!(all.longest_in(SECOND..SECOND * 2), Duration::ZERO);
    }

    #[test]
    fn each_node_has_findings_of_its_own() {
        let verdict = facts(3, 1).judge(&[watched(&[1, 2, 3]), Watched { node: 1, ..watched(&[3]) }]);
        assert!(verdict.nodes[&0].is_clean() && verdict.at(&[0]).is_clean());
        assert_eq!(numbers(&verdict.at(&[1]).lost), [1, 2]);
        assert_eq!(verdict.at(&[1]).lost_span(), SECOND);
        assert_eq!((verdict.everywhere().lost.len(), verdict.events), (2, 3));
    }

    #[test]
    #[should_panic(expected = "lost 1")]
    fn a_loss_fails_the_test() {
        facts(2, 1).judge(&[watched(&[1])]).is_clean();
    }
}
