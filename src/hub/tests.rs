use std::time::Duration;

use super::*;
use crate::domain::{Framing, StreamRequest, Viewer, json, stream::FeedAccess};

const USER: &str = r#"{"stream":"user"}"#;
const PUBLIC: &str = r#"{"stream":"public"}"#;

fn session(account: i64) -> Arc<SessionHandle> {
    let viewer = Viewer::in_tests(account, "read");
    Arc::new(SessionHandle::new(viewer, Framing::Text))
}

fn subscription(session: &SessionHandle, message: &str) -> Arc<Subscription> {
    let message = json::parse(message).and_then(json::Value::object).unwrap();
    let stream = StreamRequest::from_message(&message).resolve(&session.viewer).unwrap();
    Arc::new(Subscription { stream, access: FeedAccess::OPEN })
}

fn hub() -> (Hub, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    (Hub::new(Arc::clone(&metrics)), metrics)
}

/// The changes, sorted, which must be there already.
async fn changes(hub: &Hub) -> Vec<String> {
    sorted(&tokio::time::timeout(Duration::from_secs(10), hub.interest_changes()).await.unwrap())
}

fn sorted(channels: &[Channel]) -> Vec<String> {
    let mut names: Vec<String> = channels.iter().map(Channel::to_string).collect();
    names.sort();
    names
}

fn watchers(hub: &Hub, channel: &str) -> Vec<SessionId> {
    let audience = hub.audience(channel);
    audience.map(|audience| audience.watchers.iter().map(|watcher| watcher.session.id).collect()).unwrap_or_default()
}

/// The value of a metric, found by the beginning of its line.
fn metric(metrics: &Metrics, series: &str) -> i64 {
    let page = metrics.page();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is in\n{page}")).parse().unwrap()
}

#[tokio::test]
async fn a_session_listens_on_its_control_channels_from_the_start() {
    let (hub, _) = hub();
    let alice = session(1);
    hub.join(&alice);
    assert_eq!(changes(&hub).await, ["timeline:access_token:101", "timeline:system:1"]);
    assert!(hub.audience("timeline:system:1").unwrap().watchers[0].subscription.is_none());
    assert_eq!(watchers(&hub, "timeline:access_token:101"), [alice.id]);
}

#[tokio::test]
async fn only_the_first_watcher_and_the_last_one_change_the_interest() {
    let (hub, _) = hub();
    let (alice, bob) = (session(1), session(2));
    hub.join(&alice);
    hub.join(&bob);
    changes(&hub).await;
    let (by_alice, by_bob) = (subscription(&alice, PUBLIC), subscription(&bob, PUBLIC));
    hub.subscribe(&alice, &by_alice);
    assert_eq!(changes(&hub).await, ["timeline:public"]);
    hub.subscribe(&bob, &by_bob);
    hub.unsubscribe(&alice, &by_alice);
    hub.subscribe(&alice, &subscription(&alice, USER));
    assert_eq!(changes(&hub).await, ["timeline:1", "timeline:1:notifications"]);
    assert_eq!(watchers(&hub, "timeline:public"), [bob.id]);
    hub.unsubscribe(&bob, &by_bob);
    assert_eq!(changes(&hub).await, ["timeline:public"]);
    assert!(!hub.is_watched(&Channel::named("timeline:public")));
}

