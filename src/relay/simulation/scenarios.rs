use std::time::Duration;

use super::{
    verdict::{assert_at_rest, assert_no_gap_unsaid, assert_nothing_lingers, assert_up_to_date, digest, gaps, holes},
    world::{World, channel},
};

const CHANNELS: usize = 20;

/// How many seeds each scenario is tried with by default.
const SEEDS: u64 = 3;

/// Longer than channels are held for edges that may come back.
const LINGER: Duration = seconds(62);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How many seeds a scenario is tried with, and the first of them: a failed one is found in the message.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect(name));
    let first = number("FLODGATT_SEED", 1);
    first..first + number("FLODGATT_SEEDS", default)
}

/// A cluster under load, every channel watched at two nodes or so.
fn cluster(seed: u64, nodes: usize) -> World {
    let mut world = World::new(seed, CHANNELS);
    for index in 0..nodes {
        world.start(index);
    }
    world.run(seconds(1));
    watch_somewhere(&mut world);
    world.run(seconds(1));
    world.pace = 300.0;
    world.run(seconds(2));
    world
}

fn watch_somewhere(world: &mut World) {
    for number in 0..CHANNELS {
        for _ in 0..2 {
            let nodes: Vec<usize> = world.nodes.keys().copied().collect();
            let index = nodes[world.random.usize(0..nodes.len())];
            let now = world.now;
            if let Some(node) = world.nodes.get_mut(&index) {
                node.watch(&channel(number), now);
            }
        }
    }
}

/// Some who watch do not any more.
fn leave_somewhere(world: &mut World) {
    for number in 0..CHANNELS / 2 {
        let index = any_node(world);
        if let Some(node) = world.nodes.get_mut(&index) {
            node.leave(&channel(number));
        }
    }
}

/// The end of a run: all goes on, and soon nothing is left to be done.
fn settle(mut world: World) -> World {
    world.mend();
    world.run(seconds(8));
    world.pace = 0.0;
    world.idle(seconds(3));
    assert_up_to_date(&world);
    assert_at_rest(&world);
    world.idle(LINGER);
    assert_at_rest(&world);
    assert_nothing_lingers(&world);
    world
}

fn with_seeds(scenario: impl Fn(u64) + std::panic::RefUnwindSafe) {
    try_seeds(SEEDS, scenario);
}

/// Tries a scenario with so many seeds; says which one failed.
pub(super) fn try_seeds(default: u64, scenario: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in seeds(default) {
        let outcome = std::panic::catch_unwind(|| scenario(seed));
        assert!(outcome.is_ok(), "failed with FLODGATT_SEED={seed} FLODGATT_SEEDS=1");
    }
}

fn assert_nothing_missing(world: World) {
    let world = settle(world);
    assert_no_gap_unsaid(&world);
    assert_eq!((holes(&world), gaps(&world)), (0, 0));
}

fn any_node(world: &mut World) -> usize {
    let nodes: Vec<usize> = world.nodes.keys().copied().collect();
    nodes[world.random.usize(0..nodes.len())]
}

fn a_moment(world: &mut World, most_ms: u64) {
    let moment = world.random.u64(0..=most_ms);
    world.run(Duration::from_millis(moment));
}

#[test]
fn an_undisturbed_cluster_delivers_everything_once_and_in_order() {
    with_seeds(|seed| assert_nothing_missing(cluster(seed, 3)));
}

#[test]
fn the_death_of_a_node_loses_and_doubles_nothing() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        a_moment(&mut world, 1_500);
        let victim = any_node(&mut world);
        world.kill(victim);
        assert_nothing_missing(world);
    });
}

#[test]
fn nodes_that_join_and_die_within_a_second_lose_nothing() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        world.start(7);
        a_moment(&mut world, 1_000);
        let victim = any_node(&mut world);
        world.kill(victim);
        assert_nothing_missing(world);
    });
}

#[test]
fn a_node_that_leaves_is_done_soon_and_loses_nothing() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        a_moment(&mut world, 1_000);
        let leaving = any_node(&mut world);
        world.leave(leaving);
        world.run(seconds(3));
        assert!(world.nodes[&leaving].holder.has_left());
        world.kill(leaving);
        assert_nothing_missing(world);
    });
}

#[test]
fn nodes_that_all_leave_are_done_soon_and_lose_nothing() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        for node in 0..3 {
            world.leave(node);
            a_moment(&mut world, 300);
        }
        world.run(seconds(3));
        assert!(world.nodes.values().all(|node| node.holder.has_left()));
        world.pace = 0.0;
        world.run(seconds(1));
        assert_up_to_date(&world);
        world.pace = 300.0;
        // They go one after the other, and there are others in the end.
        let first = any_node(&mut world);
        world.kill(first);
        world.start(7);
        a_moment(&mut world, 3_000);
        watch_somewhere(&mut world);
        assert_nothing_missing(world);
    });
}

#[test]
fn a_node_that_may_not_publish_any_more_loses_nothing() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        let mute = any_node(&mut world);
        world.mute(mute, true);
        world.run(seconds(8));
        a_moment(&mut world, 4_000);
        if world.random.bool() {
            world.mute(mute, false);
            a_moment(&mut world, 2_000);
        }
        let victim = any_node(&mut world);
        world.kill(victim);
        assert_nothing_missing(world);
    });
}

#[test]
fn two_deaths_five_seconds_apart_lose_nothing() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 4);
        for _ in 0..2 {
            let victim = any_node(&mut world);
            world.kill(victim);
            world.run(seconds(5));
        }
        assert_nothing_missing(world);
    });
}

