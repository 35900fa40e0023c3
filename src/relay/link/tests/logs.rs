//! What may happen often fills no logs.

use std::time::Duration;

use super::support::{Log, Net, Node, plan};

#[tokio::test(start_paused = true)]
async fn rubbish_among_the_ticks_is_told_once_a_minute_with_its_count() {
    let (log, _logging) = Log::start();
    let node = Node::start(plan("a").on(&Net::default())).await;
    let publishes = |times| {
        for _ in 0..times {
            node.bus.publish("timeline:flodgatt:test", "rubbish");
        }
    };
    publishes(1_000);
    log.says(&["WARN", "something else than a tick"]).await;
    publishes(500);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(log.count(&["something else than a tick"]), 2);
    publishes(7);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(log.count(&["something else than a tick", "messages=7"]), 1);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_stays_full_before_its_time_is_told_again_with_a_count() {
    let (log, _logging) = Log::start();
    let net = Net::default();
    let mut small = plan("b").on(&net);
    small.config.log_bytes = 1_000;
    let (mut a, b) = (Node::start(plan("a").on(&net)).await, Node::start(small).await);
    a.finds(&[b.address]);
    let link = a.link().await;
    a.takes(&link, 1, "timeline:public").await;
    let text = "x".repeat(1_000);
    b.bus.publish("timeline:public", &text);
    log.says(&["WARN", "log of events is full", "events=1"]).await;
    for _ in 0..10 {
        b.bus.publish("timeline:public", &text);
    }
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(log.count(&["log of events is full", "events=10"]), 1);
    assert_eq!(log.count(&["log of events is full"]), 2);
}
