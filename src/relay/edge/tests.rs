use parking_lot::Mutex;

use super::*;

/// What the sessions were given.
#[derive(Default)]
struct Given(Mutex<Vec<String>>);

impl Sink for Given {
    fn receive(&self, channel: &str, message: &str, _age: Duration) {
        self.0.lock().push(format!("{channel} {message}"));
    }

    fn lagged(&self, _messages: u64) {}

    fn connected(&self) {}

    fn missed(&self) {
        self.0.lock().push("missed".to_owned());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_too_large_is_a_gap_between_those_around_it() {
    let (given, metrics, now) = (Arc::<Given>::default(), Arc::<Metrics>::default(), Instant::now());
    let mut edge = Edge::new(given.clone(), Arc::clone(&metrics));
    let (link, node, orders) = (LinkId(1), "a".parse().unwrap(), Arc::<Orders>::default());
    edge.opened(link, &node, Arc::clone(&orders), now);
    edge.heard(link, vec![Notice::Tick(Tick { incarnation: 1, counter: 1 }), Notice::Up], now);
    let channel = "timeline:system:1";
    edge.want(vec![Channel::named(channel)], now);
    edge.settle(now);
    let (ask, order) = orders.take_now(1).pop().expect("it is asked for");
    assert!(matches!(order, super::super::message::Order::Take(..)), "{order:?}");
    let event = |message: &str| Notice::Event { ask, message: message.into() };
    let taken = Notice::Taken { ask, round: 1, count: 0 };
    edge.heard(link, vec![taken, event("1"), event(""), event("3")], now);
    assert_eq!(*given.0.lock(), [format!("{channel} 1"), "missed".to_owned(), format!("{channel} 3")]);
    assert!(metrics.page().contains("flodgatt_relay_gaps_total{cause=\"too_large\"} 1"));
}
