//! Own ticks: what they confirm, and a node without them.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_node_is_able_once_its_own_tick_came_back_over_the_connection() {
    let mut holder = Holder::new(OWN, limits());
    let (edge, _) = holder.greeted(false);
    let is_up = |holder: &mut Holder| {
        holder.take_notices(edge, usize::MAX, Instant::now()).expect("the edge keeps up").contains(&Notice::Up)
    };
    let early = holder.next_tick();
    holder.ticked(early, Instant::now());
    holder.connected();
    assert!(!is_up(&mut holder) && holder.wants_tick());
    holder.ticked(Tick { incarnation: OWN + 1, counter: 1 }, Instant::now());
    assert!(!is_up(&mut holder), "the tick of another node shows nothing");
    let tick = holder.next_tick();
    assert!(!holder.wants_tick());
    holder.ticked(tick, Instant::now());
    assert!(is_up(&mut holder));
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_ticks_do_not_come_back_is_passed_over_until_one_does_and_keeps_its_log() {
    let mut scene = Scene::new();
    scene.take(1, "a", None, false);
    scene.hold(2, "a");
    let since = scene.confirm();
    scene.event("a", "1");
    scene.news();
    let told: Vec<bool> = (0..10)
        .map(|_| {
            scene.holder.next_tick();
            scene.holder.another_second()
        })
        .collect();
    assert_eq!(told.iter().position(|told| *told), Some(6));
    assert_eq!(told.iter().filter(|told| **told).count(), 1);
    assert_eq!(scene.news(), [Notice::Broken]);
    scene.own_tick();
    let mut news = scene.news();
    assert_eq!(news.remove(0), Notice::Up);
    assert_eq!(news, [1, 2].map(|ask| Notice::Held { ask, since }));
    scene.take(1, "a", Some(Position { tick: since, count: 0, check: None }), true);
    assert_eq!(scene.news(), [replay(since, 1, "1"), taken(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_has_been_held_for_hours_is_confirmed_to_whoever_asks_now() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.confirm();
    tokio::time::advance(Duration::from_secs(2 * 3_600)).await;
    let tick = scene.own_tick();
    scene.news();
    scene.hold(2, "a");
    assert_eq!(scene.news(), [Notice::Held { ask: 2, since: tick }]);
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_is_published_twice_moves_no_position_and_confirms_nothing() {
    let mut scene = Scene::new();
    scene.take(1, "a", None, false);
    let tick = scene.confirm();
    scene.event("a", "1");
    scene.hold(2, "b");
    scene.holder.subscribed(scene.changes);
    scene.notices();
    scene.holder.ticked(tick, Instant::now());
    scene.event("a", "2");
    assert_eq!(scene.notices(), [event(1, "2")]);
    scene.take(3, "a", Some(position(tick, 1, "1")), true);
    let replayed = Notice::Replay { ask: 3, round: 1, tick, count: 2, age: Duration::ZERO, message: "2".into() };
    assert_eq!(scene.notices(), [replayed, Notice::Taken { ask: 3, round: 1, count: 2 }]);
}

#[tokio::test(start_paused = true)]
async fn ticks_that_never_come_back_are_not_all_remembered() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.holder.subscribed(scene.changes);
    for _ in 0..1_000 {
        scene.holder.next_tick();
    }
    assert_eq!(scene.holder.under_way.len(), 1);
    let since = scene.own_tick();
    assert_eq!(scene.news(), [Notice::Held { ask: 1, since }]);
}
