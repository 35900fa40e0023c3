//! What a client costs that does nothing, and whether what busy ones took is given back.

use std::time::Duration;

use super::Measured;
use super::personal::home_feeds;
use crate::accounts;
use crate::figures::Turn;
use crate::publisher::{Pace, Traffic};
use crate::reading::Transport;
use crate::resident::resident;
use crate::stage::Stage;
use crate::subject::{Kind, Subject};
use crate::support::eventually::eventually_within;

/// Resident memory for each idle connection, in bytes.
pub const IDLE: &str = "idle B each";

/// Events for each client.
const EVENTS: u64 = 20;

/// Events under way while there is load.
const BACKLOG: u64 = 2_000;

/// How often it is looked whether memory shrinks, and how long it is waited in between.
const LOOKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(500);

const PATIENCE: Duration = Duration::from_secs(120);

/// The name of the case.
pub fn case(clients: usize) -> String {
    format!("websocket, memory with {clients} home feeds, four channels each")
}

pub fn run(stage: &mut Stage, measured: &mut Measured<'_>) {
    let most = *measured.arguments.clients.iter().max().expect("there is one at least");
    let first = stage.runtime.block_on(accounts::create(&stage.database, most)).start;
    for clients in measured.arguments.clients.clone() {
        stage.start(&[Kind::Flodgatt, Kind::PlainOne], Transport::WebSocket);
        measured.rounds(stage, &case(clients), |stage, kind| {
            // What a server has once had, it may keep: each turn has a new one.
            stage.start(&[Kind::Flodgatt, Kind::PlainOne], Transport::WebSocket);
            turn(stage, kind, first, clients)
        });
    }
}

fn turn(stage: &mut Stage, kind: Kind, first: i64, clients: usize) -> Turn {
    let pid = stage.subjects[&kind].pids()[0];
    let before = resident(pid);
    let (wishes, channels) = home_feeds(stage.subjects[&kind].ports()[0], Transport::WebSocket, first, clients);
    let mut publisher = stage.open(wishes, channels, None);
    await_subscriptions(stage, kind, clients);
    let idle = resident(pid);
    stage.generator.await_subscriptions(&mut publisher, clients, clients);
    let mut traffic = [Traffic::new(Pace::Backlog(BACKLOG), 0..clients)];
    let wanted = EVENTS * clients as u64;
    while stage.generator.ledger.published() < wanted && stage.is_alright() {
        stage.generator.drive(&mut publisher, &mut traffic, Duration::from_millis(100));
    }
    stage.generator.drain();
    let after = settled(pid);
    stage.leave(kind);
    let left = settled(pid);
    let each = |now: f64| (now - before) / clients as f64;
    Turn::from([
        ("before MB", before / 1e6),
        (IDLE, each(idle)),
        ("after load B each", each(after)),
        ("all left MB", left / 1e6),
    ])
}

/// The memory of a process when it has given back what it is about to.
fn settled(pid: u32) -> f64 {
    let mut last = resident(pid);
    for _ in 0..LOOKS {
        std::thread::sleep(PAUSE);
        let now = resident(pid);
        if now >= last {
            return now;
        }
        last = now;
    }
    last
}

/// Waits until all channels are subscribed, without sending anything to anybody.
fn await_subscriptions(stage: &Stage, kind: Kind, clients: usize) {
    let wanted = match &stage.subjects[&kind] {
        Subject::Flodgatt(_) => 4 * clients,
        Subject::Plain { .. } => clients,
    };
    let subscribed = eventually_within(PATIENCE, "subscriptions", || async {
        match stage.redis.subscriptions().await.len() {
            found if found == wanted => Ok(()),
            found => Err(found),
        }
    });
    stage.runtime.block_on(subscribed);
}
