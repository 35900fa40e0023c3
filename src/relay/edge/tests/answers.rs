//! Nodes that answer late, or never.

use super::*;

fn refused((ask, take): (u64, Take)) -> Vec<Notice> {
    vec![Notice::Refused { ask, round: take.round, cause: GapCause::BeforeSince }]
}

#[test]
fn a_channel_whose_owner_answers_nothing_is_taken_from_who_answers() {
    let [owner, standby, third] = line_of_succession();
    let mut scene = Scene::new();
    scene.take(&owner);
    scene.orders(&standby);
    scene.pass(5);
    let strict = scene.take(&standby);
    assert!(strict.1.strict);
    scene.hear(&standby, refused(strict));
    assert_eq!(scene.takes(&third), []);
    let lenient @ (ask, Take { round, strict, .. }) = scene.take(&standby);
    assert!(!strict, "the gap is accepted");
    let cause = GapCause::BeforeSince;
    scene.hear(&standby, vec![Notice::Gap { ask, round, cause }, Notice::Taken { ask, round, count: 0 }]);
    assert!(scene.edge.channels[&channel()].is_live_at(&standby), "{lenient:?}");
    for metric in [
        r#"flodgatt_relay_refusals_total{cause="no_answer"} 1"#,
        r#"flodgatt_relay_gaps_total{cause="before_since"} 1"#,
    ] {
        assert!(scene.counted(metric), "{metric} in\n{}", scene.metrics.page());
    }
}

#[test]
fn a_node_that_answers_others_has_more_time_to_answer() {
    let [owner, standby, _] = line_of_succession();
    let mut scene = Scene::new();
    scene.take(&owner);
    let is_its = |scene: &Scene, other: &Channel| scene.edge.ring.owner(other) == Some(&owner);
    let mut others = (1..).map(|account| Channel::named(&format!("timeline:{account}")));
    let other = others.find(|other| is_its(&scene, other)).expect("it owns many");
    scene.edge.want(vec![other], scene.now);
    let (ask, Take { round, .. }) = scene.take(&owner);
    for _ in 0..5 {
        scene.pass(2);
        let (message, age) = (Arc::from("{}"), Duration::ZERO);
        scene.hear(&owner, vec![Notice::Replay { ask, round, tick: tick(1), count: 1, age, message }]);
    }
    assert_eq!(scene.takes(&standby), []);
    scene.pass(10);
    assert_ne!(scene.takes(&standby), [], "but not for ever");
}

#[test]
fn a_fresh_channel_does_not_wait_for_ever_for_a_node_that_comes_and_goes() {
    let [owner, standby, third] = line_of_succession();
    let mut scene = Scene::new();
    for _ in 0..6 {
        scene.close(&owner);
        for node in [&standby, &third] {
            if let Some(take) = scene.takes(node).pop().filter(|(_, take)| take.strict) {
                scene.hear(node, refused(take));
            }
        }
        scene.pass(2);
        scene.open(&owner);
        scene.pass(1);
    }
    scene.close(&owner);
    scene.pass(2);
    let takes = [scene.takes(&standby), scene.takes(&third)].concat();
    assert!(takes.iter().any(|(_, take)| !take.strict), "{takes:?}");
}

#[test]
fn the_refusal_of_a_take_that_is_not_strict_is_no_answer() {
    let [owner, standby, _] = line_of_succession();
    let mut scene = Scene::new();
    let take = scene.take(&owner);
    scene.hear(&owner, refused(take));
    assert_eq!([scene.takes(&owner), scene.takes(&standby)], [[], []]);
}

#[test]
fn a_node_that_was_taken_from_though_it_was_not_able_counts_no_more_when_it_loses_redis() {
    let [owner, standby, third] = line_of_succession();
    let mut scene = Scene::new();
    for node in [&owner, &standby, &third] {
        scene.hear(node, vec![Notice::Broken]);
    }
    let nodes = [&owner, &standby, &third];
    let (node, (ask, Take { round, .. })) =
        nodes.iter().find_map(|node| Some((*node, scene.takes(node).pop()?))).expect("somebody is asked");
    scene.hear(node, vec![Notice::Taken { ask, round, count: 0 }]);
    assert!(scene.edge.channels[&channel()].is_live_at(node));
    scene.hear(node, vec![Notice::Broken]);
    assert!(!scene.edge.channels[&channel()].is_live_at(node));
}

#[test]
fn who_held_a_channel_before_its_link_was_lost_is_asked_before_a_gap_is_accepted() {
    let [owner, standby, third] = line_of_succession();
    let mut scene = Scene::new();
    scene.give(&owner);
    scene.hold(&standby);
    scene.close(&owner);
    scene.close(&standby);
    // They come back as two others have joined, and are not in charge any more.
    let is_in_charge = |ring: &Ring, node: &NodeId| {
        let holders = ring.holders(&channel()).expect("there are nodes");
        holders.owner == node || holders.standby == Some(node)
    };
    let joined = (0..).map(|number| [node(&format!("d{number}")), node(&format!("e{number}"))]);
    let joined = joined
        .take(1_000)
        .find(|[one, other]| {
            is_in_charge(&Ring::new([one, other, &standby, &third].map(Clone::clone)), one)
                && is_in_charge(&Ring::new([one, other, &standby, &third].map(Clone::clone)), other)
        })
        .expect("some would be in charge");
    for node in joined.iter().chain([&standby]) {
        scene.open(node);
    }
    let others = joined.iter().chain([&third]);
    for node in others.clone().chain(others.clone()).chain(others) {
        for take in scene.takes(node) {
            assert!(take.1.strict, "{node} is to give what it has");
            scene.hear(node, refused(take));
        }
    }
    let takes = scene.takes(&standby);
    assert!(matches!(takes[..], [(_, Take { strict: true, .. })]), "{takes:?}");
}

#[test]
fn after_a_stop_those_who_may_come_back_are_waited_for_anew() {
    let [owner, standby, third] = line_of_succession();
    let mut scene = Scene::new();
    scene.give(&owner);
    scene.hold(&standby);
    scene.pass(2);
    scene.close(&owner);
    for node in [&standby, &third, &standby, &third] {
        for take in scene.takes(node) {
            scene.hear(node, refused(take));
        }
    }
    scene.now += Duration::from_secs(10);
    scene.edge.has_slept(scene.now);
    scene.edge.settle(scene.now);
    assert_eq!([scene.takes(&standby), scene.takes(&third)], [[], []]);
}

#[test]
fn an_owner_that_ticks_and_answers_no_take_is_tried_less_and_less_often() {
    let [owner, standby, _] = line_of_succession();
    let mut scene = Scene::new();
    let (ask, _) = scene.take(&owner);
    scene.hear(&owner, vec![Notice::Held { ask, since: tick(1) }]);
    scene.orders(&standby);
    let mut tried = Vec::new();
    for second in 1..=300 {
        scene.pass(1);
        for (ask, Take { round, .. }) in scene.takes(&standby) {
            scene.hear(&standby, vec![Notice::Taken { ask, round, count: 0 }]);
        }
        if !scene.takes(&owner).is_empty() {
            tried.push(second);
        }
    }
    let pauses: Vec<i32> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() >= 2 && pauses.windows(2).all(|pair| pair[1] > pair[0] + 20), "{tried:?}");
}
