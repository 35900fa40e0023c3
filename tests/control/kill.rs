//! `kill` ends sessions.

use crate::support::*;

const KILL: &str = r#"{"event":"kill"}"#;

fn token_channel(person: &Person) -> String {
    format!("timeline:access_token:{}", person.token_id)
}

fn system_channel(person: &Person) -> String {
    format!("timeline:system:{}", person.account_id)
}

fn home(person: &Person) -> String {
    format!("timeline:{}", person.account_id)
}

#[tokio::test]
async fn kill_on_either_control_channel_ends_both_transports_as_each_of_them_ends() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    for channel in [token_channel(&alice), system_channel(&alice)] {
        for stream in ["user", "public"] {
            let mut both = stage.both(&alice, stream).await;
            stage.publish(&channel, KILL).await;
            assert_eq!(both.ws.expect_close().await, None, "a close frame without code");
            assert_eq!(both.sse.closed().await, Ending::Regular);
            for transport in ["websocket", "eventsource"] {
                stage.server.wait_for_metric("connected_clients", &[("type", transport)], 0.0).await;
            }
        }
    }
    for transport in ["websocket", "eventsource"] {
        let labels = [("type", transport), ("reason", "killed")];
        stage.server.wait_for_metric("flodgatt_sessions_closed_total", &labels, 4.0).await;
    }
}

#[tokio::test]
async fn sessions_listen_on_control_channels_whatever_their_scopes_and_without_any_stream() {
    let stage = Stage::start().await;
    for scopes in ["", "write", "read:notifications", "profile"] {
        let person = stage.db.person(&format!("p{}", fastrand::u64(..))).scopes(scopes).await;
        for channel in [token_channel(&person), system_channel(&person)] {
            let mut ws = Ws::open(&stage.server, "/", &person.token).await;
            stage.redis.wait_for_subscribers(&channel, 1).await;
            ws.silent_so_far().await;
            stage.publish(&channel, KILL).await;
            assert_eq!(ws.expect_close().await, None);
        }
    }
    let person = stage.db.person("notified").scopes("read:notifications").await;
    for channel in [token_channel(&person), system_channel(&person)] {
        let mut sse = stage.sse(&person, "user:notification").await;
        stage.publish(&channel, KILL).await;
        assert_eq!(sse.closed().await, Ending::Regular);
    }
}

#[tokio::test]
async fn the_payload_and_further_keys_of_a_kill_make_no_difference() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    for rest in [r#""payload":null"#, r#""payload":false"#, r#""payload":"no""#, r#""payload":{"a":[1]}"#, r#""x":1"#] {
        let mut ws = stage.ws(&alice, "user").await;
        stage.publish(&token_channel(&alice), format!(r#"{{{rest},"event":"\u006bill"}}"#)).await;
        assert_eq!(ws.expect_close().await, None, "{rest}");
    }
}

#[tokio::test]
async fn what_is_not_exactly_kill_ends_nothing() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    for channel in [token_channel(&alice), system_channel(&alice)] {
        for name in ["Kill", "KILL", " kill", "kill ", "kill\n", "kil", "killed", "kıll", "ｋill"] {
            stage.publish(&channel, event(name, "1")).await;
        }
        for message in
            [r#"["kill"]"#, r#"{"event":["kill"]}"#, r#""kill""#, "kill", r#"{"type":"kill","payload":"kill"}"#]
        {
            stage.publish(&channel, message).await;
        }
    }
    both.silent_until(&stage.redis, &home(&alice)).await;
}

#[tokio::test]
async fn a_kill_ends_the_sessions_of_its_token_or_account_and_no_others() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.person("bob").await);
    let token = stage.db.token(&alice, "read").await;
    let elsewhere = Person { token_id: token.id, token: token.token, ..alice.clone() };
    let mut of_alice = [stage.both(&alice, "user").await, stage.both(&alice, "user").await];
    let mut of_elsewhere = stage.both(&elsewhere, "user").await;
    let mut of_bob = stage.both(&bob, "user").await;

    stage.publish(&token_channel(&alice), KILL).await;
    for both in &mut of_alice {
        assert_eq!(both.ws.expect_close().await, None);
        assert_eq!(both.sse.closed().await, Ending::Regular);
    }
    of_elsewhere.silent_until(&stage.redis, &home(&alice)).await;
    of_bob.silent_until(&stage.redis, &home(&bob)).await;

    stage.publish(&system_channel(&alice), KILL).await;
    assert_eq!(of_elsewhere.ws.expect_close().await, None);
    assert_eq!(of_elsewhere.sse.closed().await, Ending::Regular);
    of_bob.silent_until(&stage.redis, &home(&bob)).await;
    stage.server.wait_for_metric("connected_clients", &[("type", "websocket")], 1.0).await;
}

