//! One channel to thousands of clients: what a delivery costs, how many there are, and how long they take.

use std::time::Duration;

use super::Measured;
use crate::accounts::{self, home, token};
use crate::generator::Wish;
use crate::publisher::{Pace, STRANGER, Traffic};
use crate::reading::Transport;
use crate::stage::{DELIVERIES, Load, Stage};
use crate::subject::Kind;

/// Events that have not come to everybody when the next one is published: so many that up to four can be written at once.
pub const BACKLOG: u64 = 4;

/// With so few, each event is written by itself.
pub const NO_BACKLOG: u64 = 1;

/// Measures everything on a transport, for each number of clients.
pub fn run(stage: &mut Stage, transport: Transport, measured: &mut Measured<'_>) {
    for clients in measured.arguments.clients.clone() {
        let kinds = [Kind::Flodgatt, Kind::PlainOne, Kind::PlainFour];
        with_backlog(stage, transport, measured, clients, BACKLOG, &kinds);
        with_backlog(stage, transport, measured, clients, NO_BACKLOG, &kinds[..2]);
    }
}

/// The same to clients that offer compression, held against a server that does not take it.
pub fn deflate(stage: &mut Stage, measured: &mut Measured<'_>) {
    let kinds = [Kind::Flodgatt, Kind::Uncompressed];
    for clients in measured.arguments.clients.clone() {
        for backlog in [BACKLOG, NO_BACKLOG] {
            with_backlog(stage, Transport::Deflated, measured, clients, backlog, &kinds);
        }
    }
}

/// The same with a cluster, whose nodes have all to do with one core.
pub fn nodes(stage: &mut Stage, measured: &mut Measured<'_>) {
    for clients in measured.arguments.clients.clone() {
        let kinds = [Kind::Flodgatt, Kind::ThreeNodes, Kind::PlainFour];
        with_backlog(stage, Transport::WebSocket, measured, clients, BACKLOG, &kinds);
    }
}

/// Measures these servers.
pub fn with_backlog(
    stage: &mut Stage,
    transport: Transport,
    measured: &mut Measured<'_>,
    clients: usize,
    backlog: u64,
    kinds: &[Kind],
) {
    let time = measured.arguments.time;
    let account = stage.runtime.block_on(accounts::one(&stage.database));
    stage.start(kinds, transport);
    measured.rounds(stage, &case(transport, clients, backlog), |stage, kind| {
        let load = load(stage, kind, account, transport, clients, Pace::Backlog(backlog), time);
        stage.turn(kind, load)
    });
}

/// The latency at half of what each server can do.
pub fn latency(stage: &mut Stage, transport: Transport, measured: &mut Measured<'_>) {
    let account = stage.runtime.block_on(accounts::one(&stage.database));
    let (clients, time) = (measured.arguments.clients[0], measured.arguments.time);
    let case = format!("{}, one channel to {clients}, at half of the maximal rate", transport.name());
    stage.start(&[Kind::Flodgatt, Kind::PlainFour], transport);
    measured.rounds(stage, &case, |stage, kind| {
        let load = load(stage, kind, account, transport, clients, Pace::Backlog(BACKLOG), time);
        let mut publisher = stage.connect(load.wishes, load.channels, None);
        let mut traffic = load.traffic;
        let most = stage.measure(kind, &mut publisher, &mut traffic, time);
        let most = most.iter().find(|(name, _)| *name == DELIVERIES).expect("it is measured").1;
        let mut traffic = [Traffic::new(Pace::Rate(most / clients as f64 / 2.0), 0..1)];
        let turn = stage.measure(kind, &mut publisher, &mut traffic, time);
        stage.leave(kind);
        turn
    });
}

/// The name of a case.
pub fn case(transport: Transport, clients: usize, backlog: u64) -> String {
    format!("{}, one channel to {clients}, backlog of {backlog}", transport.name())
}

/// The home feed of one account, which nothing screens, in as many sessions.
fn load(
    stage: &Stage,
    kind: Kind,
    account: i64,
    transport: Transport,
    clients: usize,
    pace: Pace,
    time: Duration,
) -> Load {
    let request = transport.request("user", &token(account), &home(account));
    let ports = stage.subjects[&kind].ports();
    let wish = |port| Wish { port, transport, request: request.clone(), channels: vec![0] };
    Load {
        wishes: ports.into_iter().cycle().take(clients).map(wish).collect(),
        channels: vec![(home(account), vec![STRANGER])],
        traffic: vec![Traffic::new(pace, 0..1)],
        left_out: None,
        time,
    }
}
