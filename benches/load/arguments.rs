//! What is on the command line.

use std::time::Duration;

const ROUNDS: usize = 5;

pub struct Arguments {
    /// Which scenarios; all, if none was asked for.
    pub scenarios: Vec<String>,
    /// Numbers of clients, one after the other.
    pub clients: Vec<usize>,
    pub rounds: usize,
    /// How long each turn is measured.
    pub time: Duration,
    pub json: Option<String>,
    /// Whether what must not be worse is judged, and nothing else.
    pub is_guard: bool,
}

impl Arguments {
    pub fn read(known: &[&str]) -> Self {
        let mut words = std::env::args().skip(1);
        let mut arguments = Self { rounds: ROUNDS, time: Duration::from_secs(2), ..Self::quick(vec![1_000]) };
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--bench" => {}
                "--guard" => arguments.is_guard = true,
                "--clients" => arguments.clients = value().split(',').map(number).collect(),
                "--rounds" => arguments.rounds = number(&value()),
                "--seconds" => arguments.time = Duration::from_secs_f64(value().parse().expect("a number of seconds")),
                "--json" => arguments.json = Some(value()),
                name if known.contains(&name) => arguments.scenarios.push(word),
                other => panic!("{other} is neither an argument nor one of {known:?}"),
            }
        }
        if arguments.scenarios.is_empty() {
            arguments.scenarios = known.iter().map(|name| (*name).to_owned()).collect();
        }
        arguments
    }

    /// So little that it takes seconds.
    pub fn quick(clients: Vec<usize>) -> Self {
        let (rounds, time) = (3, Duration::from_secs(1));
        Self { scenarios: Vec::new(), clients, rounds, time, json: None, is_guard: false }
    }
}

fn number(text: &str) -> usize {
    let number = text.parse().unwrap_or_else(|_| panic!("{text} is no number"));
    assert_ne!(number, 0, "at least 1");
    number
}