#[test]
fn watchers_that_come_just_before_a_death_get_nothing_older_and_miss_nothing() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        watch_somewhere(&mut world);
        a_moment(&mut world, 1_000);
        let victim = any_node(&mut world);
        world.kill(victim);
        a_moment(&mut world, 50);
        watch_somewhere(&mut world);
        assert_nothing_missing(world);
    });
}

#[test]
fn a_node_that_stops_for_ten_seconds_gets_everything_once() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        let sleeper = any_node(&mut world);
        world.sleep(sleeper, seconds(10));
        world.run(seconds(12));
        assert_nothing_missing(world);
    });
}

#[test]
fn a_node_cut_off_from_redis_gets_everything_once() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        let victim = any_node(&mut world);
        world.cut(victim);
        a_moment(&mut world, 5_000);
        world.restore(victim);
        assert_nothing_missing(world);
    });
}

#[test]
fn a_node_that_redis_is_silent_for_gets_everything_once_and_is_an_owner_again() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        // What arrives after that was under way.
        world.under_way = seconds(4);
        let victim = any_node(&mut world);
        world.silence(victim, Duration::from_millis(3_500));
        world.run(seconds(4));
        assert_nothing_missing(world);
    });
}

#[test]
fn a_redis_that_is_silent_for_everybody_costs_nothing() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        world.under_way = seconds(4);
        (0..3).for_each(|node| world.silence(node, Duration::from_millis(3_500)));
        world.run(seconds(4));
        assert_nothing_missing(world);
    });
}

#[test]
fn a_node_whose_messages_were_lost_gets_them_from_others() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        let victim = any_node(&mut world);
        world.lag(victim);
        assert_nothing_missing(world);
    });
}

#[test]
fn a_standbys_lost_redis_just_before_the_owners_death_makes_no_gap_unsaid() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        let (standby, owner) = (any_node(&mut world), any_node(&mut world));
        world.cut(standby);
        a_moment(&mut world, 200);
        world.restore(standby);
        a_moment(&mut world, 200);
        world.kill(owner);
        let world = settle(world);
        assert_no_gap_unsaid(&world);
    });
}

#[test]
fn a_node_cut_off_from_everything_gets_everything_once_afterwards() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        world.parted = vec![(0, 1), (0, 2)];
        world.cut(0);
        world.run(seconds(5));
        a_moment(&mut world, 10_000);
        // Redis answers earlier than the others are found again, or the other way round.
        if world.random.bool() {
            world.restore(0);
            a_moment(&mut world, 4_000);
            world.parted.clear();
        } else {
            world.parted.clear();
            a_moment(&mut world, 4_000);
            world.restore(0);
        }
        assert_nothing_missing(world);
    });
}

#[test]
fn a_node_cut_off_from_its_peers_misses_only_what_it_says() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        world.parted = vec![(0, 1), (0, 2)];
        a_moment(&mut world, 10_000);
        world.parted.clear();
        let world = settle(world);
        assert_no_gap_unsaid(&world);
    });
}

#[test]
fn a_lost_redis_is_a_gap_that_is_said_and_everything_goes_on() {
    with_seeds(|seed| {
        let mut world = cluster(seed, 3);
        for node in 0..3 {
            world.cut(node);
        }
        world.run(seconds(2));
        for node in 0..3 {
            world.restore(node);
            a_moment(&mut world, 300);
        }
        let world = settle(world);
        assert!(holes(&world) > 0);
        assert_no_gap_unsaid(&world);
    });
}

/// What may happen in a storm.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Nodes come and go, and connections break.
    Rough,
    /// Nodes and Redis stand still too, so that it takes long until anything is late.
    Wild,
}

/// A cluster in which anything may have happened.
fn storm(seed: u64, weather: Weather) -> World {
    let mut world = cluster(seed, 4);
    // Links stall for up to three seconds before they are given up, with what is on them, Redis for up to eight, and
    // nodes for up to twelve.
    world.under_way = seconds(if weather == Weather::Wild { 24 } else { 4 });
    world.late += world.under_way;
    for _ in 0..12 {
        trouble(&mut world, weather);
        a_moment(&mut world, 4_000);
        leave_somewhere(&mut world);
        watch_somewhere(&mut world);
    }
    world
}

fn trouble(world: &mut World, weather: Weather) {
    let node = any_node(world);
    match world.random.u8(0..if weather == Weather::Wild { 13 } else { 11 }) {
        0 if world.nodes.len() > world.leaving.len() + 1 => world.kill(node),
        1 => {
            let new = world.random.usize(0..5);
            if !world.nodes.contains_key(&new) {
                world.start(new);
            }
        }
        2 => world.cut(node),
        3 | 4 => world.restore_all(),
        5 => {
            let other = any_node(world);
            if other != node {
                world.parted.push((node.min(other), node.max(other)));
            }
        }
        6 => world.parted.clear(),
        7 => world.lag(node),
        8 => {
            let is_mute = world.random.bool();
            world.mute(node, is_mute);
        }
        9 if world.leaving.len() + 1 < world.nodes.len() => world.leave(node),
        11 => {
            let time = Duration::from_millis(world.random.u64(0..12_000));
            world.sleep(node, time);
        }
        12 => {
            let time = Duration::from_millis(world.random.u64(0..8_000));
            world.silence(node, time);
        }
        _ => world.kill_the_leaving(),
    }
}

#[test]
fn whatever_happens_nothing_is_doubled_and_no_gap_is_unsaid() {
    with_seeds(|seed| {
        for weather in [Weather::Rough, Weather::Wild] {
            assert_no_gap_unsaid(&settle(storm(seed, weather)));
        }
    });
}

#[test]
fn a_seed_that_failed_can_be_replayed() {
    with_seeds(|seed| assert_eq!(digest(&storm(seed, Weather::Wild)), digest(&storm(seed, Weather::Wild))));
}
