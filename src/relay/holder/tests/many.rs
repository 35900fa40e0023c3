//! What is said of more channels at once than there is room for in an outlet.

use super::*;
use crate::relay::message::LARGEST_EVENT;

/// Two notices for each have no room.
const MANY: u64 = 32 * 1024 * 1024 / size_of::<Notice>() as u64 / 2 + 1_000;

/// Orders for as many asks as channels.
fn order_many(scene: &mut Scene, asks: u64, order: impl Fn(Channel) -> Order) {
    for ask in 0..asks {
        scene.holder.order(scene.edge, ask, order(channel(&ask.to_string()))).expect("each is asked for once");
    }
    scene.changes += 1;
    scene.holder.place_orders(|_, _| scene.changes);
}

/// How many of these notices come for different asks, with all that is said meanwhile.
fn asks_told(scene: &mut Scene, is_one: impl Fn(&Notice) -> Option<u64>) -> u64 {
    let mut asks = HashSet::new();
    loop {
        let notices = scene.holder.take_notices(scene.edge, 64 * 1024, Instant::now()).expect("nothing overflows");
        if notices.is_empty() {
            return asks.len() as u64;
        }
        asks.extend(notices.iter().filter_map(&is_one));
    }
}

fn held(notice: &Notice) -> Option<u64> {
    if let Notice::Held { ask, .. } = notice { Some(*ask) } else { None }
}

#[tokio::test(start_paused = true)]
async fn however_many_channels_are_confirmed_and_taken_at_once_the_edge_keeps_up() {
    let mut scene = Scene::new();
    order_many(&mut scene, MANY, |channel| Order::Take(channel, Take { round: 1, from: None, strict: false }));
    scene.confirm();
    let last = MANY - 1;
    scene.event(&last.to_string(), "1");
    let (mut confirmed, mut taken, mut news) = (HashSet::new(), HashSet::new(), Vec::new());
    while (taken.len() as u64) < MANY {
        for notice in scene.holder.take_notices(scene.edge, 64 * 1024, Instant::now()).expect("nothing overflows") {
            match notice {
                Notice::Held { ask, .. } => drop(confirmed.insert(ask)),
                Notice::Taken { ask, .. } => drop(taken.insert(ask)),
                Notice::Event { ask, .. } | Notice::Replay { ask, .. } => news.push(ask),
                _ => {}
            }
        }
    }
    assert_eq!(confirmed, taken);
    assert_eq!(news, [last], "what came meanwhile comes once");
    let from = Some(Position { tick: Tick::UNKNOWN, count: 0, check: None });
    order_many(&mut scene, MANY, |channel| Order::Take(channel, Take { round: 2, from, strict: true }));
    let refused = |notice: &Notice| if let Notice::Refused { ask, .. } = notice { Some(*ask) } else { None };
    assert_eq!(asks_told(&mut scene, refused), MANY);
}

#[tokio::test(start_paused = true)]
async fn what_was_released_is_not_confirmed_though_it_waited_for_its_turn() {
    let mut scene = Scene::new();
    order_many(&mut scene, 30_000, Order::Hold);
    scene.confirm();
    order_many(&mut scene, 30_000, |_| Order::Release);
    let told = asks_told(&mut scene, held);
    assert!(told < 20_000, "{told}");
}

#[tokio::test(start_paused = true)]
async fn the_largest_event_is_replayed_whatever_comes_meanwhile() {
    let limits = Limits { age: Duration::from_secs(60), bytes: usize::MAX };
    let mut scene = Scene { holder: Holder::new(OWN, limits), ..Scene::new() };
    scene.holder.connected();
    (scene.edge, _) = scene.holder.greeted(false);
    scene.hold(1, "a");
    let tick = scene.confirm();
    // Just not enough, so that the large one waits with it.
    let (some, largest) = ("x".repeat(1_000_000), "x".repeat(LARGEST_EVENT));
    scene.event("a", &some);
    scene.event("a", &largest);
    scene.news();
    scene.take(1, "a", Some(Position { tick, count: 0, check: None }), true);
    let mut replayed = Vec::new();
    while replayed.len() < 2 {
        let notices = scene.holder.take_notices(scene.edge, 65_536, Instant::now()).expect("the edge keeps up");
        replayed.extend(notices.into_iter().filter_map(|notice| match notice {
            Notice::Replay { message, .. } => Some(message.len()),
            _ => None,
        }));
        scene.own_tick();
    }
    assert_eq!(replayed, [some.len(), largest.len()]);
}

#[tokio::test(start_paused = true)]
async fn many_fresh_takes_want_few_ticks_and_each_is_looked_at_a_few_times() {
    const CHANGES: u64 = 1_000;
    const EACH: u64 = 100;
    let mut scene = Scene::new();
    let (mut wanted, mut under_way) = (0, VecDeque::new());
    for change in 1..=CHANGES {
        for ask in (change - 1) * EACH..change * EACH {
            let take = Take { round: 1, from: None, strict: false };
            let order = Order::Take(channel(&ask.to_string()), take);
            scene.holder.order(scene.edge, ask, order).expect("each is asked for once");
        }
        scene.holder.place_orders(|_, _| change);
        // Redis and the ticks lag behind by some changes.
        scene.holder.subscribed(change.saturating_sub(3));
        under_way.push_back(scene.holder.wants_tick().then(|| scene.holder.next_tick()));
        if under_way.len() > 2
            && let Some(tick) = under_way.pop_front().flatten()
        {
            wanted += 1;
            scene.holder.ticked(tick, Instant::now());
            while scene.holder.wants_tick() {
                wanted += 1;
                let next = scene.holder.next_tick();
                scene.holder.ticked(next, Instant::now());
            }
        }
        scene.holder.ticked(Tick { incarnation: 3, counter: change }, Instant::now());
        scene.notices();
    }
    assert!(wanted > CHANGES / 2 && wanted <= CHANGES, "{wanted} ticks were wanted");
    let looks = scene.holder.looks;
    assert!((CHANGES * EACH..=3 * CHANGES * EACH).contains(&looks), "takes were looked at {looks} times");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_wanted_while_what_is_not_confirmed_was_ordered_after_what_redis_has_done() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.confirm();
    scene.hold(2, "b");
    assert!(!scene.holder.wants_tick());
    scene.holder.subscribed(scene.changes);
    assert!(scene.holder.wants_tick());
    scene.holder.next_tick();
    assert!(!scene.holder.wants_tick());
}

#[tokio::test(start_paused = true)]
async fn of_many_takes_of_one_ask_only_the_last_is_worked_out() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    let tick = scene.confirm();
    scene.event("a", "1");
    scene.notices();
    let from = Some(Position { tick, count: 0, check: None });
    for round in 1..=10_000 {
        scene.order(1, Order::Take(channel("a"), Take { round, from, strict: true }));
    }
    let said = scene.news();
    assert!(
        matches!(said[..], [Notice::Replay { round: 10_000, .. }, Notice::Taken { round: 10_000, .. }]),
        "{said:?}"
    );
    assert!(scene.holder.looks < 5, "{}", scene.holder.looks);
}
