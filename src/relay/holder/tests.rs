mod kept;
mod many;
mod mute;
mod replay;

use super::*;
use crate::relay::{
    message::{GapCause, Take},
    position::{Position, check},
};

const OWN: u64 = 7;

/// A holder with one edge, at a Redis that does at once what it is told.
struct Scene {
    holder: Holder,
    edge: EdgeKey,
    changes: u64,
    /// What upstream was told: `+` and `-` with channels.
    told: Vec<String>,
}

fn channel(name: &str) -> Channel {
    Channel::named(name)
}

fn limits() -> Limits {
    Limits { age: Duration::from_secs(60), bytes: 1024 * 1024 }
}

fn tick(counter: u64) -> Tick {
    Tick { incarnation: OWN, counter }
}

impl Scene {
    fn new() -> Self {
        Self::with(limits())
    }

    fn with(limits: Limits) -> Self {
        let mut holder = Holder::new(OWN, limits);
        holder.connected();
        let tick = holder.next_tick();
        holder.ticked(tick, Instant::now());
        let (edge, _) = holder.greeted(false);
        let mut scene = Self { holder, edge, changes: 0, told: Vec::new() };
        scene.notices();
        scene
    }

    fn order(&mut self, ask: u64, order: Order) {
        self.holder.order(self.edge, ask, order).expect("each channel is asked for once");
        let (changes, told) = (&mut self.changes, &mut self.told);
        self.holder.place_orders(|subscribe, unsubscribe| {
            *changes += 1;
            told.extend(subscribe.iter().map(|channel| format!("+{channel}")));
            told.extend(unsubscribe.iter().map(|channel| format!("-{channel}")));
            *changes
        });
    }

    fn hold(&mut self, ask: u64, name: &str) {
        self.order(ask, Order::Hold(channel(name)));
    }

    fn take(&mut self, ask: u64, name: &str, from: Option<Position>, strict: bool) {
        self.order(ask, Order::Take(channel(name), Take { round: 1, from, strict }));
    }

    /// Upstream has done what it was told, and the next own tick comes back.
    fn confirm(&mut self) -> Tick {
        self.holder.subscribed(self.changes);
        self.own_tick()
    }

    fn own_tick(&mut self) -> Tick {
        let tick = self.holder.next_tick();
        self.holder.ticked(tick, Instant::now());
        tick
    }

    fn event(&mut self, name: &str, message: &str) {
        self.holder.received(name, message, Instant::now());
    }

    fn notices(&mut self) -> Vec<Notice> {
        self.holder.take_notices(self.edge, usize::MAX, Instant::now()).expect("the edge keeps up")
    }

    /// Without ticks.
    fn news(&mut self) -> Vec<Notice> {
        self.notices().into_iter().filter(|notice| !matches!(notice, Notice::Tick(_))).collect()
    }
}

fn position(tick: Tick, count: u32, last: &str) -> Position {
    Position { tick, count, check: Some(check(last)) }
}

fn event(ask: u64, message: &str) -> Notice {
    Notice::Event { ask, age: Duration::ZERO, message: message.into() }
}

fn replay(tick: Tick, count: u32, message: &str) -> Notice {
    Notice::Replay { ask: 1, round: 1, tick, count, age: Duration::ZERO, message: message.into() }
}

fn taken(count: u32) -> Notice {
    Notice::Taken { ask: 1, round: 1, count }
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_subscribed_once_for_all_and_left_after_the_last() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let first = std::mem::replace(&mut scene.edge, scene.holder.greeted(false).0);
    scene.take(2, "a", None, false);
    scene.holder.order(first, 1, Order::Release).expect("a release is always possible");
    assert_eq!(scene.told, ["+a"]);
    scene.order(2, Order::Release);
    assert_eq!(scene.told, ["+a", "-a"]);
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_confirmed_by_the_first_own_tick_that_was_sent_after_the_subscription() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.own_tick();
    assert_eq!(scene.news(), []);
    let since = scene.confirm();
    assert_eq!(scene.news(), [Notice::Held { ask: 1, since }]);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_subscription_does_not_confirm_a_later_one() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let first = scene.changes;
    scene.order(1, Order::Release);
    scene.hold(2, "a");
    scene.holder.subscribed(first);
    scene.own_tick();
    assert_eq!(scene.news(), []);
    let since = scene.confirm();
    assert_eq!(scene.news(), [Notice::Held { ask: 2, since }]);
}

