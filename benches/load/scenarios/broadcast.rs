//! One channel to thousands of clients: what a delivery costs, how many there are, and how long they take.

use crate::accounts::{self, home, token};
use crate::arguments::Arguments;
use crate::figures::Figures;
use crate::generator::Wish;
use crate::publisher::{Pace, Traffic};
use crate::reading::Transport;
use crate::stage::{Load, Stage};
use crate::subject::Kind;

/// Events that have not come to everybody when the next one is published: so many that up to four can be written at once.
const BACKLOG: u64 = 4;

/// With so few, each event is written by itself.
const NO_BACKLOG: u64 = 1;

/// Measures everything on a transport, for each number of clients.
pub fn run(stage: &mut Stage, transport: Transport, arguments: &Arguments, figures: &mut Figures) {
    let account = stage.runtime.block_on(accounts::create(&stage.database, 1)).start;
    for clients in &arguments.clients {
        for (backlog, kinds) in [
            (BACKLOG, &[Kind::Flodgatt, Kind::PlainOne, Kind::PlainFour][..]),
            (NO_BACKLOG, &[Kind::Flodgatt, Kind::PlainOne]),
        ] {
            let case = case(transport, *clients, backlog);
            stage.start(kinds, transport);
            for round in 0..arguments.rounds {
                for kind in stage.order(round) {
                    let load = load(stage, kind, account, transport, *clients, Pace::Backlog(backlog));
                    let turn = stage.turn(kind, Load { time: arguments.time, ..load });
                    if !stage.is_alright() {
                        return;
                    }
                    figures.add(&case, kind, turn);
                }
            }
        }
    }
}

/// The latency at half of what each server can do.
pub fn latency(stage: &mut Stage, transport: Transport, arguments: &Arguments, figures: &mut Figures) {
    let account = stage.runtime.block_on(accounts::create(&stage.database, 1)).start;
    let clients = arguments.clients[0];
    let case = format!("{}, one channel to {clients}, at half of the maximal rate", transport.name());
    stage.start(&[Kind::Flodgatt, Kind::PlainFour], transport);
    for round in 0..arguments.rounds {
        for kind in stage.order(round) {
            let load = load(stage, kind, account, transport, clients, Pace::Backlog(BACKLOG));
            let mut publisher = stage.connect(load.wishes, load.channels, None);
            let mut traffic = load.traffic;
            let most = stage.measure(kind, &mut publisher, &mut traffic, arguments.time);
            let rate = most.iter().find(|(name, _)| *name == "events/s").expect("it is measured").1 / 2.0;
            let mut traffic = [Traffic::new(Pace::Rate(rate), 0..1)];
            let turn = stage.measure(kind, &mut publisher, &mut traffic, arguments.time);
            stage.leave(kind);
            if !stage.is_alright() {
                return;
            }
            figures.add(&case, kind, turn);
        }
    }
}

/// The name of a case.
pub fn case(transport: Transport, clients: usize, backlog: u64) -> String {
    format!("{}, one channel to {clients}, backlog of {backlog}", transport.name())
}

/// The home feed of one account, which nothing screens, in as many sessions.
fn load(stage: &Stage, kind: Kind, account: i64, transport: Transport, clients: usize, pace: Pace) -> Load {
    let request = transport.request("user", &token(account), &home(account));
    let port = stage.subjects[&kind].port();
    let wish = || Wish { port, transport, request: request.clone(), channels: vec![0] };
    Load {
        wishes: std::iter::repeat_with(wish).take(clients).collect(),
        channels: vec![(home(account), vec![1])],
        traffic: vec![Traffic::new(pace, 0..1)],
        left_out: None,
        time: std::time::Duration::ZERO,
    }
}
