//! What relaying costs: events that come to their client by way of another node (Redis → owner → link → edge → client),
//! against those that come to it straight: on a node without a cluster, and on the owner itself.
//!
//! `cargo bench --bench relay` starts a Redis, a PostgreSQL, a node that is alone and a cluster of three, each a process of
//! its own, with clients on home feeds: one WebSocket for each of 200 channels, in each of the three ways. All channels of
//! the cluster have the same owner and the same standby, so that each node has one role. After `--`:
//!
//! | argument | meaning |
//! |---|---|
//! | `--json FILE` | writes the figures of all rounds |
//! | `--rounds N` | 5 unless told otherwise |
//! | `--only WAY` | `alone`, `local` or `relayed`: for a profiler; no ratio is judged |
//!
//! It fails if an event was lost, doubled or out of order, if a node counted a gap, or if relaying costs more than is
//! allowed here.

#[path = "relay/clients.rs"]
mod clients;
#[path = "relay/figures.rs"]
mod figures;
#[path = "load/message.rs"]
mod message;
#[path = "load/processes.rs"]
mod processes;
#[path = "relay/publisher.rs"]
mod publisher;
#[path = "relay/report.rs"]
mod report;
#[path = "relay/stage.rs"]
mod stage;
#[path = "load/stamp.rs"]
mod stamp;
#[path = "load/statistics.rs"]
mod statistics;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use figures::{Figures, Phase};
use publisher::Pace;
use stage::{Stage, Way};

const ROUNDS: usize = 5;

/// Events a second at which latency is measured: far from any limit.
const MODERATE: u32 = 500;

/// Events a second at which processor time is measured.
const RATES: [u32; 2] = [2_000, 5_000];

/// How long events come at one of these rates.
const PHASE: Duration = Duration::from_secs(3);

/// Events as fast as they go.
const BURST: usize = 20_000;

/// Of them, how many may be under way: fewer than any queue on their way holds.
const WINDOW: u64 = 4_000;

/// What is on the command line.
struct Arguments {
    rounds: usize,
    json: Option<String>,
    only: Option<Way>,
}

impl Arguments {
    fn read() -> Self {
        let words: Vec<String> = std::env::args().collect();
        let after = |name: &str| {
            let place = words.iter().position(|word| word == name)?;
            Some(words.get(place + 1).unwrap_or_else(|| panic!("{name} needs a value")).clone())
        };
        let rounds = after("--rounds").map_or(ROUNDS, |count| count.parse().expect("--rounds needs a number"));
        assert_ne!(rounds, 0, "--rounds needs at least 1");
        let only = after("--only").map(|name| Way::named(&name).expect("--only needs alone, local or relayed"));
        Self { rounds, json: after("--json"), only }
    }

    fn ways(&self) -> Vec<Way> {
        Way::ALL.into_iter().filter(|way| self.only.is_none_or(|only| only == *way)).collect()
    }
}

fn main() -> ExitCode {
    // `cargo test` runs benches too, to see that they build.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::read();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let mut stage = runtime.block_on(Stage::set());
    stage.print_processes();
    let figures = measure(&mut stage, &arguments);
    let mut problems = stage.ledger().problems();
    if problems.is_empty() {
        problems.extend(runtime.block_on(stage.complaints()));
    }
    report::print(&figures, &arguments.ways());
    if arguments.only.is_none() {
        problems.extend(figures.excesses());
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, report::json(&figures, &problems)).expect("the file can be written");
    }
    for problem in &problems {
        println!("FAILED: {problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All rounds, each with all ways in turn, so that what else the machine does meets all of them. Ends early when an event
/// is lost.
fn measure(stage: &mut Stage, arguments: &Arguments) -> Figures {
    let mut figures = Figures::default();
    for way in arguments.ways() {
        stage.run(way, Pace::Rate { per_second: RATES[0], time: Duration::from_secs(1) });
        stage.run(way, Pace::Window { events: BURST / 2, under_way: WINDOW });
    }
    for round in 0..arguments.rounds {
        let mut ways = arguments.ways();
        let count = ways.len();
        ways.rotate_left(round % count);
        for (phase, pace) in phases() {
            for way in &ways {
                let run = stage.run(*way, pace);
                if !stage.ledger().problems().is_empty() {
                    return figures;
                }
                figures.add(*way, phase, run);
            }
        }
    }
    figures
}

fn phases() -> Vec<(Phase, Pace)> {
    let rate = |per_second: u32| Pace::Rate { per_second, time: PHASE };
    let mut phases = vec![(Phase::Latency, rate(MODERATE))];
    phases.extend(RATES.map(|per_second| (Phase::Processor(per_second), rate(per_second))));
    phases.push((Phase::Throughput, Pace::Window { events: BURST, under_way: WINDOW }));
    phases
}
