//! How evenly the ring spreads channels, what a join moves, and what it costs to build and to ask.
//!
//! `cargo bench --bench ring` makes up clusters of 3 to 20 nodes with random names (the same ones each time) and prints,
//! for 100,000 channels, how many the fullest node owns against the mean, and how many move when a node joins against its
//! fair share. Balance depends on the names; the last lines say how unlucky one can be.

use std::{collections::BTreeMap, hint::black_box, time::Instant};

use flodgatt::{
    cluster::{NodeId, Ring},
    domain::Channel,
};

const CHANNELS: u32 = 100_000;

/// Clusters of each size.
const CLUSTERS: usize = 30;

fn main() {
    // `cargo test` runs benches too, to see that they build.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    fastrand::seed(1);
    let channels: Vec<Channel> = (0..CHANNELS).map(|number| Channel::named(&format!("timeline:{number}"))).collect();
    costs(&channels);
    let (mut balances, mut joins) = (Vec::new(), Vec::new());
    for count in 3..=20 {
        for _ in 0..CLUSTERS {
            let nodes = names(count);
            let (before, after) = (Ring::new(nodes[1..].to_vec()), Ring::new(nodes));
            balances.push(balance(&after, &channels));
            joins.push(moved(&before, &after, &channels));
        }
    }
    print("fullest node against the mean", &mut balances);
    print("moved by a join against its fair share", &mut joins);
}

fn names(count: usize) -> Vec<NodeId> {
    let name = || format!("flodgatt-{:08x}", fastrand::u32(..));
    (0..count).map(|_| name().parse().expect("a name")).collect()
}

fn costs(channels: &[Channel]) {
    for count in [3, 5, 10, 20] {
        let nodes = names(count);
        let mut build_ms: Vec<f64> = Vec::new();
        for _ in 0..21 {
            let start = Instant::now();
            black_box(Ring::new(black_box(nodes.clone())));
            build_ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        build_ms.sort_by(f64::total_cmp);
        let ring = Ring::new(nodes);
        let start = Instant::now();
        for channel in channels {
            black_box(ring.holders(black_box(channel)));
        }
        let look_up_ns = start.elapsed().as_secs_f64() * 1e9 / f64::from(CHANNELS);
        println!("{count:2} nodes: built in {:.2} ms (median of 21), asked in {look_up_ns:.0} ns", build_ms[10]);
    }
}

fn balance(ring: &Ring, channels: &[Channel]) -> f64 {
    let mut counts = BTreeMap::<&NodeId, u32>::new();
    for owner in channels.iter().filter_map(|channel| ring.owner(channel)) {
        *counts.entry(owner).or_default() += 1;
    }
    let fullest = counts.values().max().copied().unwrap_or_default();
    f64::from(fullest) * ring.nodes().len() as f64 / f64::from(CHANNELS)
}

fn moved(before: &Ring, after: &Ring, channels: &[Channel]) -> f64 {
    let moved = channels.iter().filter(|channel| before.owner(channel) != after.owner(channel)).count();
    moved as f64 * after.nodes().len() as f64 / f64::from(CHANNELS)
}

fn print(what: &str, ratios: &mut [f64]) {
    ratios.sort_by(f64::total_cmp);
    let (count, over) = (ratios.len(), ratios.iter().filter(|ratio| **ratio > 1.10).count());
    println!(
        "{what}: {:.3} to {:.3}, median {:.3}, 90th percentile {:.3}, 99th {:.3}; above 1.10 in {over} of {count} clusters",
        ratios[0],
        ratios[count - 1],
        ratios[count / 2],
        ratios[count * 9 / 10],
        ratios[count * 99 / 100],
    );
}
