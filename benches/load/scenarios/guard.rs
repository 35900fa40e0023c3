//! What nobody shall lose unnoticed: coarse limits, in less than a minute.

use super::{Measured, broadcast, memory};
use crate::arguments::Arguments;
use crate::figures::Figures;
use crate::reading::Transport;
use crate::stage::{SERVER_TIME, Stage};
use crate::subject::Kind;

/// Deliveries for a second of processor time, for each that plain writes have: at least so many. Processor time, as rates
/// depend on what else a machine does.
const LEAST_FAN_OUT: f64 = 0.5;

/// Resident memory for each idle connection, in bytes: at most so much.
const MOST_MEMORY: f64 = 6.0 * 1024.0;

/// Clients of the fan-out, and idle ones.
const CLIENTS: usize = 1_000;
const IDLE_CLIENTS: usize = 3_000;

const KINDS: [Kind; 2] = [Kind::Flodgatt, Kind::PlainFour];

/// Measures both, with numbers of its own.
pub fn run(stage: &mut Stage, measured: &mut Measured<'_>) {
    let few = Arguments::quick(vec![IDLE_CLIENTS]);
    let mut measured = Measured { arguments: &few, figures: &mut *measured.figures };
    // Idle connections first, as accounts are made once.
    memory::run(stage, &mut measured);
    broadcast::with_backlog(stage, Transport::WebSocket, &mut measured, CLIENTS, broadcast::BACKLOG, &KINDS);
}

/// What is worse than it may be; what could not be measured is.
pub fn excesses(figures: &Figures) -> Vec<String> {
    let case = broadcast::case(Transport::WebSocket, CLIENTS, broadcast::BACKLOG);
    let fan_out = 1.0 / figures.ratio(&case, Kind::Flodgatt, Kind::PlainFour, SERVER_TIME);
    let memory = figures.median(&memory::case(IDLE_CLIENTS), Kind::Flodgatt, memory::IDLE);
    println!("\nfan-out: {fan_out:.2} of plain writes, at least {LEAST_FAN_OUT}");
    println!("memory: {memory:.0} bytes for each idle connection, at most {MOST_MEMORY}");
    let mut excesses = Vec::new();
    if fan_out.is_nan() || fan_out < LEAST_FAN_OUT {
        excesses.push(format!("fan-out is {fan_out:.2} of plain writes, less than {LEAST_FAN_OUT}"));
    }
    if memory.is_nan() || memory > MOST_MEMORY {
        excesses.push(format!("an idle connection takes {memory:.0} bytes, more than {MOST_MEMORY}"));
    }
    excesses
}
