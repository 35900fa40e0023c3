//! What is measured, each in a file of its own.

pub mod broadcast;
pub mod filtered;
pub mod guard;
pub mod memory;
pub mod mixed;
pub mod personal;
pub mod sessions;

use crate::arguments::Arguments;
use crate::figures::{Figures, Turn};
use crate::stage::Stage;
use crate::subject::Kind;

/// How much is measured, and what came of it.
pub struct Measured<'a> {
    pub arguments: &'a Arguments,
    pub figures: &'a mut Figures,
}

impl Measured<'_> {
    /// All rounds of a case: in each of them every server has its turn. Ends early when something is wrong.
    pub fn rounds(&mut self, stage: &mut Stage, case: &str, mut turn: impl FnMut(&mut Stage, Kind) -> Turn) {
        for round in 0..self.arguments.rounds {
            for kind in stage.order(round) {
                if !stage.is_alright() {
                    return;
                }
                let turn = turn(stage, kind);
                if stage.is_alright() {
                    self.figures.add(case, kind, turn);
                }
            }
        }
    }
}
