//! What is remembered while others are away.

use super::*;

impl Scene {
    /// The link ends, and there is another one.
    fn reconnect(&mut self) {
        self.holder.gone(self.edge, Instant::now());
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
    scene.holder.kept.most = 64 + 100;
    for name in ["a", "b", &"c".repeat(100)] {
        tokio::time::advance(Duration::from_secs(1)).await;
        scene.hold(1, name);
        scene.confirm();
        scene.reconnect();
    }
    assert_eq!(scene.holder.held(), BTreeSet::from([channel("b"), channel(&"c".repeat(100))]));
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
