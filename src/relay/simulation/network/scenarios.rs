use std::time::Duration;

use super::{
    super::scenarios::try_seeds,
    cluster::{Cluster, Trouble},
    verdict::{Verdict, assert_at_rest, assert_up_to_date, verdict},
};

const CHANNELS: usize = 12;

/// How many seeds each scenario is tried with by default, and the one in which everything may happen.
const SEEDS: u64 = 1;
const SEEDS_OF_ALL: u64 = 3;

/// When everybody gets everything again, if nothing was lost: silent connections are found and made anew.
const SOON: Duration = seconds(7);

/// The same if something was, or calls went wrong again and again: within three seconds silent connections are found and
/// calls that nobody has heard are given up, within three more there is the next call, and five seconds after the last link
/// was lost nobody waits any more for what others have.
const IN_THE_END: Duration = seconds(12);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How often each seed is tried: runs of one seed are not quite equal.
fn with_seeds(default: u64, scenario: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let tries = std::env::var("FLODGATT_TRIES").map_or(1, |text| text.parse().expect("FLODGATT_TRIES is a number"));
    try_seeds(default, |seed| (0..tries).for_each(|_: u32| scenario(seed)));
}

/// A cluster under load, each channel watched at two nodes or so.
fn cluster(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(seed, 3, CHANNELS);
    cluster.run(seconds(1));
    watch_somewhere(&mut cluster);
    watch_somewhere(&mut cluster);
    cluster.run(seconds(1));
    cluster.pace = 150.0;
    cluster.run(seconds(1));
    cluster
}

fn watch_somewhere(cluster: &mut Cluster) {
    for number in 0..CHANNELS {
        let node = cluster.any_living();
        cluster.watch(node, number);
    }
}

/// Clients that come and go.
fn come_and_go(cluster: &mut Cluster) {
    for _ in 0..3 {
        let (node, number) = (cluster.any_living(), cluster.random.usize(0..CHANNELS));
        cluster.with(node, |run| run.leave(number));
        let node = cluster.any_living();
        cluster.watch(node, number);
    }
}

/// All troubles are over, and so long later everybody gets everything again. What was missing until then?
fn settle(mut cluster: Cluster, time: Duration) -> Verdict {
    cluster.mend();
    cluster.run(time);
    cluster.pace = 0.0;
    (0..CHANNELS).for_each(|number| cluster.publish(number));
    cluster.run(seconds(1));
    let verdict = verdict(&cluster);
    assert_up_to_date(&cluster);
    assert_at_rest(&cluster);
    verdict
}

/// One trouble, of up to seven seconds, costs nothing.
fn survives(trouble: impl Fn(&mut Cluster) -> Trouble + std::panic::RefUnwindSafe) {
    with_seeds(SEEDS, |seed| {
        let mut cluster = cluster(seed);
        cluster.run_up_to_ms(1_000);
        let trouble = trouble(&mut cluster);
        cluster.begin(trouble);
        cluster.run_up_to_ms(7_000);
        assert_eq!(settle(cluster, SOON), Verdict::default());
    });
}

#[test]
fn clients_that_come_and_go_get_everything_once_and_in_order() {
    with_seeds(SEEDS, |seed| {
        let mut cluster = cluster(seed);
        for _ in 0..5 {
            come_and_go(&mut cluster);
            cluster.run_up_to_ms(1_000);
        }
        assert_eq!(settle(cluster, SOON), Verdict::default());
    });
}

#[test]
fn a_process_that_dies_and_comes_back_costs_nothing() {
    survives(|cluster| Trouble::Crash(cluster.any_living()));
}

#[test]
fn a_host_that_dies_and_comes_back_costs_nothing() {
    survives(|cluster| Trouble::PowerLoss(cluster.any_living()));
}

#[test]
fn a_node_that_leaves_and_comes_back_costs_nothing() {
    with_seeds(SEEDS, |seed| {
        let mut cluster = cluster(seed);
        cluster.run_up_to_ms(1_000);
        let node = cluster.any_living();
        cluster.retire(node);
        cluster.run_up_to_ms(3_000);
        assert_eq!(settle(cluster, SOON), Verdict::default());
    });
}

#[test]
fn two_nodes_that_do_not_hear_each_other_miss_nothing() {
    survives(|cluster| {
        let (one, other) = cluster.any_pair();
        Trouble::Parted(one, other)
    });
}

#[test]
fn a_node_that_does_not_hear_another_one_misses_nothing() {
    survives(|cluster| {
        let (one, other) = cluster.any_pair();
        Trouble::Deaf(one, other)
    });
}

#[test]
fn messages_that_arrive_late_or_never_cost_nothing() {
    survives(|cluster| {
        let (one, other) = cluster.any_pair();
        match cluster.random.u8(0..3) {
            0 => Trouble::Held(one, other),
            1 => Trouble::Lossy(one, other),
            _ => Trouble::Slow(one, other, cluster.random.u64(20..600)),
        }
    });
}

#[test]
fn a_node_without_redis_misses_nothing() {
    survives(|cluster| Trouble::Cut(cluster.any_living()));
}

#[test]
fn whatever_happens_nothing_is_doubled_and_no_gap_is_unsaid() {
    with_seeds(SEEDS_OF_ALL, |seed| {
        let mut cluster = cluster(seed);
        // What comes when Redis has been silent may be as old as that.
        cluster.under_way = seconds(3_600);
        // Silence lasts until it is mended.
        cluster.late = seconds(24);
        for _ in 0..8 {
            let trouble = any_trouble(&mut cluster);
            cluster.begin(trouble);
            cluster.run_up_to_ms(2_500);
            if cluster.random.bool() {
                cluster.mend_one();
            }
            if cluster.random.u8(0..8) == 0 {
                let node = cluster.any_living();
                cluster.lag(node);
            }
            come_and_go(&mut cluster);
        }
        settle(cluster, IN_THE_END);
    });
}

/// Anything, as long as one node is left.
fn any_trouble(cluster: &mut Cluster) -> Trouble {
    let (node, (one, other)) = (cluster.any_living(), cluster.any_pair());
    match cluster.random.u8(0..10) {
        0 if cluster.living().len() > 1 => Trouble::Crash(node),
        1 if cluster.living().len() > 1 => Trouble::PowerLoss(node),
        9 if cluster.living().len() > 1 => Trouble::Leaving(node),
        0..=2 => Trouble::Parted(one, other),
        3 => Trouble::Deaf(one, other),
        4 => Trouble::Held(one, other),
        5 => Trouble::Lossy(one, other),
        6 => Trouble::Slow(one, other, cluster.random.u64(20..3_000)),
        7 => Trouble::Cut(node),
        _ => Trouble::Silent(node),
    }
}
