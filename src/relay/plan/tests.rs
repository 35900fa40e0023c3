use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn node(name: &str) -> NodeId {
    name.parse().expect("the name is one of a node")
}

fn asked(name: &str) -> Asked {
    Asked {
        node: node(name),
        is_able: true,
        confirmed: Some(Instant::now()),
        is_passed: true,
        standing: Standing::Good,
        taken: None,
        relays: false,
    }
}

/// What is planned if `a` is owner and `b` standby.
fn planned(asked: &[Asked], source: &Source, has_position: bool) -> Vec<Step> {
    let (owner, standby) = (node("a"), node("b"));
    plan(&Situation {
        owner: &owner,
        standby: Some(&standby),
        asked,
        former: &[],
        source,
        has_position,
        may_wait: false,
    })
}

fn live(name: &str) -> Source {
    Source::Live { node: node(name) }
}

fn take(name: &str, strict: bool) -> Step {
    Step::Take { node: node(name), strict }
}

#[test]
fn a_fresh_channel_is_taken_from_the_owner_and_held_by_the_standby() {
    assert_eq!(planned(&[], &Source::None, false), [Step::Hold(node("b")), take("a", false)]);
}

#[test]
fn nothing_is_done_when_the_owner_relays_and_the_standby_holds() {
    let owner = Asked { relays: true, ..asked("a") };
    assert_eq!(planned(&[owner, asked("b")], &live("a"), true), []);
}

#[test]
fn after_the_source_is_gone_a_confirmed_holder_is_taken_from() {
    assert_eq!(planned(&[asked("b")], &Source::None, true), [Step::Hold(node("a")), take("b", true)]);
}

#[test]
fn the_old_source_goes_on_until_the_new_owner_is_ready() {
    let old = Asked { relays: true, ..asked("c") };
    for owner in [Asked { confirmed: None, ..asked("a") }, Asked { is_passed: false, ..asked("a") }] {
        assert_eq!(planned(&[owner, asked("b"), old.clone()], &live("c"), true), []);
    }
    assert_eq!(planned(&[asked("a"), asked("b"), old], &live("c"), true), [take("a", true)]);
}

#[test]
fn nothing_is_released_before_the_standby_has_confirmed() {
    let owner = Asked { relays: true, ..asked("a") };
    let unconfirmed = Asked { confirmed: None, ..asked("b") };
    assert_eq!(planned(&[owner.clone(), unconfirmed, asked("c")], &live("a"), true), []);
    assert_eq!(planned(&[owner, asked("b"), asked("c")], &live("a"), true), [Step::Release(node("c"))]);
}

#[test]
fn an_old_owner_that_is_the_standby_now_stops_relaying() {
    let (owner, old) = (Asked { relays: true, ..asked("a") }, Asked { relays: true, ..asked("b") });
    assert_eq!(planned(&[owner, old], &live("a"), true), [Step::Hold(node("b"))]);
}

#[test]
fn a_gap_is_accepted_only_when_everybody_has_refused() {
    let refused = |name| Asked { standing: Standing::Refused, ..asked(name) };
    assert_eq!(planned(&[refused("a"), asked("b")], &Source::None, true), [take("b", true)]);
    assert_eq!(planned(&[refused("a"), refused("b"), asked("c")], &Source::None, true), [take("c", true)]);
    assert_eq!(planned(&[refused("a"), refused("b")], &Source::None, true), [take("a", false)]);
}

#[test]
fn a_gap_is_accepted_from_who_has_held_for_longest() {
    let refused = |name, ago| {
        let confirmed = Instant::now().checked_sub(Duration::from_secs(ago));
        Asked { standing: Standing::Refused, confirmed, ..asked(name) }
    };
    let unconfirmed = Asked { confirmed: None, ..refused("c", 0) };
    let planned = planned(&[refused("a", 1), refused("b", 50), unconfirmed], &Source::None, true);
    assert_eq!(planned, [take("b", false)]);
}

#[test]
fn who_held_the_channel_before_is_asked_before_a_gap_is_accepted() {
    let refused = |name| Asked { standing: Standing::Refused, ..asked(name) };
    let (owner, standby) = (node("a"), node("b"));
    let situation = Situation {
        owner: &owner,
        standby: Some(&standby),
        asked: &[refused("a"), refused("b")],
        former: &[node("d")],
        source: &Source::None,
        has_position: true,
        may_wait: false,
    };
    assert_eq!(plan(&situation), [take("d", true)]);
}

