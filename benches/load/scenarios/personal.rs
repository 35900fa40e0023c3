//! Home feeds: each event is for one client of thousands.

use super::Measured;
use crate::accounts::{self, home, token};
use crate::generator::Wish;
use crate::publisher::{Pace, STRANGER, Traffic};
use crate::reading::Transport;
use crate::stage::{Load, Stage};
use crate::subject::Kind;

/// Events under way, on as many channels.
const BACKLOG: u64 = 64;

pub fn run(stage: &mut Stage, measured: &mut Measured<'_>) {
    with(stage, Transport::WebSocket, measured, &[Kind::Flodgatt, Kind::PlainOne]);
}

/// The same with clients that offer compression: the most that it can cost, as nothing is shared.
pub fn deflate(stage: &mut Stage, measured: &mut Measured<'_>) {
    with(stage, Transport::Deflated, measured, &[Kind::Flodgatt, Kind::Uncompressed]);
}

fn with(stage: &mut Stage, transport: Transport, measured: &mut Measured<'_>, kinds: &[Kind]) {
    let most = *measured.arguments.clients.iter().max().expect("there is one at least");
    let first = stage.runtime.block_on(accounts::create(&stage.database, most)).start;
    stage.start(kinds, transport);
    for clients in measured.arguments.clients.clone() {
        let time = measured.arguments.time;
        let case = format!("{}, {clients} home feeds, backlog of {BACKLOG}", transport.name());
        measured.rounds(stage, &case, |stage, kind| {
            let (wishes, channels) = home_feeds(stage.subjects[&kind].ports()[0], transport, first, clients);
            let traffic = vec![Traffic::new(Pace::Backlog(BACKLOG), 0..clients)];
            stage.turn(kind, Load { wishes, channels, traffic, left_out: None, time })
        });
    }
}

/// A WebSocket on the home feed of each of so many accounts, and these feeds' channels.
pub fn home_feeds(port: u16, transport: Transport, first: i64, count: usize) -> (Vec<Wish>, Vec<(String, Vec<i64>)>) {
    let wish = |(channel, account): (usize, i64)| Wish {
        port,
        transport,
        request: transport.request("user", &token(account), &home(account)),
        channels: vec![channel],
    };
    let wishes = (first..).enumerate().take(count).map(wish).collect();
    (wishes, (first..).take(count).map(|account| (home(account), vec![STRANGER])).collect())
}
