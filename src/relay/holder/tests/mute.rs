//! A node whose own ticks do not come back.

use super::*;

fn is_up(holder: &mut Holder, edge: EdgeKey) -> bool {
    holder.take_notices(edge, usize::MAX, Instant::now()).expect("the edge keeps up").contains(&Notice::Up)
}

#[tokio::test(start_paused = true)]
async fn a_node_is_able_once_its_own_tick_came_back_over_the_connection() {
    let mut holder = Holder::new(OWN, limits());
    let (edge, _) = holder.greeted(false);
    let early = holder.next_tick();
    holder.ticked(early, Instant::now());
    holder.connected();
    assert!(!is_up(&mut holder, edge) && holder.wants_tick());
    holder.ticked(Tick { incarnation: OWN + 1, counter: 1 }, Instant::now());
    assert!(!is_up(&mut holder, edge), "the tick of another node shows nothing");
    let tick = holder.next_tick();
    assert!(!holder.wants_tick());
    holder.ticked(tick, Instant::now());
    assert!(is_up(&mut holder, edge));
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_ticks_do_not_come_back_is_passed_over_until_one_does() {
    let mut scene = Scene::new();
    let told: Vec<bool> = (0..10)
        .map(|_| {
            scene.holder.next_tick();
            scene.holder.another_second()
        })
        .collect();
    assert_eq!(told.iter().position(|told| *told), Some(6));
    assert_eq!(told.iter().filter(|told| **told).count(), 1);
    assert_eq!(scene.news(), [Notice::Broken]);
    let (newcomer, _) = scene.holder.greeted(false);
    assert!(!is_up(&mut scene.holder, newcomer));
    scene.own_tick();
    assert_eq!(scene.news(), [Notice::Up]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_passed_over_keeps_its_log_and_what_it_had_confirmed() {
    let mut scene = Scene::new();
    scene.take(1, "a", None, false);
    scene.hold(2, "b");
    let since = scene.confirm();
    scene.event("a", "1");
    scene.news();
    assert_eq!((0..7).filter(|_| scene.holder.another_second()).count(), 1);
    scene.news();
    scene.event("a", "2");
    assert_eq!(scene.news(), [], "it relays nothing");
    scene.own_tick();
    let mut news = scene.news();
    assert_eq!(news.remove(0), Notice::Up);
    assert_eq!(news, [1, 2].map(|ask| Notice::Held { ask, since }));
    scene.take(1, "a", Some(position(since, 1, "1")), true);
    assert_eq!(scene.news(), [replay(since, 2, "2"), taken(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_has_been_held_for_hours_is_confirmed_to_whoever_asks_now() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.confirm();
    tokio::time::advance(Duration::from_secs(2 * 3_600)).await;
    let tick = scene.own_tick();
    (scene.edge, _) = scene.holder.greeted(false);
    scene.news();
    scene.hold(1, "a");
    assert_eq!(scene.news(), [Notice::Held { ask: 1, since: tick }]);
}
