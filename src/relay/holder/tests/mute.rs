//! A node whose own ticks do not come back.

use super::*;

/// A tick of another node comes each second, so many times.
async fn others_tick(scene: &mut Scene, seconds: u64) {
    for _ in 0..seconds {
        tokio::time::advance(Duration::from_secs(1)).await;
        let counter = scene.holder.ticks.last() + 1;
        scene.holder.ticked(Tick { incarnation: 3, counter }, Instant::now());
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_own_ticks_do_not_come_back_says_so_once_and_again_when_they_do() {
    let mut scene = Scene::new();
    scene.own_tick();
    scene.holder.next_tick();
    others_tick(&mut scene, 3).await;
    assert_eq!(scene.news(), []);
    scene.holder.next_tick();
    others_tick(&mut scene, 1).await;
    assert_eq!(scene.news(), [Notice::Broken]);
    let (newcomer, _) = scene.holder.greeted(false);
    let told = scene.holder.take_notices(newcomer, usize::MAX, Instant::now()).expect("the edge keeps up");
    assert!(!told.contains(&Notice::Up), "{told:?}");
    others_tick(&mut scene, 5).await;
    assert_eq!(scene.news(), []);
    scene.own_tick();
    assert_eq!(scene.news(), [Notice::Up]);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_own_ticks_are_missing_keeps_its_log_and_what_it_had_confirmed() {
    let mut scene = Scene::new();
    scene.take(1, "a", None, false);
    let since = scene.confirm();
    scene.event("a", "1");
    scene.holder.next_tick();
    others_tick(&mut scene, 4).await;
    scene.news();
    scene.event("a", "2");
    assert_eq!(scene.news(), [], "it relays nothing");
    scene.own_tick();
    assert_eq!(scene.news(), [Notice::Up, Notice::Held { ask: 1, since }]);
    scene.take(1, "a", Some(position(since, 1, "1")), true);
    let last = Tick { incarnation: 3, counter: scene.holder.ticks.last() - 1 };
    assert_eq!(scene.news(), [replay(last, 1, "2"), taken(0)]);
}

#[tokio::test(start_paused = true)]
async fn own_ticks_that_are_late_by_seconds_but_come_are_not_missing() {
    let mut scene = Scene::new();
    let mut under_way: VecDeque<Tick> = (0..3).map(|_| scene.holder.next_tick()).collect();
    for _ in 0..20 {
        others_tick(&mut scene, 1).await;
        under_way.push_back(scene.holder.next_tick());
        let returned = under_way.pop_front().expect("there are some");
        scene.holder.ticked(returned, Instant::now());
    }
    assert_eq!(scene.news(), []);
}

#[tokio::test(start_paused = true)]
async fn a_standstill_of_redis_or_of_the_process_is_nobodys_silence() {
    let mut scene = Scene::new();
    scene.own_tick();
    let late = scene.holder.next_tick();
    tokio::time::advance(Duration::from_secs(20)).await;
    for incarnation in [3, 4, 5] {
        scene.holder.ticked(Tick { incarnation, counter: 1 }, Instant::now());
    }
    scene.holder.ticked(late, Instant::now());
    assert_eq!(scene.news(), []);
}
