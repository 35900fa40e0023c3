//! What was measured, for people and for programs.

use serde_json::{Value, json};

use super::statistics::median;
use super::subject::Kind;

/// Figures of one turn of one server, by name, in the order of a table's columns.
pub type Turn = Vec<(&'static str, f64)>;

/// One line of a table: all turns of a server under the same circumstances.
struct Line {
    case: String,
    kind: Kind,
    turns: Vec<Turn>,
}

impl Line {
    fn values(&self, figure: &str) -> Vec<f64> {
        let named = |turn: &Turn| turn.iter().find(|(name, _)| *name == figure).map(|(_, value)| *value);
        self.turns.iter().filter_map(named).collect()
    }
}

/// Everything.
#[derive(Default)]
pub struct Figures(Vec<Line>);

impl Figures {
    pub fn add(&mut self, case: &str, kind: Kind, turn: Turn) {
        match self.0.iter_mut().find(|line| line.case == case && line.kind == kind) {
            Some(line) => line.turns.push(turn),
            None => self.0.push(Line { case: case.to_owned(), kind, turns: vec![turn] }),
        }
    }

    /// The median of a figure over the rounds; not a number if there is none.
    pub fn median(&self, case: &str, kind: Kind, figure: &str) -> f64 {
        median(self.values(case, kind, figure))
    }

    /// A figure of all rounds.
    pub fn values(&self, case: &str, kind: Kind, figure: &str) -> Vec<f64> {
        self.line(case, kind).map_or_else(Vec::new, |line| line.values(figure))
    }

    /// The median over the rounds of what the server has for each that the plain one has in the same round.
    pub fn ratio(&self, case: &str, kind: Kind, plain: Kind, figure: &str) -> f64 {
        let (Some(server), Some(plain)) = (self.line(case, kind), self.line(case, plain)) else {
            return f64::NAN;
        };
        let (server, plain) = (server.values(figure), plain.values(figure));
        median(server.iter().zip(&plain).map(|(server, plain)| server / plain).collect())
    }

    fn line(&self, case: &str, kind: Kind) -> Option<&Line> {
        self.0.iter().find(|line| line.case == case && line.kind == kind)
    }

    fn cases(&self) -> Vec<&str> {
        let mut cases: Vec<&str> = self.0.iter().map(|line| line.case.as_str()).collect();
        cases.dedup();
        cases
    }

    /// A table for each case: medians, and what the server has for each that a plain one has.
    pub fn print(&self) {
        for case in self.cases() {
            let lines: Vec<&Line> = self.0.iter().filter(|line| line.case == case).collect();
            let names: Vec<&str> = lines[0].turns[0].iter().map(|(name, _)| *name).collect();
            println!("\n{case} (medians of {})", lines[0].turns.len());
            row("", names.iter().map(|name| (*name).to_owned()));
            for line in &lines {
                row(line.kind.name(), names.iter().map(|name| number(median(line.values(name)))));
            }
            let (plain, servers): (Vec<_>, Vec<_>) =
                lines.iter().map(|line| line.kind).partition(|kind| kind.is_plain());
            for (server, plain) in servers.iter().flat_map(|server| plain.iter().map(move |plain| (*server, *plain))) {
                let ratios = names.iter().map(|name| number(self.ratio(case, server, plain, name)));
                row(&format!("{} : {}", server.name(), plain.name()), ratios);
            }
        }
    }

    /// All turns, their medians, and what was wrong.
    pub fn json(&self, circumstances: &Value, problems: &[String]) -> String {
        let line = |line: &Line| {
            let object = |turn: &Turn| turn.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            let rounds: Vec<Value> = line.turns.iter().map(object).collect();
            let medians: Value =
                line.turns[0].iter().map(|(name, _)| ((*name).to_owned(), json!(median(line.values(name))))).collect();
            json!({"case": line.case, "server": line.kind.name(), "medians": medians, "rounds": rounds})
        };
        let lines: Vec<Value> = self.0.iter().map(line).collect();
        json!({"circumstances": circumstances, "figures": lines, "problems": problems}).to_string() + "\n"
    }
}

fn row(name: &str, fields: impl Iterator<Item = String>) {
    let fields: Vec<String> = fields.map(|field| format!("{field:>17}")).collect();
    println!("{name:<38}{}", fields.join(""));
}

/// With three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
