//! What is sent as an edge takes it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_long_replay_goes_on_as_the_edge_takes_it() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let tick = scene.confirm();
    let large = "x".repeat(200 * 1024);
    for _ in 0..5 {
        scene.event("a", &large);
    }
    scene.news();
    scene.take(1, "a", Some(Position { tick, count: 0, check: None }), true);
    let mut counts = Vec::new();
    while counts.len() < 5 {
        for notice in scene.holder.take_notices(scene.edge, 1, Instant::now()).expect("the edge keeps up") {
            if let Notice::Replay { count, .. } = notice {
                counts.push(count);
            }
        }
    }
    assert_eq!(counts, [1, 2, 3, 4, 5]);
    assert_eq!(scene.news(), [taken(5)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_evicted_during_a_replay_is_a_gap_and_the_rest_follows() {
    // Room for ten events.
    let mut scene = Scene::with(Limits { bytes: 3 * 1024 * 1024, ..limits() });
    let event = "x".repeat(300 * 1024);
    scene.hold(1, "a");
    let tick = scene.confirm();
    for _ in 0..6 {
        scene.event("a", &event);
    }
    scene.news();
    scene.take(1, "a", Some(Position { tick, count: 0, check: None }), true);
    let mut counts = Vec::new();
    while counts.last() != Some(&-16) {
        for notice in scene.holder.take_notices(scene.edge, 1, Instant::now()).expect("the edge keeps up") {
            counts.push(match notice {
                Notice::Replay { count, .. } => i64::from(count),
                Notice::Gap { cause: GapCause::Evicted, .. } => -1,
                Notice::Taken { count, .. } => -i64::from(count),
                other => panic!("{other:?}"),
            });
        }
        if counts == [1] {
            // Four wait to be sent, and six are evicted.
            (6..16).for_each(|_| scene.event("a", &event));
        }
    }
    assert_eq!(counts, [1, 2, 3, 4, -1, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, -16]);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_what_is_replayed_is_that_at_which_it_is_sent() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let tick = scene.confirm();
    for _ in 0..3 {
        scene.event("a", "1");
    }
    scene.news();
    scene.take(1, "a", Some(Position { tick, count: 0, check: None }), true);
    for seconds in [1, 2, 3] {
        tokio::time::advance(Duration::from_secs(1)).await;
        let sent = scene.holder.take_notices(scene.edge, 1, Instant::now()).expect("the edge keeps up");
        let [Notice::Replay { age, .. }] = sent[..] else { panic!("{sent:?}") };
        assert_eq!(age.as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn the_age_of_what_is_relayed_is_how_long_it_waited_if_that_was_long() {
    let mut scene = Scene::new();
    scene.take(1, "a", None, false);
    scene.confirm();
    scene.news();
    for waited in [49, 50] {
        scene.event("a", "1");
        tokio::time::advance(Duration::from_millis(waited)).await;
        let sent = scene.news();
        let [Notice::Event { age, .. }] = sent[..] else { panic!("{sent:?}") };
        assert_eq!(age.as_millis(), if waited < 50 { 0 } else { 50 });
    }
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_takes_nothing_is_given_up_and_disturbs_nobody() {
    let mut scene = Scene::new();
    scene.take(1, "a", None, false);
    scene.confirm();
    scene.news();
    let slow = scene.edge;
    (scene.edge, _) = scene.holder.greeted(false);
    scene.notices();
    scene.take(1, "a", None, false);
    let large = "x".repeat(1024 * 1024);
    for _ in 0..40 {
        scene.event("a", &large);
        assert_eq!(scene.news().len(), 1 + usize::from(scene.holder.log.next() == 1));
    }
    assert_eq!(scene.holder.take_notices(slow, 1, Instant::now()), Err(OutletFull));
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_not_held_up_by_what_comes_live_as_fast_as_the_link_takes_it() {
    const PORTION: usize = 64 * 1024;
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let tick = scene.confirm();
    for _ in 0..100 {
        scene.event("a", "1");
    }
    scene.take(2, "busy", None, false);
    scene.confirm();
    scene.notices();
    scene.take(1, "a", Some(Position { tick, count: 0, check: None }), true);
    let busy = "x".repeat(PORTION - size_of::<Notice>());
    let is_taken = (0..5).any(|_| {
        scene.event("busy", &busy);
        let notices = scene.holder.take_notices(scene.edge, PORTION, Instant::now()).expect("the edge keeps up");
        notices.contains(&taken(0))
    });
    assert!(is_taken);
}

#[tokio::test(start_paused = true)]
async fn what_an_edge_of_unknown_position_may_have_seen_is_not_relayed_again() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.confirm();
    scene.event("a", "1");
    scene.news();
    scene.take(1, "a", Some(Position { tick: Tick::UNKNOWN, count: 0, check: None }), false);
    assert_eq!(scene.news(), []);
    // It was under way when the edge asked, which may have it from another node.
    scene.event("a", "2");
    assert_eq!(scene.news(), []);
    scene.own_tick();
    scene.event("a", "3");
    let gap = Notice::Gap { ask: 1, round: 1, cause: GapCause::UnknownTick };
    assert_eq!(scene.news(), [gap, taken(0), event(1, "3")]);
}
