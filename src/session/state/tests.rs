use super::*;
use crate::{
    domain::{StreamName, viewer::Permissions},
    store::FeedSettings,
};

const FOUND: Found = Found {
    owns_list: true,
    settings: FeedSettings {
        local_live_closed: false,
        remote_live_closed: false,
        local_topic_closed: false,
        remote_topic_closed: false,
    },
};
const FOREIGN: Found = Found { owns_list: false, ..FOUND };

/// A session, and what it did in words.
struct Session(SessionState);

impl Session {
    fn new(scopes: &str) -> Self {
        Self::with_permissions(scopes, 0)
    }

    fn with_permissions(scopes: &str, permissions: i64) -> Self {
        let viewer = Viewer::in_tests(7, scopes);
        Self(SessionState::new(Viewer { permissions: Permissions(permissions), ..viewer }))
    }

    fn send(&mut self, message: &str) -> Vec<String> {
        let request = Request::read(message).unwrap_or_else(|| panic!("{message} is a request"));
        self.0.request(request).iter().map(words).collect()
    }

    fn subscribe(&mut self, stream: &str) -> Vec<String> {
        self.send(&format!(r#"{{"type":"subscribe",{stream}}}"#))
    }

    fn unsubscribe(&mut self, stream: &str) -> Vec<String> {
        self.send(&format!(r#"{{"type":"unsubscribe",{stream}}}"#))
    }

    fn found(&mut self, found: Result<Found, Refusal>) -> Vec<String> {
        self.0.found(found).iter().map(words).collect()
    }
}

fn words(effect: &Effect) -> String {
    match effect {
        Effect::LookUp(_) => "look up".to_owned(),
        Effect::Subscribe(subscription) => format!("+{}", subscription.stream.label),
        Effect::Unsubscribe(subscription) => format!("-{}", subscription.stream.label),
        Effect::Reply(text) => text.clone(),
    }
}

const USER: &str = r#""stream":"user""#;
const DIRECT: &str = r#""stream":"direct""#;
const PUBLIC: &str = r#""stream":"public""#;
const LIST: &str = r#""stream":"list","list":12"#;
const UNKNOWN: &str = r#""stream":"unknown""#;

const NO_SCOPES: &str = r#"{"error":"Access token does not have the required scopes","status":401}"#;
const UNKNOWN_STREAM: &str = r#"{"error":"Unknown stream type","status":400}"#;
const NOT_UNSUBSCRIBED: &str = r#"{"error":"Error unsubscribing from channel"}"#;
const FOREIGN_LIST: &str = r#"{"error":"Not authorized to stream this list","status":401}"#;

#[test]
fn what_is_no_request_is_ignored() {
    for message in [
        "",
        "hello",
        "\u{feff}{\"type\":\"subscribe\"}",
        "1",
        "null",
        "\"subscribe\"",
        "[]",
        r#"[{"type":"subscribe","stream":"user"}]"#,
        "{}",
        r#"{"stream":"user"}"#,
        r#"{"type":null,"stream":"user"}"#,
        r#"{"type":1,"stream":"user"}"#,
        r#"{"type":["subscribe"],"stream":"user"}"#,
        r#"{"type":"Subscribe","stream":"user"}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"subscribe","stream":"user"},"#,
        "{'type':'subscribe'}",
    ] {
        assert_eq!(Request::read(message), None, "{message}");
    }
}

#[test]
fn messages_are_read_as_ecmascript_reads_json() {
    let nested = format!(r#"{{"x":{}{},"type":"subscribe","stream":"user"}}"#, "[".repeat(400), "]".repeat(400));
    for message in [
        r#" {"type":"kill","stream":"direct","type":"subscribe","stream":"user"} "#,
        r#"{"type":"subscribe","stream":"user","x":1e999}"#,
        r#"{"type":"subscribe","stream":"user","x":"\ud800","\udfff":0}"#,
        r#"{"\u0074ype":"sub\u0073cribe","stream":"use\u0072"}"#,
        &nested,
    ] {
        assert_eq!(Session::new("read").send(message), ["+[\"user\"]"], "{message}");
    }
}

#[test]
fn a_subscription_is_not_confirmed() {
    assert_eq!(Session::new("read").subscribe(USER), ["+[\"user\"]"]);
}

#[test]
fn subscribing_twice_to_the_same_channels_is_silent() {
    let mut session = Session::new("read");
    session.subscribe(USER);
    assert!(session.subscribe(USER).is_empty());
    session.subscribe(r#""stream":"hashtag","tag":"Rust""#);
    assert_eq!(session.found(Ok(FOUND)), [r#"+["hashtag","Rust"]"#]);
    assert!(session.subscribe(r##""stream":"hashtag","tag":"#RUST""##).is_empty());
}

#[test]
fn a_second_spelling_unsubscribes_the_first() {
    let mut session = Session::new("read");
    session.subscribe(r#""stream":"hashtag","tag":"Rust""#);
    session.found(Ok(FOUND));
    assert_eq!(session.unsubscribe(r#""stream":"hashtag","tag":"rust""#), [r#"-["hashtag","Rust"]"#]);
}

#[test]
fn what_was_unsubscribed_can_be_subscribed_again() {
    let mut session = Session::new("read");
    session.subscribe(USER);
    assert_eq!(session.unsubscribe(USER), ["-[\"user\"]"]);
    assert!(session.unsubscribe(USER).is_empty());
    assert_eq!(session.subscribe(USER), ["+[\"user\"]"]);
}

#[test]
fn scopes_are_checked_before_names_and_parameters() {
    let mut session = Session::new("write");
    for stream in [USER, UNKNOWN, r#""stream":"hashtag""#, r#""stream":"list""#, LIST, "\"stream\":null"] {
        assert_eq!(session.subscribe(stream), [NO_SCOPES], "{stream}");
    }
}

#[test]
fn names_and_parameters_are_refused_in_their_own_words() {
    let mut session = Session::new("read");
    assert_eq!(session.subscribe(UNKNOWN), [UNKNOWN_STREAM]);
    assert_eq!(session.subscribe(r#""stream":"hashtag""#), [r#"{"error":"Missing tag name parameter","status":400}"#]);
    assert_eq!(session.subscribe(r#""stream":"list""#), [r#"{"error":"Missing list name parameter","status":400}"#]);
    assert_eq!(session.subscribe(r#""stream":"list","list":"x""#), [FOREIGN_LIST]);
}

#[test]
fn a_list_is_subscribed_once_its_owner_is_known() {
    let mut session = Session::new("read");
    assert_eq!(session.subscribe(LIST), ["look up"]);
    assert_eq!(session.found(Ok(FOREIGN)), [FOREIGN_LIST]);
    assert_eq!(session.subscribe(LIST), ["look up"]);
    assert_eq!(session.found(Ok(FOUND)), [r#"+["list",12]"#]);
    assert!(session.subscribe(LIST).is_empty());
}

#[test]
fn a_look_up_that_fails_is_told_and_leaves_nothing_subscribed() {
    for (refusal, status) in [(Refusal::Internal, 500), (Refusal::Unavailable, 503)] {
        let mut session = Session::new("read");
        session.subscribe(PUBLIC);
        let replies = session.found(Err(refusal));
        assert_eq!(replies.len(), 1);
        let reply: serde_json::Value = serde_json::from_str(&replies[0]).unwrap();
        assert_eq!(reply, serde_json::json!({"error": refusal.message(), "status": status}));
        assert!(session.unsubscribe(PUBLIC).is_empty());
    }
}

#[test]
fn requests_take_effect_in_their_order_while_a_look_up_is_pending() {
    let mut session = Session::new("read");
    assert_eq!(session.subscribe(LIST), ["look up"]);
    for silent in [session.subscribe(USER), session.subscribe(UNKNOWN), session.unsubscribe(LIST)] {
        assert!(silent.is_empty(), "{silent:?}");
    }
    assert!(session.subscribe(PUBLIC).is_empty());
    assert!(session.unsubscribe(USER).is_empty());
    assert_eq!(
        session.found(Ok(FOUND)),
        [r#"+["list",12]"#, "+[\"user\"]", UNKNOWN_STREAM, r#"-["list",12]"#, "look up"]
    );
    assert_eq!(session.found(Ok(FOUND)), ["+[\"public\"]", "-[\"user\"]"]);
}

#[test]
fn a_list_that_waits_for_its_look_up_twice_is_subscribed_once() {
    let mut session = Session::new("read");
    session.subscribe(LIST);
    session.subscribe(LIST);
    assert_eq!(session.found(Ok(FOUND)), [r#"+["list",12]"#]);
}

#[test]
fn a_result_that_nobody_waits_for_changes_nothing() {
    let mut session = Session::new("read");
    assert!(session.found(Ok(FOUND)).is_empty());
    assert_eq!(session.subscribe(USER), ["+[\"user\"]"]);
}

#[test]
fn unsubscribing_checks_name_and_parameters_but_no_scopes() {
    let mut session = Session::new("write");
    for stream in [UNKNOWN, r#""stream":"hashtag""#, r#""stream":"list""#, r#""stream":"list","list":"x""#] {
        assert_eq!(session.unsubscribe(stream), [NOT_UNSUBSCRIBED], "{stream}");
    }
    for stream in [USER, DIRECT, PUBLIC, r#""stream":"user:notification""#, r#""stream":"hashtag","tag":"a""#] {
        assert!(session.unsubscribe(stream).is_empty(), "{stream}");
    }
}

#[test]
fn unsubscribing_a_list_that_is_not_subscribed_checks_its_owner() {
    let mut session = Session::new("read");
    for (found, replies) in
        [(Ok(FOUND), &[][..]), (Ok(FOREIGN), &[NOT_UNSUBSCRIBED]), (Err(Refusal::Unavailable), &[NOT_UNSUBSCRIBED])]
    {
        assert_eq!(session.unsubscribe(LIST), ["look up"]);
        assert_eq!(session.found(found), replies);
    }
}

#[test]
fn leaving_a_list_that_is_subscribed_asks_nobody() {
    let mut session = Session::new("read");
    session.subscribe(LIST);
    session.found(Ok(FOUND));
    assert_eq!(session.unsubscribe(r#""stream":"list","list":"012""#), [r#"-["list",12]"#]);
}

#[test]
fn the_streams_of_glitch_on_the_same_channel_are_the_same_subscription() {
    let mut session = Session::with_permissions("read", 1);
    assert_eq!(session.subscribe(PUBLIC), ["+[\"public\"]"]);
    assert!(session.subscribe(r#""stream":"public:allow_local_only""#).is_empty());
}

#[test]
fn user_and_its_notifications_are_two_subscriptions() {
    let mut session = Session::new("read");
    session.subscribe(USER);
    assert_eq!(session.subscribe(r#""stream":"user:notification""#), ["+[\"user:notification\"]"]);
    assert_eq!(session.unsubscribe(USER), ["-[\"user\"]"]);
}

#[test]
fn filtered_streams_look_settings_up_unless_the_role_passes_closed_feeds() {
    let settings = FeedSettings { local_live_closed: true, remote_topic_closed: true, ..FOUND.settings };
    let found = Found { settings, ..FOUND };
    for stream in StreamName::ALL {
        let message = format!(r#"{{"type":"subscribe","stream":"{}","tag":"a","list":1}}"#, stream.as_str());
        let look_up = ["look up".to_owned()];
        let request = Request::read(&message).unwrap();
        let mut state = Session::with_permissions("read", 1 << 20).0;
        let privileged = state.request(request.clone());
        let privileged_looks_up = privileged.iter().map(words).eq(look_up.clone());
        assert_eq!(privileged_looks_up, stream == StreamName::List, "{stream:?}");
        let mut state = Session::new("read").0;
        if !state.request(request).iter().map(words).eq(look_up) {
            assert_eq!(stream.feed(), None);
            continue;
        }
        let effects = state.found(Ok(found));
        let Effect::Subscribe(subscription) = &effects[0] else { panic!("{effects:?}") };
        let open = match stream.as_str().split(':').next().unwrap() {
            "public" => FeedAccess { local: false, remote: true },
            "hashtag" => FeedAccess { local: true, remote: false },
            _ => FeedAccess::OPEN,
        };
        assert_eq!(subscription.access, open, "{stream:?}");
    }
}

#[test]
fn a_connection_holds_a_bounded_number_of_subscriptions() {
    let mut session = Session::with_permissions("read", 1);
    let hashtag = |number: usize| format!(r#""stream":"hashtag","tag":"t{number}""#);
    for number in 0..MAX_SUBSCRIPTIONS {
        assert_eq!(session.subscribe(&hashtag(number)).len(), 1);
    }
    let refused = session.subscribe(&hashtag(MAX_SUBSCRIPTIONS));
    assert_eq!(refused, [r#"{"error":"Too many subscriptions on this connection","status":429}"#]);
    assert!(session.subscribe(&hashtag(5)).is_empty());
    session.unsubscribe(&hashtag(5));
    assert_eq!(session.subscribe(&hashtag(MAX_SUBSCRIPTIONS)).len(), 1);
}

const TOO_MANY: &str = r#"{"error":"Too many subscriptions on this connection","status":429}"#;

#[test]
fn requests_beyond_those_that_may_wait_are_refused_at_once() {
    let mut session = Session::new("read");
    session.subscribe(LIST);
    for _ in 0..MAX_WAITING {
        assert!(session.subscribe(UNKNOWN).is_empty());
    }
    assert_eq!(session.subscribe(UNKNOWN), [TOO_MANY]);
    assert_eq!(session.found(Ok(FOUND)).len(), 1 + MAX_WAITING);
    assert_ne!(session.subscribe(UNKNOWN), [TOO_MANY]);
}

#[test]
fn requests_that_wait_may_not_be_long_together() {
    let mut session = Session::new("read");
    session.subscribe(LIST);
    let long = format!(r#""stream":"hashtag","tag":"{}""#, "x".repeat(MAX_WAITING_BYTES / 5));
    assert!(session.subscribe(&long).is_empty());
    assert!(session.subscribe(&long).is_empty());
    assert_eq!(session.subscribe(&long), [TOO_MANY]);
}

#[test]
fn names_of_streams_may_not_be_long_together() {
    let mut session = Session::with_permissions("read", 1);
    let long = |first: char| format!(r#""stream":"hashtag","tag":"{first}{}""#, "x".repeat(MAX_NAME_BYTES / 4));
    assert_eq!(session.subscribe(&long('a')).len(), 1);
    assert_eq!(session.subscribe(&long('b')), [TOO_MANY]);
}
