//! What the server costs, held against a server that does nothing but write: `cargo bench --bench load`. benches/README.md
//! says how to run it and how to read it.

#[path = "load/accounts.rs"]
mod accounts;
#[path = "load/arguments.rs"]
mod arguments;
#[path = "load/cores.rs"]
mod cores;
#[path = "load/deflated.rs"]
mod deflated;
#[path = "load/event_source.rs"]
mod event_source;
#[path = "load/figures.rs"]
mod figures;
#[path = "load/generator.rs"]
mod generator;
#[path = "load/latencies.rs"]
mod latencies;
#[path = "load/ledger.rs"]
mod ledger;
#[path = "load/message.rs"]
mod message;
#[path = "load/plain.rs"]
mod plain;
#[path = "load/processes.rs"]
mod processes;
#[path = "load/publisher.rs"]
mod publisher;
#[path = "load/reading.rs"]
mod reading;
#[path = "load/resident.rs"]
mod resident;
#[path = "load/scenarios/mod.rs"]
mod scenarios;
#[path = "load/stage.rs"]
mod stage;
#[path = "load/stamp.rs"]
mod stamp;
#[path = "load/statistics.rs"]
mod statistics;
#[path = "load/subject.rs"]
mod subject;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "load/web_socket.rs"]
mod web_socket;

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use arguments::Arguments;
use cores::Cores;
use figures::Figures;
use reading::Transport::{EventSource, WebSocket};
use scenarios::{Measured, broadcast, filtered, guard, memory, mixed, personal, sessions};
use stage::Stage;

/// What can be asked for.
const SCENARIOS: [&str; 10] =
    ["broadcast", "latency", "eventsource", "deflate", "personal", "sessions", "filtered", "memory", "mixed", "nodes"];

/// What is done with `--guard`.
const GUARD: &str = "guard";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, first, transport, at_once, redis] = &words[..]
        && first == subject::PLAIN
    {
        cores::raise_open_files();
        let transport = [WebSocket, EventSource].into_iter().find(|one| one.name() == transport);
        let at_once = at_once.parse().expect("a number");
        plain::serve(Path::new(redis), transport.expect("a transport"), at_once);
    }
    // `cargo test` runs benches too, to see that they build.
    if !words.iter().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    run(&Arguments::read(&SCENARIOS))
}

fn run(arguments: &Arguments) -> ExitCode {
    let cores = Cores::divide();
    if cores.is_shared() {
        println!("There is one core only: the server shares it with what measures it, and rates mean little.");
    }
    let files = cores::raise_open_files();
    let most = arguments.clients.iter().max().copied().unwrap_or_default();
    assert!(files > most as u64 + 200, "{files} files may be open: ulimit -n {} is needed", most + 200);
    let (mut figures, mut problems) = (Figures::default(), Vec::new());
    let load = load_average();
    let scenarios = if arguments.is_guard { vec![GUARD.to_owned()] } else { arguments.scenarios.clone() };
    for scenario in &scenarios {
        let mut stage = Stage::set(cores);
        play(scenario, &mut stage, &mut Measured { arguments, figures: &mut figures });
        problems.extend(stage.generator.ledger.problems().iter().map(|problem| format!("{scenario}: {problem}")));
    }
    figures.print();
    if arguments.is_guard {
        problems.extend(guard::excesses(&figures));
    }
    if let Some(file) = &arguments.json {
        let (seconds, rounds) = (arguments.time.as_secs_f64(), arguments.rounds);
        let circumstances = json!({"rounds": rounds, "seconds": seconds, "load before": load});
        std::fs::write(file, figures.json(&circumstances, &problems)).expect("the file can be written");
    }
    for problem in &problems {
        println!("FAILED: {problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn play(scenario: &str, stage: &mut Stage, measured: &mut Measured<'_>) {
    match scenario {
        "broadcast" => broadcast::run(stage, WebSocket, measured),
        "eventsource" => broadcast::run(stage, EventSource, measured),
        "deflate" => {
            personal::deflate(stage, measured);
            broadcast::deflate(stage, measured);
        }
        "latency" => broadcast::latency(stage, WebSocket, measured),
        "personal" => personal::run(stage, measured),
        "sessions" => sessions::run(stage, measured),
        "filtered" => filtered::run(stage, measured),
        "memory" => memory::run(stage, measured),
        "mixed" => mixed::run(stage, measured),
        "nodes" => broadcast::nodes(stage, measured),
        GUARD => guard::run(stage, measured),
        other => unreachable!("{other} is not known"),
    }
}

/// How busy the machine is, as it says itself.
fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}
