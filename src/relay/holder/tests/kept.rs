//! What is remembered while others are away.

use super::*;

impl Scene {
    /// The link ends, and there is another one.
    fn reconnect(&mut self) {
        self.holder.lost(self.edge, Instant::now());
        (self.edge, _) = self.holder.greeted(false);
        self.notices();
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_remembered_once_however_many_links_with_it_end() {
    let mut scene = Scene::new();
    for _ in 0..100 {
        tokio::time::advance(Duration::from_secs(1)).await;
        scene.hold(1, "a");
        scene.confirm();
        scene.reconnect();
    }
    assert_eq!(scene.holder.kept.len(), 1);
    tokio::time::advance(Duration::from_secs(59)).await;
    scene.own_tick();
    assert_eq!(scene.holder.held(), BTreeSet::from([channel("a")]));
    tokio::time::advance(Duration::from_secs(2)).await;
    scene.own_tick();
    assert!(scene.holder.held().is_empty() && scene.holder.kept.len() == 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_edges_that_are_gone_is_bounded_and_the_oldest_goes() {
    let mut scene = Scene::new();
    scene.holder.kept.most = 2 * 640 + 300;
    for name in ["a", "b", &"c".repeat(140)] {
        tokio::time::advance(Duration::from_secs(1)).await;
        scene.hold(1, name);
        scene.confirm();
        scene.reconnect();
    }
    assert_eq!(scene.holder.held(), BTreeSet::from([channel("b"), channel(&"c".repeat(140))]));
}

#[tokio::test(start_paused = true)]
async fn channels_that_were_never_subscribed_are_left_with_the_link_that_asked_for_them() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.confirm();
    scene.hold(2, "b");
    scene.reconnect();
    assert_eq!(scene.holder.held(), BTreeSet::from([channel("a")]));
    scene.hold(1, "c");
    assert_eq!(scene.told, ["+a", "+b", "+c", "-b"]);
}

#[tokio::test(start_paused = true)]
async fn ticks_that_cannot_be_published_are_not_remembered_one_by_one() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.holder.subscribed(scene.changes);
    for _ in 0..10_000 {
        scene.holder.next_tick();
    }
    assert_eq!(scene.holder.under_way.len(), 1);
    for change in 2..10_000 {
        scene.holder.subscribed(change);
        scene.holder.next_tick();
    }
    assert!(scene.holder.under_way.len() < 2_000);
    scene.own_tick();
    assert!(matches!(scene.news()[..], [Notice::Held { .. }]));
}

#[tokio::test(start_paused = true)]
async fn channels_that_come_and_go_while_redis_is_away_are_not_remembered_each_time() {
    let mut scene = Scene::new();
    scene.hold(1, "a");
    scene.confirm();
    scene.holder.broken();
    for ask in 1..1_000 {
        scene.order(ask, Order::Release);
        scene.hold(ask + 1, "a");
    }
    assert_eq!(scene.holder.left.len(), 1);
    scene.holder.connected();
    let since = scene.confirm();
    scene.event("a", "1");
    assert_eq!(scene.holder.left.len(), 0);
    assert_eq!(scene.news(), [Notice::Broken, Notice::Up, Notice::Held { ask: 1_000, since }]);
    assert_eq!(scene.holder.log.next(), 1, "what comes now counts");
}

#[tokio::test(start_paused = true)]
async fn however_many_channels_are_left_while_redis_is_away_not_all_are_remembered() {
    let mut scene = Scene::new();
    scene.holder.broken();
    for ask in 0..110_000 {
        let channel = channel(&ask.to_string());
        scene.holder.order(scene.edge, ask, Order::Hold(channel)).expect("each is asked for once");
        scene.holder.order(scene.edge, ask, Order::Release).expect("a release is always possible");
    }
    scene.holder.place_orders(|_, _| 1);
    assert_eq!(scene.holder.left.len(), 100_000);
}

#[tokio::test(start_paused = true)]
async fn however_many_channels_are_kept_they_are_left_in_portions() {
    const MANY: usize = 2 * PORTION + 1;
    let mut scene = Scene::new();
    for ask in 0..MANY {
        let channel = channel(&ask.to_string());
        scene.holder.order(scene.edge, ask as u64, Order::Hold(channel)).expect("each is asked for once");
    }
    scene.holder.place_orders(|_, _| 1);
    scene.holder.subscribed(1);
    scene.own_tick();
    scene.reconnect();
    tokio::time::advance(Duration::from_secs(61)).await;
    let left = [0; 3].map(|_| {
        scene.own_tick();
        scene.holder.held().len()
    });
    assert_eq!(left, [MANY - PORTION, MANY - 2 * PORTION, 0]);
}
