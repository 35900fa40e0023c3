//! A day of an instance, in short: home feeds, and for some clients public ones; a little for many, and clients that come and
//! go. Each round is a slice of the same time, so that memory can be seen to stay what it is.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Measured;
use crate::accounts::{self, home, token};
use crate::figures::Turn;
use crate::generator::Wish;
use crate::publisher::{Pace, Publisher, STRANGER, Traffic};
use crate::reading::Transport;
use crate::resident::resident;
use crate::stage::{DELIVERIES, Stage};
use crate::subject::Kind;
use crate::support::Frame;

/// Hashtags that somebody follows.
const TAGS: usize = 10;

/// One client in so many has the public feed or a hashtag too.
const PUBLIC: usize = 5;

/// Events a second, on home feeds and on the public feed; hashtags get some of the latter.
const PERSONAL_RATE: f64 = 300.0;
const PUBLIC_RATE: f64 = 30.0;
const TAGGED_RATE: f64 = 10.0;

/// How many of the clients leave in a minute, while as many come.
const CHURN: f64 = 0.01;

/// How long something must have run for its memory to be judged, and what it may have grown to meanwhile.
const LONG: Duration = Duration::from_secs(300);
const MOST_GROWTH: f64 = 1.1;

const MEMORY: &str = "memory MB";

pub fn run(stage: &mut Stage, measured: &mut Measured<'_>) {
    let clients = *measured.arguments.clients.iter().max().expect("there is one at least");
    let (rounds, time) = (measured.arguments.rounds, measured.arguments.time);
    let first = stage.runtime.block_on(accounts::create(&stage.database, clients)).start;
    stage.start(&[Kind::Flodgatt], Transport::WebSocket);
    let port = stage.subjects[&Kind::Flodgatt].ports()[0];
    let wish = |number: usize| wish(port, first, clients, number);
    let mut channels: Vec<String> = (first..).take(clients).map(home).collect();
    channels.push("timeline:public".into());
    channels.extend((0..TAGS).map(|tag| format!("timeline:hashtag:heron{tag}")));
    let all = channels.len();
    let channels = channels.into_iter().map(|channel| (channel, vec![STRANGER])).collect();
    let mut publisher = stage.connect((0..clients).map(wish).collect(), channels, None);
    stage.generator.ledger.open();
    let mut traffic = [
        Traffic::new(Pace::Rate(PERSONAL_RATE), 0..clients),
        Traffic::new(Pace::Rate(PUBLIC_RATE), clients..clients + 1),
        Traffic::new(Pace::Rate(TAGGED_RATE), clients + 1..all),
    ];
    let mut churn = Churn { begun: Instant::now(), replaced: 0, clients };
    let case = format!("websocket, mixed, {clients} sessions, {rounds} times {} s", time.as_secs_f64());
    measured
        .rounds(stage, &case, |stage, kind| slice(stage, kind, &mut publisher, &mut traffic, &mut churn, &wish, time));
    let memory = measured.figures.values(&case, Kind::Flodgatt, MEMORY);
    if let [first, .., last] = memory[..]
        && time * u32::try_from(rounds).expect("a few") >= LONG
        && last > first * MOST_GROWTH
    {
        stage.generator.ledger.complain(format!("memory grew from {first:.1} to {last:.1} MB"));
    }
    stage.generator.close_all();
}

/// Clients that are replaced by new ones.
struct Churn {
    begun: Instant,
    replaced: usize,
    clients: usize,
}

impl Churn {
    fn due(&self) -> usize {
        (self.begun.elapsed().as_secs_f64() / 60.0 * CHURN * self.clients as f64) as usize
    }
}

fn slice(
    stage: &mut Stage,
    kind: Kind,
    publisher: &mut Publisher,
    traffic: &mut [Traffic],
    churn: &mut Churn,
    wish: &dyn Fn(usize) -> Wish,
    time: Duration,
) -> Turn {
    let (before, begun) = (stage.spent(kind), Instant::now());
    let deliveries = stage.generator.ledger.deliveries();
    while begun.elapsed() < time && stage.is_alright() {
        stage.generator.drive(publisher, traffic, Duration::from_millis(50).min(time));
        while churn.replaced < churn.due() {
            let number = churn.replaced % churn.clients;
            stage.generator.begin(number, wish(number));
            churn.replaced += 1;
        }
    }
    let (seconds, after) = (begun.elapsed().as_secs_f64(), stage.spent(kind));
    let deliveries = (stage.generator.ledger.deliveries() - deliveries) as f64;
    let latencies = stage.generator.ledger.take_latencies();
    let each = |after: f64, before: f64| (after - before) * 1e6 / deliveries;
    Turn::from([
        (DELIVERIES, deliveries / seconds),
        ("server µs each", each(after.server, before.server)),
        ("postgres µs each", each(after.postgres, before.postgres)),
        ("server busy", (after.server - before.server) / seconds),
        ("p50 ms", latencies.percentile_ms(50.0)),
        ("p99 ms", latencies.percentile_ms(99.0)),
        ("p99.9 ms", latencies.percentile_ms(99.9)),
        (MEMORY, resident(stage.subjects[&kind].pids()[0]) / 1e6),
    ])
}

/// The client of this number: the home feed of its account, and for some of them the public one or a hashtag.
fn wish(port: u16, first: i64, clients: usize, number: usize) -> Wish {
    let transport = Transport::WebSocket;
    let account = first + i64::try_from(number).expect("a few thousand");
    let mut request = transport.request("user", &token(account), &home(account));
    let mut channels = vec![number];
    if number.is_multiple_of(PUBLIC) {
        // A server reads what comes right behind the handshake.
        let tag = number / PUBLIC % (2 * TAGS);
        let subscription = match tag.checked_sub(TAGS) {
            None => json!({"type": "subscribe", "stream": "public"}),
            Some(tag) => json!({"type": "subscribe", "stream": "hashtag", "tag": format!("heron{tag}")}),
        };
        request.extend(Frame::text(subscription.to_string()).encode());
        channels.push(clients + tag.checked_sub(TAGS).map_or(0, |tag| tag + 1));
    }
    Wish { port, transport, request, channels }
}
