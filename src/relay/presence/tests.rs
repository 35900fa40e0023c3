use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::*;
use crate::{
    domain::{Framing, StreamRequest, Viewer, json, stream::FeedAccess},
    hub::{SessionHandle, Subscription},
    telemetry::Metrics,
};

/// Keys that were set, all of one call together, and how many of the next calls fail.
#[derive(Default)]
struct Keys {
    set: Mutex<Vec<Vec<String>>>,
    failures: Mutex<usize>,
}

impl Keys {
    fn set(&self, channels: &[Channel]) -> Result<(), &'static str> {
        let mut names: Vec<String> = channels.iter().map(Channel::to_string).collect();
        names.sort();
        self.set.lock().push(names);
        let mut failures = self.failures.lock();
        if *failures == 0 {
            return Ok(());
        }
        *failures -= 1;
        Err("redis is away")
    }

    /// What was set since it was last asked.
    fn take(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut self.set.lock())
    }
}

/// A hub whose keys are kept as long as this is there.
struct Kept {
    hub: Arc<Hub>,
    keys: Arc<Keys>,
    link: watch::Sender<LinkState>,
    task: tokio::task::JoinHandle<()>,
}

impl Kept {
    async fn new() -> Self {
        let (hub, keys) = (Arc::new(Hub::new(Arc::new(Metrics::default()))), Arc::<Keys>::default());
        let (link, state) = watch::channel(LinkState::Up);
        let (kept, own) = (Arc::clone(&hub), Arc::clone(&keys));
        let task = tokio::spawn(async move {
            keep(&kept, state, || kept.stream_channels(), |channels| std::future::ready(own.set(&channels))).await;
        });
        let kept = Self { hub, keys, link, task };
        // The first of the regular renewals, when nobody is there.
        assert!(kept.after(0).await.is_empty());
        kept
    }

    /// A session that opens the stream `user`.
    fn open(&self, account: i64) -> Arc<SessionHandle> {
        let viewer = Viewer::in_tests(account, "read:statuses");
        let session = Arc::new(SessionHandle::new(viewer, Framing::Text));
        self.hub.join(&session);
        let request = json::parse(r#"{"stream":"user"}"#).and_then(json::Value::object).unwrap();
        let stream = StreamRequest::from_message(&request).resolve(&session.viewer).unwrap();
        self.hub.subscribe(&session, &Arc::new(Subscription { stream, access: FeedAccess::OPEN }));
        session
    }

    /// Lets so much time pass, and everything happen that is due.
    async fn after(&self, seconds: u64) -> Vec<Vec<String>> {
        tokio::time::sleep(Duration::from_secs(seconds) + Duration::from_millis(1)).await;
        self.keys.take()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_set_at_once_and_then_every_six_minutes_as_long_as_a_stream_is_open() {
    let kept = Kept::new().await;
    let session = kept.open(7);
    assert_eq!(kept.after(0).await, [["timeline:7"]]);
    assert!(kept.after(350).await.is_empty());
    assert_eq!(kept.after(10).await, [["timeline:7"]]);
    assert!(kept.after(350).await.is_empty());
    kept.open(8);
    assert_eq!(kept.after(0).await, [["timeline:8"]]);
    assert_eq!(kept.after(10).await, [["timeline:7", "timeline:8"]]);
    kept.hub.leave(&session);
    assert_eq!(kept.after(360).await, [["timeline:8"]]);
}

#[tokio::test(start_paused = true)]
async fn a_second_session_on_the_same_channel_renews_its_key() {
    let kept = Kept::new().await;
    kept.open(7);
    assert_eq!(kept.after(0).await, [["timeline:7"]]);
    kept.open(7);
    assert_eq!(kept.after(0).await, [["timeline:7"]]);
}

#[tokio::test(start_paused = true)]
async fn keys_that_could_not_be_set_are_tried_again_with_all_others_until_they_are() {
    let kept = Kept::new().await;
    *kept.keys.failures.lock() = 3;
    kept.open(7);
    assert_eq!(kept.after(0).await, [["timeline:7"]]);
    kept.open(8);
    assert_eq!(kept.after(1).await, [["timeline:7", "timeline:8"]]);
    assert_eq!(kept.after(1).await.len(), 1);
    // What was asked for meanwhile may be set once more, but then there is peace.
    assert_eq!(kept.after(1).await[0], ["timeline:7", "timeline:8"]);
    assert!(kept.after(300).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_keys_are_set_anew_when_redis_comes_back() {
    let kept = Kept::new().await;
    kept.open(7);
    kept.open(8);
    kept.after(0).await;
    kept.link.send_replace(LinkState::Down { since: Instant::now(), reason: "it left".to_owned() });
    assert!(kept.after(5).await.is_empty());
    kept.link.send_replace(LinkState::Up);
    assert_eq!(kept.after(0).await, [["timeline:7", "timeline:8"]]);
}

/// A hub whose node owns the channel `timeline:9` and nothing else.
async fn owner_of_9() -> (Kept, impl Fn() -> Vec<Channel> + Clone) {
    (Kept::new().await, || vec![Channel::named("timeline:9")])
}

#[tokio::test(start_paused = true)]
async fn a_node_sets_the_keys_of_its_streams_and_of_what_it_owns_when_redis_comes_back() {
    let (mut kept, owned) = owner_of_9().await;
    kept.task.abort();
    let (hub, own, state) = (Arc::clone(&kept.hub), Arc::clone(&kept.keys), kept.link.subscribe());
    kept.task = tokio::spawn(async move {
        keep(&hub, state, owned, |channels| std::future::ready(own.set(&channels))).await;
    });
    let _session = kept.open(7);
    kept.after(0).await;
    *kept.keys.failures.lock() = 1;
    kept.link.send_replace(LinkState::Up);
    assert_eq!(kept.after(2).await, [["timeline:7", "timeline:9"], ["timeline:7", "timeline:9"]]);
    *kept.keys.failures.lock() = 1;
    let _other = kept.open(8);
    assert_eq!(kept.after(2).await, [vec!["timeline:8"], vec!["timeline:8", "timeline:9"]]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_sets_its_keys_anew_soon_after_redis_came_back() {
    let (mut kept, owned) = owner_of_9().await;
    kept.task.abort();
    let (own, state) = (Arc::clone(&kept.keys), kept.link.subscribe());
    kept.task = tokio::spawn(async move {
        let newly = Mutex::new(owned());
        let newly = || std::mem::take(&mut *newly.lock());
        take_over(state, owned, newly, |channels| std::future::ready(own.set(&channels))).await;
    });
    assert_eq!(kept.after(12).await, [["timeline:9"]]);
    kept.link.send_replace(LinkState::Up);
    assert_eq!(kept.after(12).await, [["timeline:9"]]);
}