#[tokio::test(start_paused = true)]
async fn who_takes_without_a_position_gets_what_came_since_and_nothing_older() {
    let mut scene = Scene::new();
    scene.hold(9, "a");
    (scene.edge, _) = scene.holder.greeted(false);
    scene.notices();
    scene.event("a", "older");
    scene.take(1, "a", None, false);
    scene.event("a", "while it was not confirmed");
    let since = scene.confirm();
    scene.event("a", "later");
    let expected = [
        Notice::Held { ask: 1, since },
        replay(Tick::UNKNOWN, 2, "while it was not confirmed"),
        replay(since, 1, "later"),
        taken(1),
    ];
    assert_eq!(scene.news(), expected);
    scene.event("a", "live");
    assert_eq!(scene.news(), [event(1, "live")]);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_subscription_left_on_its_way_is_nobodys() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.confirm();
    scene.order(1, Order::Release);
    scene.take(2, "a", None, false);
    scene.event("a", "of the first subscription");
    scene.holder.subscribed(scene.changes);
    scene.event("a", "of the first subscription, overtaken by the news of the second one");
    scene.own_tick();
    scene.event("a", "of the second one");
    let messages = scene.notices().into_iter().filter_map(|notice| match notice {
        Notice::Replay { message, .. } | Notice::Event { message, .. } => Some(message.to_string()),
        _ => None,
    });
    assert_eq!(messages.collect::<Vec<_>>(), ["of the second one"]);
}

#[tokio::test(start_paused = true)]
async fn who_takes_from_a_position_gets_all_that_came_after_it_once() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let first = scene.confirm();
    for message in ["1", "2", "3"] {
        scene.event("a", message);
    }
    let second = scene.own_tick();
    scene.event("a", "4");
    scene.news();
    scene.take(1, "a", Some(position(first, 2, "2")), true);
    assert_eq!(scene.news(), [replay(first, 3, "3"), replay(second, 1, "4"), taken(1)]);
    scene.event("a", "5");
    assert_eq!(scene.news(), [event(1, "5")]);
}