#[test]
fn a_gap_is_not_accepted_while_somebody_may_come_back() {
    let refused = |name| Asked { standing: Standing::Refused, ..asked(name) };
    let (owner, standby, asked) = (node("a"), node("b"), [refused("a"), refused("b")]);
    let (source, standby) = (&Source::None, Some(&standby));
    let situation =
        Situation { owner: &owner, standby, asked: &asked, former: &[], source, has_position: true, may_wait: true };
    assert_eq!(plan(&situation), []);
}

#[test]
fn a_gap_is_accepted_from_somebody_who_answers_rather_than_from_the_owner_that_does_not() {
    let late = Asked { standing: Standing::Late, ..asked("a") };
    let refused = Asked { standing: Standing::Refused, ..asked("b") };
    assert_eq!(planned(&[late, refused], &Source::None, true), [take("b", false)]);
}

#[test]
fn who_did_not_answer_is_asked_again_before_a_gap_is_accepted() {
    let (owner, standby) = (node("a"), node("b"));
    let late = Asked { standing: Standing::Late, ..asked("b") };
    let refused = Asked { standing: Standing::Refused, ..asked("a") };
    let (asked, source, standby) = ([refused, late], &Source::None, Some(&standby));
    let situation =
        Situation { owner: &owner, standby, asked: &asked, former: &[], source, has_position: true, may_wait: true };
    assert_eq!(plan(&situation), [take("b", true)]);
}

#[test]
fn those_who_do_not_answer_are_tried_in_turn() {
    let now = Instant::now();
    let late = |name, taken| Asked { standing: Standing::Late, taken: Some(taken), ..asked(name) };
    let (earlier, later) = (now, now + std::time::Duration::from_secs(3));
    for has_position in [false, true] {
        let asked = [late("a", later), late("b", earlier)];
        assert_eq!(planned(&asked, &Source::None, has_position), [take("b", false)]);
    }
}

fn some_asked() -> impl Strategy<Value = Vec<Asked>> {
    let one = |name: &'static str| {
        let standing = proptest::sample::select(vec![Standing::Good, Standing::Refused, Standing::Late]);
        let flags = (any::<bool>(), any::<bool>(), any::<bool>(), standing, any::<bool>());
        proptest::option::of(flags).prop_map(move |flags| {
            flags.map(|(is_able, is_confirmed, is_passed, standing, relays)| Asked {
                node: node(name),
                is_able,
                confirmed: is_confirmed.then(Instant::now),
                is_passed,
                standing,
                taken: None,
                relays,
            })
        })
    };
    (one("a"), one("b"), one("c"), one("d")).prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect())
}

fn some_source() -> impl Strategy<Value = Source> {
    let name = proptest::sample::select(vec!["a", "b", "c", "d"]);
    (name, 0..3).prop_map(|(name, kind)| match kind {
        0 => Source::None,
        1 => Source::Taking { node: node(name), round: 1 },
        _ => live(name),
    })
}

proptest! {
    #[test]
    fn a_wanted_channel_never_stays_without_a_source(asked in some_asked(), has_position: bool) {
        let steps = planned(&asked, &Source::None, has_position);
        prop_assert_eq!(steps.iter().filter(|step| matches!(step, Step::Take { .. })).count(), 1);
    }

    #[test]
    fn no_node_is_told_two_things(asked in some_asked(), source in some_source(), has_position: bool) {
        let mut nodes: Vec<_> = planned(&asked, &source, has_position)
            .into_iter()
            .map(|step| match step {
                Step::Hold(node) | Step::Take { node, .. } | Step::Release(node) => node,
            })
            .collect();
        nodes.sort();
        let count = nodes.len();
        nodes.dedup();
        prop_assert_eq!(nodes.len(), count);
    }

    #[test]
    fn nobody_is_told_what_it_was_told_already(asked in some_asked(), source in some_source(), has_position: bool) {
        let counts = match &source {
            Source::None => None,
            Source::Taking { node, .. } | Source::Live { node } => Some(node),
        };
        for step in planned(&asked, &source, has_position) {
            let known = |node: &NodeId| asked.iter().find(|asked| asked.node == *node);
            let is_new = match &step {
                Step::Hold(node) => known(node).is_none_or(|asked| asked.relays),
                Step::Take { node, .. } => counts != Some(node),
                Step::Release(node) => known(node).is_some(),
            };
            prop_assert!(is_new, "{:?}", step);
        }
    }

    #[test]
    fn whoever_counts_is_never_released(asked in some_asked(), source in some_source()) {
        let (Source::Live { node } | Source::Taking { node, .. }) = &source else { return Ok(()) };
        prop_assert!(!planned(&asked, &source, true).contains(&Step::Release(node.clone())));
    }
}
