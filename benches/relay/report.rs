//! The figures, for people and for programs.

use serde_json::{Value, json};

use super::figures::{Figures, Phase, Run};
use super::stage::{Role, Way};

const PERCENTS: [f64; 2] = [50.0, 99.0];

/// Prints tables: medians of the rounds.
pub fn print(figures: &Figures, ways: &[Way]) {
    for phase in figures.phases() {
        match phase {
            Phase::Latency => print_latency(figures, ways),
            Phase::Processor(rate) => {
                println!("\nprocessor time per event, in µs, at {rate} events/s");
                print_processor(figures, phase, ways);
                print_ratios(figures, phase, ways);
            }
            Phase::Throughput => print_throughput(figures, ways),
        }
    }
}

fn print_latency(figures: &Figures, ways: &[Way]) {
    println!("\nlatency, in ms, at {} events/s", super::MODERATE);
    println!("{:>10} {:>8} {:>8} {:>8}", "", "p50", "p99", "p99.9");
    for way in ways {
        let of = |percent: f64| figures.median(Phase::Latency, *way, |run| run.latency_ms(percent));
        let rare = figures.latency_ms(Phase::Latency, *way, 99.9);
        println!("{:>10} {:>8.3} {:>8.3} {rare:>8.3}", way.name(), of(50.0), of(99.0));
    }
    for way in [Way::Alone, Way::Local] {
        if ways.contains(&way) && ways.contains(&Way::Relayed) {
            let [half, most] = PERCENTS.map(|percent| added_ms(figures, way, percent));
            println!("relayed − {}: {half:+.3} (p50), {most:+.3} (p99)", way.name());
        }
    }
}

/// By how much an event that is relayed comes later.
fn added_ms(figures: &Figures, way: Way, percent: f64) -> f64 {
    figures
        .median_against(way, Phase::Latency, |relayed, other| relayed.latency_ms(percent) - other.latency_ms(percent))
}

fn print_processor(figures: &Figures, phase: Phase, ways: &[Way]) {
    let names = Role::ALL.map(|role| format!("{:>8}", role.name()));
    println!("{:>10} {}", "", names.join(" "));
    for way in ways {
        let of = |role: Role| figures.median(phase, *way, |run| run.processor_us(role));
        let fields = Role::ALL.map(|role| format!("{:>8.1}", of(role)));
        println!("{:>10} {}", way.name(), fields.join(" "));
    }
}

fn print_ratios(figures: &Figures, phase: Phase, ways: &[Way]) {
    if !(ways.contains(&Way::Alone) && ways.contains(&Way::Relayed)) {
        return;
    }
    for roles in
        [&[Role::Edge][..], &[Role::Owner], &[Role::Owner, Role::Edge], &[Role::Owner, Role::Standby, Role::Edge]]
    {
        let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        let ratio = figures.median_against(Way::Alone, phase, |relayed, alone| {
            let spent: f64 = roles.iter().map(|role| relayed.processor_us(*role)).sum();
            spent / alone.processor_us(Role::Alone)
        });
        println!("{} / alone: {ratio:.2}", names.join(" + "));
    }
}

fn print_throughput(figures: &Figures, ways: &[Way]) {
    println!("\nmost events/s, and processor time per event, in µs");
    for way in ways {
        let per_second = figures.median(Phase::Throughput, *way, Run::per_second);
        println!("{:>10} {per_second:>8.0}", way.name());
    }
    print_processor(figures, Phase::Throughput, ways);
    if ways.contains(&Way::Alone) && ways.contains(&Way::Relayed) {
        let ratio = figures
            .median_against(Way::Alone, Phase::Throughput, |relayed, alone| relayed.per_second() / alone.per_second());
        println!("relayed / alone: {ratio:.2}");
    }
    print_ratios(figures, Phase::Throughput, ways);
}

/// Everything, as JSON: all rounds, and what was wrong.
pub fn json(figures: &Figures, problems: &[String]) -> String {
    let mut phases = Vec::new();
    for phase in figures.phases() {
        for way in Way::ALL {
            let rounds: Vec<Value> = figures.runs(phase, way).iter().map(round).collect();
            let (name, rate) = match phase {
                Phase::Latency => ("latency", Some(super::MODERATE)),
                Phase::Processor(rate) => ("processor", Some(rate)),
                Phase::Throughput => ("throughput", None),
            };
            phases.push(json!({"phase": name, "rate": rate, "way": way.name(), "rounds": rounds}));
        }
    }
    let added = [Way::Alone, Way::Local].map(|way| {
        let [p50, p99] = PERCENTS.map(|percent| added_ms(figures, way, percent));
        (way.name().to_owned(), json!({"p50": p50, "p99": p99}))
    });
    let text = json!({"added_ms": Value::from_iter(added), "phases": phases, "problems": problems}).to_string();
    text + "\n"
}

fn round(run: &Run) -> Value {
    let processor = Role::ALL.map(|role| (role.name().to_owned(), json!(run.processor_us(role))));
    let latency = [50.0, 99.0, 99.9].map(|percent| (format!("p{percent}"), json!(run.latency_ms(percent))));
    json!({
        "events": run.events,
        "events_per_second": run.per_second(),
        "latency_ms": Value::from_iter(latency),
        "processor_us_per_event": Value::from_iter(processor),
    })
}
