//! What is said of events that are missing.

use super::*;

fn gap((ask, take): (u64, Take)) -> Notice {
    Notice::Gap { ask, round: take.round, cause: GapCause::BeforeSince }
}

#[test]
fn however_many_control_channels_have_gaps_they_are_made_up_for_once() {
    let [owner, ..] = line_of_succession();
    let mut scene = Scene::unwatched();
    let tokens = (0..100).map(|token| Channel::named(&format!("timeline:access_token:{token}")));
    scene.edge.want(tokens.collect(), scene.now);
    let gaps: Vec<Notice> = scene.takes(&owner).into_iter().map(gap).collect();
    assert!(gaps.len() > 10, "it owns a third of them");
    scene.hear(&owner, gaps);
    assert_eq!(*scene.received.0.lock(), ["missed"]);
}

#[test]
fn a_gap_counts_once_however_often_it_is_said() {
    let [owner, ..] = line_of_succession();
    let mut scene = Scene::new();
    let take = scene.take(&owner);
    scene.pass(2);
    scene.hear(&owner, vec![gap(take); 1_000]);
    assert!(scene.counted(r#"flodgatt_relay_gaps_total{cause="before_since"} 1"#));
}

#[test]
fn an_event_that_was_too_large_is_a_gap_between_those_around_it() {
    let [owner, ..] = line_of_succession();
    let mut scene = Scene::new();
    let ask = scene.give(&owner);
    let event = |message: &str| event(ask, message);
    scene.hear(&owner, vec![event("1"), event(""), event("3")]);
    assert_eq!(*scene.received.0.lock(), ["1", "3"]);
    assert!(scene.counted(r#"flodgatt_relay_gaps_total{cause="too_large"} 1"#));
}

/// Whether a gap is counted for a channel that somebody answers for so long after it was wanted.
fn is_gap_after(seconds: u64, was_ticking: bool) -> bool {
    let nodes = line_of_succession();
    let mut scene = Scene::unwatched();
    nodes.iter().for_each(|node| scene.hear(node, vec![Notice::Broken]));
    if !was_ticking {
        scene.pass_in_silence(5);
    }
    scene.edge.want(vec![channel()], scene.now);
    scene.pass_in_silence(seconds);
    let asked = nodes.iter().find_map(|node| Some((node, scene.takes(node).pop()?)));
    let (node, (ask, take)) = asked.expect("somebody is asked");
    scene.hear(node, vec![Notice::Tick(tick(9)), Notice::Up]);
    scene.hear(node, vec![Notice::Taken { ask, round: take.round, count: 0 }]);
    assert!(scene.edge.channels[&channel()].is_live_at(node));
    scene.counted(r#"flodgatt_relay_gaps_total{cause="source_lost"} 1"#)
}

#[test]
fn a_subscription_that_was_made_while_nobody_had_redis_has_missed_what_came_meanwhile() {
    assert!(is_gap_after(30, false));
    assert!(is_gap_after(30, true));
}

#[test]
fn that_a_subscription_takes_a_moment_is_no_gap() {
    assert!(!is_gap_after(0, false));
    assert!(!is_gap_after(1, true));
}
