use super::*;
use crate::relay::position::Position;

fn holding() -> Arc<Holding> {
    let limits = Limits { age: Duration::from_secs(60), bytes: 1024 * 1024 };
    Arc::new(Holding::new(7, limits, Channel::named("ticks"), Arc::default()))
}

fn hold(ask: u64) -> Vec<(u64, Order)> {
    vec![(ask, Order::Hold(Channel::named(&ask.to_string())))]
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_ticks_cannot_even_be_sent_is_passed_over_all_the_same() {
    let holding = holding();
    holding.connected();
    let lane = holding.greeted(false);
    let first = |tick: Tick| {
        let holding = &holding;
        async move {
            if tick.counter > 1 {
                std::future::pending::<()>().await;
            }
            holding.receive("ticks", &tick.to_string(), Duration::ZERO);
            true
        }
    };
    let begun = Instant::now();
    let broken = async { while !lane.notices(1024).await.expect("the edge keeps up").contains(&Notice::Broken) {} };
    tokio::select! {
        () = broken => {}
        () = async { tokio::join!(holding.publish_ticks(first), holding.count_seconds()); } => {}
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert!((6.0..=7.5).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn subscriptions_that_are_confirmed_one_after_the_other_share_ticks_and_the_first_has_its_own_at_once() {
    let holding = holding();
    holding.connected();
    let lane = holding.greeted(false);
    let begun = Instant::now();
    let sent = Mutex::new(Vec::new());
    let confirming = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        for change in 1..=1_000 {
            lane.order(hold(change)).expect("each is asked for once");
            holding.holder.lock().place_orders(|_, _| change);
            holding.subscribed(change);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let back = |tick: Tick| {
        sent.lock().push(begun.elapsed().as_millis());
        holding.receive("ticks", &tick.to_string(), Duration::ZERO);
        std::future::ready(true)
    };
    tokio::select! {
        () = confirming => {}
        () = holding.publish_ticks(back) => {}
    }
    let sent = sent.into_inner();
    assert!(sent.iter().any(|at| (100..=102).contains(at)), "{sent:?}");
    assert!((20..=45).contains(&sent.len()), "{} ticks", sent.len());
}

#[tokio::test(start_paused = true)]
async fn a_take_that_is_looked_at_later_asks_for_a_tick_by_itself() {
    let holding = holding();
    holding.connected();
    let lane = holding.greeted(false);
    lane.order(hold(1)).expect("each is asked for once");
    holding.holder.lock().place_orders(|_, _| 1);
    holding.subscribed(1);
    let tick = holding.holder.lock().next_tick();
    holding.ticked(tick);
    lane.notices(1024).await.expect("the edge keeps up");
    let mut wanted = std::pin::pin!(holding.tick_wanted.notified());
    // What was wanted before.
    (&mut wanted).await;
    wanted.set(holding.tick_wanted.notified());
    let from = Some(Position { tick: Tick { incarnation: 3, counter: 1 }, count: 0, check: None });
    let take = super::super::message::Take { round: 1, from, strict: true };
    lane.order(vec![(1, Order::Take(Channel::named("1"), take))]).expect("each is asked for once");
    let looking = tokio::time::timeout(Duration::from_secs(1), lane.notices(1024));
    assert!(looking.await.is_err(), "it has to wait for the tick");
    tokio::time::timeout(Duration::from_secs(1), wanted).await.expect("one is asked for");
}