#[tokio::test]
async fn changes_of_interest_wake_who_waits_for_them() {
    let hub = Arc::new(hub().0);
    let waiting = tokio::spawn({
        let hub = Arc::clone(&hub);
        async move { changes(&hub).await }
    });
    tokio::task::yield_now().await;
    hub.join(&session(1));
    assert_eq!(waiting.await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_session_that_leaves_leaves_nothing() {
    let (hub, metrics) = hub();
    let alice = session(1);
    hub.join(&alice);
    hub.subscribe(&alice, &subscription(&alice, USER));
    hub.subscribe(&alice, &subscription(&alice, PUBLIC));
    assert_eq!((hub.sessions(), hub.stream_channels().len()), (1, 3));
    assert_eq!(hub.leave(&alice).len(), 2);
    assert_eq!((hub.sessions(), hub.stream_channels().len()), (0, 0));
    for channel in changes(&hub).await {
        assert!(!hub.is_watched(&Channel::named(&channel)), "{channel}");
    }
    for series in ["connected_clients{type=\"websocket\"}", "connected_channels{type=\"websocket\",channel=\"system\"}"]
    {
        assert_eq!(metric(&metrics, series), 0);
    }
    assert_eq!(metric(&metrics, "connected_channels{type=\"websocket\",channel=\"user\"}"), 0);
    assert!(hub.leave(&alice).is_empty());
    assert_eq!(metric(&metrics, "connected_clients{type=\"websocket\"}"), 0);
}

#[tokio::test]
async fn a_session_that_has_left_subscribes_to_nothing() {
    let (hub, metrics) = hub();
    let alice = session(1);
    hub.join(&alice);
    hub.leave(&alice);
    hub.subscribe(&alice, &subscription(&alice, PUBLIC));
    assert!(watchers(&hub, "timeline:public").is_empty());
    assert_eq!(metric(&metrics, "connected_channels{type=\"websocket\",channel=\"public\"}"), 0);
}

#[tokio::test]
async fn every_client_adds_two_to_the_channels_of_the_system() {
    let (hub, metrics) = hub();
    for account in 1..=3 {
        hub.join(&session(account));
    }
    assert_eq!(metric(&metrics, "connected_clients{type=\"websocket\"}"), 3);
    assert_eq!(metric(&metrics, "connected_channels{type=\"websocket\",channel=\"system\"}"), 6);
    assert_eq!(metric(&metrics, "connected_clients{type=\"eventsource\"}"), 0);
}

#[tokio::test]
async fn two_streams_of_one_session_on_one_channel_are_two_watchers() {
    let (hub, _) = hub();
    let alice = session(1);
    hub.join(&alice);
    let (user, notifications) = (subscription(&alice, USER), subscription(&alice, r#"{"stream":"user:notification"}"#));
    hub.subscribe(&alice, &user);
    hub.subscribe(&alice, &notifications);
    assert_eq!(watchers(&hub, "timeline:1:notifications").len(), 2);
    hub.unsubscribe(&alice, &user);
    let left = hub.audience("timeline:1:notifications").unwrap();
    assert_eq!(left.watchers.len(), 1);
    assert!(Arc::ptr_eq(left.watchers[0].subscription.as_ref().unwrap(), &notifications));
    assert!(hub.audience("timeline:1").is_none());
}

#[tokio::test]
async fn a_fan_out_keeps_the_watchers_that_it_saw() {
    let (hub, _) = hub();
    let (alice, bob) = (session(1), session(2));
    for session in [&alice, &bob] {
        hub.join(session);
        hub.subscribe(session, &subscription(session, PUBLIC));
    }
    let audience = hub.audience("timeline:public").unwrap();
    hub.leave(&alice);
    hub.leave(&bob);
    assert_eq!(audience.watchers.len(), 2);
    assert!(hub.audience("timeline:public").is_none());
}

#[tokio::test]
async fn each_stream_that_is_opened_has_its_keys_renewed() {
    let (hub, _) = hub();
    let (alice, again) = (session(1), session(1));
    hub.join(&alice);
    hub.subscribe(&alice, &subscription(&alice, USER));
    assert_eq!(sorted(&hub.renewals().await), ["timeline:1", "timeline:1:notifications"]);
    hub.join(&again);
    hub.subscribe(&again, &subscription(&again, USER));
    assert_eq!(sorted(&hub.renewals().await), ["timeline:1", "timeline:1:notifications"]);
}

#[tokio::test]
async fn control_channels_have_no_keys() {
    let (hub, _) = hub();
    let alice = session(1);
    hub.join(&alice);
    hub.subscribe(&alice, &subscription(&alice, PUBLIC));
    assert_eq!(sorted(&hub.renewals().await), ["timeline:public"]);
    assert_eq!(sorted(&hub.stream_channels()), ["timeline:public"]);
}

#[tokio::test]
async fn a_hub_that_closes_ends_all_sessions_and_those_that_come_later() {
    let (hub, _) = hub();
    let (alice, late) = (session(1), session(2));
    hub.join(&alice);
    hub.close_all(CloseReason::Restart);
    hub.join(&late);
    assert_eq!([alice.outbox.ended(), late.outbox.ended()], [Some(CloseReason::Restart); 2]);
}

#[tokio::test(start_paused = true)]
async fn who_came_after_an_event_is_not_among_its_audience() {
    let (hub, _) = hub();
    let (alice, bob) = (session(1), session(2));
    hub.join(&alice);
    hub.subscribe(&alice, &subscription(&alice, PUBLIC));
    tokio::time::advance(Duration::from_secs(2)).await;
    hub.join(&bob);
    hub.subscribe(&bob, &subscription(&bob, PUBLIC));
    let audience = |age| {
        let mut audience = hub.audience("timeline:public").unwrap();
        audience.retain_those_before(Duration::from_secs(age));
        audience.watchers.iter().map(|watcher| watcher.session.id).collect::<Vec<_>>()
    };
    assert_eq!((audience(0), audience(1), audience(3)), (vec![alice.id, bob.id], vec![alice.id], vec![]));
}