#[tokio::test(start_paused = true)]
async fn equal_events_are_neither_merged_nor_doubled() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let tick = scene.confirm();
    for _ in 0..4 {
        scene.event("a", "same");
    }
    scene.news();
    scene.take(1, "a", Some(position(tick, 2, "same")), true);
    assert_eq!(scene.news(), [replay(tick, 3, "same"), replay(tick, 4, "same"), taken(4)]);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_others_reached_first_is_waited_for() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let tick = scene.confirm();
    scene.event("a", "1");
    scene.news();
    scene.take(1, "a", Some(position(tick, 2, "2")), true);
    assert_eq!(scene.news(), []);
    scene.event("a", "2");
    assert_eq!(scene.news(), [taken(2)]);
    let tick_99 = self::tick(99);
    scene.take(1, "a", Some(position(tick_99, 0, "2")), true);
    assert_eq!(scene.news(), []);
    scene.holder.ticked(tick_99, Instant::now());
    assert_eq!(scene.news(), [taken(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_tick_is_not_waited_for_when_everything_has_arrived_that_the_edge_had() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let since = scene.confirm();
    scene.event("a", "1");
    scene.news();
    let (missed, cause) = (Some(position(Tick { incarnation: 3, counter: 1 }, 2, "0")), GapCause::UnknownTick);
    scene.take(1, "a", missed, true);
    assert!(scene.news().is_empty() && scene.holder.wants_tick());
    scene.own_tick();
    assert_eq!(scene.news(), [Notice::Held { ask: 1, since }, Notice::Refused { ask: 1, round: 1, cause }]);
    // It came before the subscription counted: all since then is new to the edge.
    scene.take(1, "a", missed, false);
    scene.own_tick();
    assert_eq!(scene.news(), [Notice::Gap { ask: 1, round: 1, cause }, replay(since, 1, "1"), taken(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_position_from_before_the_subscription_is_refused_or_begins_with_a_gap() {
    let mut scene = Scene::new();
    let before = scene.own_tick();
    scene.hold(1, "a");
    let since = scene.confirm();
    scene.event("a", "1");
    scene.news();
    let (from, cause) = (Some(Position { tick: before, count: 0, check: None }), GapCause::BeforeSince);
    scene.take(1, "a", from, true);
    assert_eq!(scene.news(), [Notice::Held { ask: 1, since }, Notice::Refused { ask: 1, round: 1, cause }]);
    scene.take(1, "a", from, false);
    assert_eq!(scene.news(), [Notice::Gap { ask: 1, round: 1, cause }, replay(since, 1, "1"), taken(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_position_whose_followers_were_evicted_is_refused_but_not_one_in_an_idle_channel() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.hold(2, "idle");
    let tick = scene.confirm();
    scene.event("a", "1");
    scene.event("a", "2");
    scene.event("idle", "1");
    tokio::time::advance(Duration::from_secs(61)).await;
    scene.own_tick();
    scene.news();
    scene.take(1, "a", Some(position(tick, 1, "1")), true);
    scene.order(2, Order::Take(channel("idle"), Take { round: 1, from: Some(position(tick, 1, "1")), strict: true }));
    let cause = GapCause::Evicted;
    assert_eq!(
        scene.news(),
        [
            Notice::Held { ask: 1, since: tick },
            Notice::Refused { ask: 1, round: 1, cause },
            Notice::Taken { ask: 2, round: 1, count: 0 }
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_position_at_which_something_else_stands_is_refused() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let tick = scene.confirm();
    scene.event("a", "1");
    scene.own_tick();
    scene.news();
    for wrong in [position(tick, 1, "another"), position(tick, 2, "1")] {
        scene.take(1, "a", Some(wrong), true);
        let (held, cause) = (Notice::Held { ask: 1, since: tick }, GapCause::CheckFailed);
        assert_eq!(scene.news(), [held, Notice::Refused { ask: 1, round: 1, cause }]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_break_voids_what_was_held_until_it_is_confirmed_anew() {
    let mut scene = Scene::new();
    scene.take(1, "a", None, false);
    let before = scene.confirm();
    scene.news();
    scene.holder.broken();
    scene.event("a", "from nowhere");
    scene.holder.subscribed(scene.changes);
    scene.holder.connected();
    let since = scene.own_tick();
    assert_eq!(scene.news(), [Notice::Broken, Notice::Up, Notice::Held { ask: 1, since }]);
    scene.take(1, "a", Some(Position { tick: before, count: 0, check: None }), true);
    let (held, cause) = (Notice::Held { ask: 1, since }, GapCause::BeforeSince);
    assert_eq!(scene.news(), [held, Notice::Refused { ask: 1, round: 1, cause }]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_were_lost_on_the_way_void_what_was_held() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.confirm();
    scene.news();
    scene.holder.lagged();
    let since = scene.own_tick();
    assert_eq!(scene.news(), [Notice::Broken, Notice::Up, Notice::Held { ask: 1, since }]);
}

#[tokio::test(start_paused = true)]
async fn what_an_edge_asked_for_is_kept_for_a_while_after_its_link_is_gone() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let tick = scene.confirm();
    scene.holder.lost(scene.edge, Instant::now());
    scene.event("a", "1");
    (scene.edge, _) = scene.holder.greeted(false);
    scene.notices();
    scene.take(1, "a", Some(Position { tick, count: 0, check: None }), true);
    assert_eq!(scene.news(), [replay(tick, 1, "1"), taken(1)]);
    scene.holder.lost(scene.edge, Instant::now());
    tokio::time::advance(Duration::from_secs(61)).await;
    scene.own_tick();
    (scene.edge, _) = scene.holder.greeted(false);
    scene.hold(1, "b");
    assert_eq!(scene.told, ["+a", "+b", "-a"]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_full_before_its_time_says_so() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.confirm();
    scene.event("a", &"x".repeat(1024 * 1024));
    scene.event("a", "1");
    assert_eq!(scene.holder.take_overrun(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_came_after_a_fresh_take_and_was_evicted_before_it_was_answered_is_a_gap() {
    let mut scene = Scene::with(Limits { bytes: 1, ..limits() });
    scene.take(1, "a", None, false);
    scene.event("a", "1");
    scene.event("a", "2");
    let since = scene.confirm();
    let cause = GapCause::Evicted;
    assert_eq!(scene.news(), [Notice::Held { ask: 1, since }, Notice::Gap { ask: 1, round: 1, cause }, taken(0)]);
    // Not if it was evicted before.
    scene.take(1, "a", None, false);
    assert_eq!(scene.news(), [taken(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_has_left_when_no_other_node_asks_it() {
    let mut scene = Scene::new();
    let (own, _) = scene.holder.greeted(true);
    scene.holder.order(own, 1, Order::Hold(channel("a"))).expect("each channel is asked for once");
    scene.hold(1, "a");
    scene.holder.leaving();
    assert!(!scene.holder.has_left());
    scene.order(1, Order::Release);
    assert!(scene.holder.has_left());
}

#[tokio::test(start_paused = true)]
async fn an_edge_may_have_one_ask_for_a_channel_on_a_link() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.take(1, "a", None, false);
    let edge = scene.edge;
    assert_eq!(scene.holder.order(edge, 2, Order::Hold(channel("a"))), Err(AskedTwice));
    scene.order(1, Order::Release);
    scene.hold(2, "a");
    let (another, _) = scene.holder.greeted(false);
    assert_eq!(scene.holder.order(another, 1, Order::Hold(channel("a"))), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_has_left_when_no_other_node_could_take_over() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.holder.leaving();
    scene.holder.has_heir(false);
    assert!(scene.holder.has_left());
    scene.holder.has_heir(true);
    assert!(!scene.holder.has_left());
}

#[tokio::test(start_paused = true)]
async fn a_channel_with_a_key_is_newly_relayed_once_when_the_first_edge_has_taken_it() {
    let mut scene = Scene::new();
    let control = "timeline:access_token:1";
    for (ask, name) in [(1, "a"), (2, "b"), (3, control)] {
        scene.hold(ask, name);
    }
    scene.confirm();
    scene.take(1, "a", None, false);
    scene.take(3, control, None, false);
    scene.notices();
    assert_eq!(scene.holder.newly_relayed(), [channel("a")]);
    assert_eq!(scene.holder.relayed(), [channel("a")]);
    (scene.edge, _) = scene.holder.greeted(false);
    scene.take(1, "a", None, false);
    scene.take(2, "b", None, false);
    scene.notices();
    scene.order(2, Order::Release);
    assert!(scene.holder.newly_relayed().is_empty());
}
