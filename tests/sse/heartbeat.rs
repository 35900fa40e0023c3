//! Heartbeats. They take the time they take; all of them are waited for together.

use std::time::{Duration, Instant};

use crate::home;
use crate::support::*;

const PERIOD: f64 = 15.0;
/// How much later than due a heartbeat may be on a machine that is busy with other tests.
const LATE: f64 = 5.0;

/// When this test gives up: heartbeats that events put off never come.
const LIMIT: Duration = Duration::from_secs(60);

/// Reads a stream until two heartbeats have come; returns when they came, in seconds from `since`, and how many events.
async fn two_heartbeats(mut stream: Sse, since: Instant) -> (Vec<f64>, usize) {
    let (mut heartbeats, mut events) = (Vec::new(), 0);
    while heartbeats.len() < 2 {
        let block = stream.next_block().await.expect("the stream goes on");
        if block.lines == [":thump"] {
            heartbeats.push(since.elapsed().as_secs_f64());
        } else {
            assert!(block.comments().is_empty(), "{block:?}");
            events += 1;
        }
    }
    assert_eq!(String::from_utf8_lossy(stream.raw_bytes()).matches(":thump\n\n").count(), 2);
    (heartbeats, events)
}

#[tokio::test]
async fn a_heartbeat_comes_every_15_seconds_and_events_do_not_put_it_off() {
    let stage = Stage::start().await;
    let (busy, channel) = home(&stage).await;
    let busy = two_heartbeats(busy, Instant::now());
    let (idle, _) = home(&stage).await;
    let idle = two_heartbeats(idle, Instant::now());
    // An event each second, as the source of the next heartbeat's delay if there were any.
    let publishing = async {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            stage.redis.publish(&channel, event("delete", "1")).await;
        }
    };
    let both = tokio::select! {
        both = async { tokio::join!(busy, idle) } => both,
        () = publishing => unreachable!("it goes on for ever"),
        () = tokio::time::sleep(LIMIT) => panic!("two heartbeats have not come within {LIMIT:?}"),
    };
    let ((busy, events), (idle, none)) = both;
    assert!(events >= 20 && none == 0, "{events} and {none} events");
    for heartbeats in [busy, idle] {
        let gaps = [heartbeats[0], heartbeats[1] - heartbeats[0]];
        for gap in gaps {
            // The opening itself, before the clock of this test began, may have taken a moment.
            assert!((PERIOD - 2.0..PERIOD + LATE).contains(&gap), "{heartbeats:?}");
        }
    }
}
