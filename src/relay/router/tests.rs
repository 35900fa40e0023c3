use super::*;
use crate::{
    domain::{Framing, StreamRequest, Viewer, json, stream::FeedAccess},
    hub::{SessionHandle, Subscription},
    relay::{
        door::{OpenLink, door},
        log::Limits,
        message::{Notice, Order},
        position::Tick,
    },
    telemetry::Metrics,
    upstream::Sink,
};

/// Notes how old each event is.
#[derive(Default)]
struct Ages(parking_lot::Mutex<Vec<Duration>>);

impl Sink for Ages {
    fn receive(&self, _channel: &str, _message: &str, age: Duration) {
        self.0.lock().push(age);
    }

    fn lagged(&self, _messages: u64) {}
    fn connected(&self) {}
}

fn holding() -> Arc<Holding> {
    let limits = Limits { age: Duration::from_secs(60), bytes: 1024 * 1024 };
    Arc::new(Holding::new(3, limits, Channel::named("ticks"), Arc::default()))
}

/// A session that watches the channel `timeline:7`.
fn watch(hub: &Hub) -> Arc<SessionHandle> {
    let session = Arc::new(SessionHandle::new(Viewer::in_tests(7, "read:statuses"), Framing::Text));
    hub.join(&session);
    let request = json::parse(r#"{"stream":"user"}"#).and_then(json::Value::object).unwrap();
    let stream = StreamRequest::from_message(&request).resolve(&session.viewer).unwrap();
    hub.subscribe(&session, &Arc::new(Subscription { stream, access: FeedAccess::OPEN }));
    session
}

/// The ask and the round of the take of `timeline:7`.
async fn take(link: &OpenLink) -> (u64, u32) {
    loop {
        for (ask, order) in link.orders.take(10).await {
            if let Order::Take(channel, take) = order
                && channel.as_str() == "timeline:7"
            {
                return (ask, take.round);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_while_the_process_was_stopped_counts() {
    // What is done first after the stop is left to chance.
    for _ in 0..50 {
        let (hub, (door, letters)) = (Arc::new(Hub::new(Arc::default())), door());
        let edge = Edge::new(Arc::<Ages>::default(), Arc::<Metrics>::default());
        let task = tokio::spawn(run(Arc::clone(&hub), holding(), edge, letters));
        let link = door.open("a".parse().unwrap()).await.unwrap();
        let tick = Tick { incarnation: 3, counter: 1 };
        link.hear(vec![Notice::Tick(tick), Notice::Up]).await.unwrap();
        let session = watch(&hub);
        let (ask, round) = take(&link).await;
        link.hear(vec![Notice::Held { ask, since: tick }, Notice::Taken { ask, round, count: 0 }]).await.unwrap();
        // Stopped before it could read that.
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let orders = link.orders.take_now(10);
        assert!(
            orders
                .iter()
                .all(|(_, order)| !matches!(order, Order::Take(channel, _) if channel.as_str() == "timeline:7")),
            "{orders:?}"
        );
        drop(session);
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_grows_older_where_it_waits_for_the_edge() {
    let (hub, (door, letters), ages) = (Arc::new(Hub::new(Arc::default())), door(), Arc::<Ages>::default());
    let edge = Edge::new(Arc::clone(&ages) as Arc<dyn Sink>, Arc::<Metrics>::default());
    let task = tokio::spawn(run(Arc::clone(&hub), holding(), edge, letters));
    let link = door.open("a".parse().unwrap()).await.unwrap();
    let tick = Tick { incarnation: 3, counter: 1 };
    link.hear(vec![Notice::Tick(tick), Notice::Up]).await.unwrap();
    let _session = watch(&hub);
    let (ask, round) = take(&link).await;
    link.hear(vec![Notice::Held { ask, since: tick }, Notice::Taken { ask, round, count: 0 }]).await.unwrap();
    let event = |milliseconds| Notice::Event { ask, age: Duration::from_millis(milliseconds), message: "{}".into() };
    link.hear(vec![event(0), event(200)]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    link.hear(vec![event(0), event(200)]).await.unwrap();
    tokio::time::advance(Duration::from_millis(80)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let ages = ages.0.lock().iter().map(Duration::as_millis).collect::<Vec<_>>();
    assert_eq!(ages, [0, 200, 80, 280]);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_node_waits_for_nobody_when_all_nodes_leave() {
    let (hub, (door, letters), holding) = (Arc::new(Hub::new(Arc::default())), door(), holding());
    let edge = Edge::new(Arc::<Ages>::default(), Arc::<Metrics>::default());
    let task = tokio::spawn(run(hub, Arc::clone(&holding), edge, letters));
    let own = tokio::spawn(own_link("a".parse().unwrap(), Arc::clone(&holding), door.clone()));
    let other = door.open("b".parse().unwrap()).await.unwrap();
    other.hear(vec![Notice::Tick(Tick { incarnation: 4, counter: 1 }), Notice::Up]).await.unwrap();
    let lane = holding.greeted(false);
    lane.order(vec![(1, Order::Hold(Channel::named("timeline:7")))]).unwrap();
    // Until all of that has been read.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let leaving = tokio::time::timeout(Duration::from_secs(1), holding.leave());
    assert!(leaving.await.is_err(), "b can take over");
    other.hear(vec![Notice::Leaving]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), holding.leave()).await.expect("nobody takes over");
    task.abort();
    own.abort();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_waits_for_one_that_has_no_redis_for_a_moment() {
    let (hub, (door, letters), holding) = (Arc::new(Hub::new(Arc::default())), door(), holding());
    let edge = Edge::new(Arc::<Ages>::default(), Arc::<Metrics>::default());
    let task = tokio::spawn(run(hub, Arc::clone(&holding), edge, letters));
    let own = tokio::spawn(own_link("a".parse().unwrap(), Arc::clone(&holding), door.clone()));
    let other = door.open("b".parse().unwrap()).await.unwrap();
    other.hear(vec![Notice::Tick(Tick { incarnation: 4, counter: 1 }), Notice::Up]).await.unwrap();
    let lane = holding.greeted(false);
    lane.order(vec![(1, Order::Hold(Channel::named("timeline:7")))]).unwrap();
    other.hear(vec![Notice::Broken]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let leaving = tokio::time::timeout(Duration::from_secs(4), holding.leave());
    assert!(leaving.await.is_err(), "b may have Redis again at any moment");
    tokio::time::timeout(Duration::from_secs(2), holding.leave()).await.expect("but not for ever");
    task.abort();
    own.abort();
}
