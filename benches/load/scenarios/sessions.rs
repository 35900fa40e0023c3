//! Clients that come, are let in and leave: each bears a token of its own, which has to be looked up.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Measured;
use super::personal::home_feeds;
use crate::accounts;
use crate::figures::Turn;
use crate::generator::Wish;
use crate::latencies::Latencies;
use crate::reading::Transport;
use crate::stage::Stage;
use crate::subject::Kind;

/// Connections that are being made at a time.
const AT_ONCE: usize = 64;

/// Tokens, which are used in turn.
const TOKENS: usize = 20_000;

const WARM_UP: Duration = Duration::from_millis(500);

pub fn run(stage: &mut Stage, measured: &mut Measured<'_>) {
    let first = stage.runtime.block_on(accounts::create(&stage.database, TOKENS)).start;
    stage.start(&[Kind::Flodgatt, Kind::PlainOne], Transport::WebSocket);
    let time = measured.arguments.time;
    measured.rounds(stage, &format!("websocket, sessions that begin and end, {AT_ONCE} at once"), |stage, kind| {
        let (wishes, channels) = home_feeds(stage.subjects[&kind].ports()[0], Transport::WebSocket, first, TOKENS);
        stage.generator.ledger.begin(channels.iter().map(|_| 1));
        stage.generator.ledger.open();
        let mut waiting = wishes.into();
        visit(stage, &mut waiting, WARM_UP);
        let (before, begun) = (stage.spent(kind), Instant::now());
        let visits = visit(stage, &mut waiting, time);
        let (seconds, after) = (begun.elapsed().as_secs_f64(), stage.spent(kind));
        stage.leave(kind);
        let each = |after: f64, before: f64| (after - before) * 1e6 / visits.count;
        Turn::from([
            ("sessions/s", visits.count / seconds),
            ("server µs each", each(after.server, before.server)),
            ("postgres µs each", each(after.postgres, before.postgres)),
            ("redis µs each", each(after.redis, before.redis)),
            ("clients µs each", each(after.clients, before.clients)),
            ("server busy", (after.server - before.server) / seconds),
            ("p50 ms", visits.latencies.percentile_ms(50.0)),
            ("p99 ms", visits.latencies.percentile_ms(99.0)),
        ])
    });
}

#[derive(Default)]
struct Visits {
    count: f64,
    /// From the beginning of a connection until it is accepted.
    latencies: Latencies,
}

/// Opens connections and closes each as soon as it is accepted.
fn visit(stage: &mut Stage, waiting: &mut VecDeque<Wish>, time: Duration) -> Visits {
    let generator = &mut stage.generator;
    let mut visits = Visits::default();
    let mut begun: [Option<Instant>; AT_ONCE] = [None; AT_ONCE];
    let end = Instant::now() + time;
    while Instant::now() < end && generator.ledger.problems().is_empty() {
        for (number, begun) in begun.iter_mut().enumerate() {
            if begun.is_some() && !generator.is_open(number) {
                continue;
            }
            if let Some(begun) = begun.replace(Instant::now()) {
                visits.count += 1.0;
                visits.latencies.add(u64::try_from(begun.elapsed().as_nanos()).expect("it is short"));
            }
            let wish = waiting.pop_front().expect("there are more tokens than connections");
            waiting.push_back(Wish {
                port: wish.port,
                transport: wish.transport,
                request: wish.request.clone(),
                channels: wish.channels.clone(),
            });
            generator.begin(number, wish);
        }
        generator.turn(Duration::from_millis(100));
    }
    for number in 0..AT_ONCE {
        generator.close(number);
    }
    visits
}
