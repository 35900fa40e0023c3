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
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let tick = scene.confirm();
    for _ in 0..3 {
        scene.event("a", &"x".repeat(300 * 1024));
    }
    scene.news();
    scene.take(1, "a", Some(Position { tick, count: 0, check: None }), true);
    let first = scene.holder.take_notices(scene.edge, 1, Instant::now()).expect("the edge keeps up");
    assert!(matches!(&first[..], [Notice::Replay { count: 1, .. }]), "{first:?}");
    for _ in 0..3 {
        scene.event("a", &"x".repeat(300 * 1024));
    }
    let counts = scene.news().into_iter().map(|notice| match notice {
        Notice::Replay { count, .. } => i64::from(count),
        Notice::Gap { cause: GapCause::Evicted, .. } => -1,
        Notice::Taken { count, .. } => -i64::from(count),
        other => panic!("{other:?}"),
    });
    let counts: Vec<_> = counts.collect();
    assert_eq!(counts, [-1, 4, 5, 6, -6]);
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
async fn an_edge_that_takes_nothing_is_given_up_and_disturbs_nobody() {
    let mut scene = Scene::new();
    scene.take(1, "a", None, false);
    scene.confirm();
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
