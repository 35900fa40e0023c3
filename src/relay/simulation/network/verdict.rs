//! What sessions got against what was published.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::verdict::{Got, holes_in},
    cluster::Cluster,
    host::{Run, channel},
};

/// A subscription that is older than this has begun. What is missing before that is no gap.
const BEGUN: Duration = Duration::from_secs(1);

/// What each session watches besides: the channels of its token.
const CONTROL_CHANNELS: usize = 2;

/// What was missing, and what was said of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Places where events are missing though the channel went on before and after.
    pub holes: usize,
    /// Gaps that nodes have said.
    pub gaps: usize,
}

/// The sum of the metrics that begin so.
fn metric(run: &Run, series: &str) -> usize {
    let page = run.metrics.page();
    let lines = page.lines().filter(|line| line.starts_with(series));
    lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<usize>().ok()).expect("a number")).sum()
}

/// Checks every run: no event twice, none out of order, none older than the subscription, no hole that was not said, and
/// no link that was closed for what a node said.
pub(super) fn verdict(cluster: &Cluster) -> Verdict {
    let mut verdict = Verdict::default();
    let mut add = |run: &Run| {
        let (holes, gaps) = (holes(cluster, run), metric(run, "flodgatt_relay_gaps_total{"));
        assert!(holes.len() <= gaps, "{gaps} gaps were said, and these are holes: {holes:#?}");
        for reason in ["protocol", "too_slow"] {
            let series = format!("flodgatt_relay_links_closed_total{{reason=\"{reason}\"}}");
            assert_eq!(metric(run, &series), 0, "links were closed: {reason}");
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

fn by_subscription(run: &Run) -> BTreeMap<(String, usize), Vec<Got>> {
    let mut events: BTreeMap<(String, usize), Vec<Got>> = BTreeMap::new();
    for (channel, subscription, got) in run.received.events.lock().iter() {
        events.entry((channel.to_string(), *subscription)).or_default().push(*got);
    }
    events
}

/// Where events are missing, in words.
fn holes(cluster: &Cluster, run: &Run) -> Vec<String> {
    let received = by_subscription(run);
    let mut holes = Vec::new();
    for ((number, subscription), since) in &run.watched {
        let channel = channel(*number);
        let Some(got) = received.get(&(channel.clone(), *subscription)) else { continue };
        let times = &cluster.published[*number];
        let missing = holes_in(got, |missing| times[missing.end - 1] >= *since + BEGUN);
        holes.extend(missing.into_iter().map(|missing| {
            let (of, from, to) = (&run.name, times[missing.start], times[missing.end - 1]);
            format!("{of} lacks {missing:?} of {channel}, {from:?} to {to:?}")
        }));
        let first = got[0].number;
        let older = since.saturating_sub(times[first]);
        assert!(older <= cluster.under_way, "{channel}: {first} is {older:?} older than its subscription");
    }
    holes
}

/// Every watcher has the last event of its channel.
pub(super) fn assert_up_to_date(cluster: &Cluster) {
    for node in cluster.living() {
        let check = |run: &mut Run| {
            let received = by_subscription(run);
            let open: Vec<usize> = run.open().collect();
            for number in open {
                let ((_, subscription), since) =
                    run.watched.range((number, 0)..(number + 1, 0)).next_back().expect("it is watched");
                let Some(last) = cluster.published[number].last() else { continue };
                let got = received.get(&(channel(number), *subscription));
                let last_number = got.and_then(|got| got.last()).map(|got| got.number);
                let expected = cluster.published[number].len() - 1;
                assert!(
                    *last < *since + BEGUN || last_number == Some(expected),
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
            assert_eq!(metric(run, "flodgatt_cluster_nodes "), nodes, "node {node}: nodes");
            let watched = run.open().count() + CONTROL_CHANNELS;
            assert_eq!(metric(run, "flodgatt_relay_channels "), watched, "node {node}: channels");
            assert_eq!(metric(run, "flodgatt_relay_channels_at_risk "), 0, "node {node}: channels at risk");
        };
        cluster.with(node, check);
    }
}