#[tokio::test]
async fn what_was_published_before_a_kill_is_delivered_and_nothing_after_it() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let (home, control) = (home(&alice), token_channel(&alice));
    let mut both = stage.both(&alice, "user").await;
    // A second viewer of the same channel shows that there was something after it.
    let token = stage.db.token(&alice, "read").await;
    let witness = Person { token_id: token.id, token: token.token, ..alice.clone() };
    let mut witness = stage.ws(&witness, "user").await;
    let before = (0..300).map(|number| (&*home, event("x", number.to_string())));
    let after = (300..600).map(|number| (&*home, event("x", number.to_string())));
    let burst: Vec<_> = before.chain([(&*control, KILL.to_owned())]).chain(after).collect();
    stage.redis.publish_each(burst).await;
    for number in 0..300 {
        assert_eq!(both.next().await.payload, number.to_string());
    }
    assert_eq!(both.ws.expect_close().await, None);
    assert_eq!(both.sse.closed().await, Ending::Regular);
    for number in 0..600 {
        assert_eq!(witness.next_event().await.payload, Some(number.to_string().into()));
    }
}

#[tokio::test]
async fn nothing_from_control_channels_is_forwarded() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut user = stage.both(&alice, "user").await;
    let mut public = stage.both(&alice, "public").await;
    for channel in [token_channel(&alice), system_channel(&alice)] {
        for name in ["update", "delete", "notification", "filters_changed", "announcement", "x"] {
            stage.publish(&channel, event(name, status(1, &alice))).await;
            stage.publish(&channel, event(name, "1")).await;
            stage.publish(&channel, format!(r#"{{"event":"{name}"}}"#)).await;
        }
    }
    user.silent_until(&stage.redis, &home(&alice)).await;
    public.silent_until(&stage.redis, "timeline:public").await;
}

#[tokio::test]
async fn kill_on_any_other_channel_is_an_ordinary_event() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let list = stage.db.list(alice.account_id).await;
    let account = alice.account_id;
    let streams = [
        ("user".to_owned(), format!("timeline:{account}")),
        ("user:notification".to_owned(), format!("timeline:{account}:notifications")),
        ("public".to_owned(), "timeline:public".to_owned()),
        ("direct".to_owned(), format!("timeline:direct:{account}")),
        (format!("list&list={list}"), format!("timeline:list:{list}")),
        ("hashtag&tag=cats".to_owned(), "timeline:hashtag:cats".to_owned()),
    ];
    for (stream, channel) in streams {
        let mut both = stage.both(&alice, &stream).await;
        stage.publish(&channel, event("kill", "1")).await;
        let heard = both.next().await;
        assert_eq!((&*heard.event, &*heard.payload), ("kill", "1"));
        stage.publish(&channel, KILL).await;
        both.silent_until(&stage.redis, &channel).await;
    }
}

#[tokio::test]
async fn a_killed_websocket_takes_no_more_subscriptions_before_its_client_has_closed() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut ws = stage.ws(&alice, "user").await;
    stage.publish(&token_channel(&alice), KILL).await;
    assert_eq!(ws.next_message().await, Message::Close(None));
    ws.subscribe("direct").await;
    stage.server.wait_for_metric("connected_clients", &[("type", "websocket")], 0.0).await;
    assert_eq!(ws.next_message().await, Message::Cut);
    eventually("no subscription", || async {
        let left = stage.redis.subscriptions().await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}
