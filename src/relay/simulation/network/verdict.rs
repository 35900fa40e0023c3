//! What sessions got against what was published.

use std::{collections::HashMap, time::Duration};

use super::{
    super::{
        received::{Got, Subscription, metric},
        rule,
    },
    cluster::Cluster,
    host::{Run, channel},
};

/// A subscription that is older than this has begun.
const BEGUN: Duration = Duration::from_secs(1);

/// What each session watches besides: the channels of its token.
const CONTROL_CHANNELS: usize = 2;

/// What was missing, and what was said of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Places where events of a channel are missing that a subscription should have got.
    pub holes: usize,
    /// Gaps that nodes have said.
    pub gaps: usize,
}

/// Checks every run: no event twice, none out of order, none older than the subscription, no hole that was not said in its place, and
/// no link that was closed for what a node said.
pub(super) fn verdict(cluster: &Cluster) -> Verdict {
    let mut verdict = Verdict::default();
    let mut add = |run: &Run| {
        let (holes, gaps) = (holes(cluster, run), rule::gaps(&run.metrics, run.received.record()));
        let unsaid: Vec<_> = holes.iter().filter(|(_, is_said)| !is_said).collect();
        assert!(unsaid.is_empty(), "missing, and not said: {unsaid:#?}");
        for reason in ["protocol", "too_slow"] {
            let series = format!("flodgatt_relay_links_closed_total{{reason=\"{reason}\"}}");
            assert_eq!(metric(&run.metrics, &series), 0, "links were closed: {reason}");
        }
        verdict.holes += holes.len();
        verdict.gaps += gaps;
    };
    cluster.buried.iter().for_each(&mut add);
    for node in cluster.living() {
        cluster.with(node, |run| add(run));
    }
    verdict
}

/// What subscriptions missed: in words, and whether that was said. None got anything older than itself.
fn holes(cluster: &Cluster, run: &Run) -> Vec<(String, bool)> {
    let mut holes = Vec::new();
    for (number, subscription) in subscriptions(cluster, run) {
        let (times, channel) = (&cluster.published[number], &subscription.channel);
        let record = run.received.record().of(channel);
        let found = rule::holes(&subscription, times, &record, cluster.late);
        holes.extend(found.iter().map(|hole| (hole.words(&run.name, &subscription, times, &record), hole.is_said)));
        if let Some(Got { number: first, .. }) = subscription.got.first() {
            let older = subscription.since.saturating_sub(times[*first]);
            assert!(older <= cluster.under_way, "{channel}: {first} is {older:?} older than its subscription");
        }
    }
    holes
}

/// Each subscription of a run, and the number of its channel.
fn subscriptions(cluster: &Cluster, run: &Run) -> Vec<(usize, Subscription)> {
    let numbers: HashMap<String, usize> =
        (0..cluster.published.len()).map(|number| (channel(number), number)).collect();
    run.received.subscriptions().into_iter().map(|one| (numbers[one.channel.as_str()], one)).collect()
}

/// Every watcher has the last event of its channel.
pub(super) fn assert_up_to_date(cluster: &Cluster) {
    for node in cluster.living() {
        let check = |run: &mut Run| {
            for (number, subscription) in subscriptions(cluster, run).into_iter().filter(|(_, one)| one.is_open()) {
                let Some((expected, last)) = cluster.published[number].iter().enumerate().next_back() else { continue };
                let last_number = subscription.got.last().map(|got| got.number);
                assert!(
                    *last < subscription.since + BEGUN || last_number == Some(expected),
                    "node {node}, {}: {last_number:?} of {expected}",
                    channel(number)
                );
            }
        };
        cluster.with(node, check);
    }
}

/// Every node has a link to every other one, and of what it takes two of them hold everything.
pub(super) fn assert_at_rest(cluster: &Cluster) {
    let nodes = cluster.living().len();
    for node in cluster.living() {
        let check = |run: &mut Run| {
            assert_eq!(metric(&run.metrics, "flodgatt_cluster_nodes "), nodes, "node {node}: nodes");
            let watched = run.open().count() + CONTROL_CHANNELS;
            assert_eq!(metric(&run.metrics, "flodgatt_relay_channels "), watched, "node {node}: channels");
            assert_eq!(metric(&run.metrics, "flodgatt_relay_channels_at_risk "), 0, "node {node}: channels at risk");
        };
        cluster.with(node, check);
    }
}
