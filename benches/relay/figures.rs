//! What was measured, and what of it is allowed.

use std::collections::BTreeMap;

use super::stage::{Role, Way};
use super::statistics::median;

/// Milliseconds by which relaying may delay an event, in the median.
const MOST_ADDED_MS: f64 = 5.0;

/// How often the processor time of a node alone owner and edge together may take for an event.
const MOST_PROCESSOR: f64 = 4.0;

/// What a phase of a round measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Latency,
    /// At so many events a second.
    Processor(u32),
    Throughput,
}

/// One phase of one round on one way.
pub struct Run {
    pub events: u64,
    /// From the first event's publishing until the last one has come.
    pub seconds: f64,
    /// Nanoseconds.
    pub latencies: Vec<u64>,
    /// Seconds of each process.
    pub processor: BTreeMap<Role, f64>,
}

impl Run {
    /// In microseconds for each event.
    pub fn processor_us(&self, role: Role) -> f64 {
        self.processor[&role] * 1e6 / self.events as f64
    }

    /// In milliseconds.
    pub fn latency_ms(&self, percent: f64) -> f64 {
        percentile(&self.latencies, percent)
    }

    pub fn per_second(&self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// All rounds.
#[derive(Default)]
pub struct Figures(BTreeMap<(Phase, Way), Vec<Run>>);

impl Figures {
    pub fn add(&mut self, way: Way, phase: Phase, run: Run) {
        self.0.entry((phase, way)).or_default().push(run);
    }

    /// The rounds of a phase.
    pub fn runs(&self, phase: Phase, way: Way) -> &[Run] {
        self.0.get(&(phase, way)).map_or(&[], Vec::as_slice)
    }

    pub fn phases(&self) -> Vec<Phase> {
        let mut phases: Vec<Phase> = self.0.keys().map(|(phase, _)| *phase).collect();
        phases.dedup();
        phases
    }

    /// The median of the rounds.
    pub fn median(&self, phase: Phase, way: Way, figure: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs(phase, way).iter().map(figure).collect())
    }

    /// The median of what relaying adds, or takes away, against another way in the same round.
    pub fn median_against(&self, way: Way, phase: Phase, compare: impl Fn(&Run, &Run) -> f64) -> f64 {
        let (relayed, others) = (self.runs(phase, Way::Relayed), self.runs(phase, way));
        median(relayed.iter().zip(others).map(|(relayed, other)| compare(relayed, other)).collect())
    }

    /// The latency of all rounds together, for what is too rare for one.
    pub fn latency_ms(&self, phase: Phase, way: Way, percent: f64) -> f64 {
        let all: Vec<u64> = self.runs(phase, way).iter().flat_map(|run| run.latencies.iter().copied()).collect();
        percentile(&all, percent)
    }

    /// How often the processor time of a node alone the owner and the edge take together for an event.
    pub fn processor_ratio(&self, phase: Phase) -> f64 {
        self.median_against(Way::Alone, phase, |relayed, alone| {
            (relayed.processor[&Role::Owner] + relayed.processor[&Role::Edge])
                / relayed.events as f64
                / (alone.processor[&Role::Alone] / alone.events as f64)
        })
    }

    /// Where relaying costs more than it may.
    pub fn excesses(&self) -> Vec<String> {
        let added = self.median_against(Way::Alone, Phase::Latency, |relayed, alone| {
            relayed.latency_ms(50.0) - alone.latency_ms(50.0)
        });
        let mut excesses = Vec::new();
        if is_over(added, MOST_ADDED_MS) {
            excesses.push(format!("relaying adds {added:.2} ms in the median, more than {MOST_ADDED_MS} ms"));
        }
        for phase in self.phases().into_iter().filter(|phase| matches!(phase, Phase::Processor(_))) {
            let ratio = self.processor_ratio(phase);
            if is_over(ratio, MOST_PROCESSOR) {
                excesses.push(format!("owner and edge take {ratio:.2} times a node alone, more than {MOST_PROCESSOR}"));
            }
        }
        excesses
    }
}

/// What could not be measured is over any limit.
fn is_over(figure: f64, limit: f64) -> bool {
    figure.is_nan() || figure > limit
}

/// In milliseconds.
fn percentile(nanoseconds: &[u64], percent: f64) -> f64 {
    let mut sorted = nanoseconds.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() as f64 * percent / 100.0) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |found| *found as f64 / 1e6)
}
