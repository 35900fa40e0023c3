//! A `kill` that was published while Redis was away.

use crate::support::*;

/// Ways in which a token opens nothing any more, as statements for a person.
fn endings(person: &Person) -> [String; 3] {
    let (token, user, account) = (person.token_id, person.user_id, person.account_id);
    [
        format!("UPDATE oauth_access_tokens SET revoked_at = now() AT TIME ZONE 'UTC' WHERE id = {token}"),
        format!("UPDATE users SET disabled = TRUE WHERE id = {user}"),
        format!("UPDATE accounts SET suspended_at = now() AT TIME ZONE 'UTC' WHERE id = {account}"),
    ]
}

fn home(person: &Person) -> String {
    format!("timeline:{}", person.account_id)
}

async fn ends(mut both: Both) {
    assert_eq!(both.ws.expect_close().await, None, "a close frame without code");
    assert_eq!(both.sse.closed().await, Ending::Regular);
}

async fn closed_as_killed(stage: &Stage, sessions: u32) {
    for transport in ["websocket", "eventsource"] {
        let labels = [("type", transport), ("reason", "killed")];
        stage.server.wait_for_metric("flodgatt_sessions_closed_total", &labels, f64::from(sessions)).await;
    }
}

#[tokio::test]
async fn sessions_whose_token_opens_nothing_any_more_end_once_redis_is_back_and_no_others() {
    let stage = Stage::start().await;
    let mut gone = Vec::new();
    for way in 0..3 {
        let person = stage.db.person(&format!("gone{way}")).await;
        gone.push((stage.both(&person, "user").await, endings(&person)[way].clone()));
    }
    let bob = stage.db.person("bob").expires_in(3_600).await;
    let mut staying = stage.both(&bob, "user").await;
    stage.redis.kill();
    for (_, statement) in &gone {
        assert_eq!(stage.db.execute(statement).await, 1);
    }
    stage.redis.restart().await;
    for (both, _) in gone {
        ends(both).await;
    }
    closed_as_killed(&stage, 3).await;
    stage.redis.wait_for_subscribers(&home(&bob), 1).await;
    staying.silent_until(&stage.redis, &home(&bob)).await;
}

#[tokio::test]
async fn sessions_whose_token_has_merely_expired_stay_as_no_kill_was_missed() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.person("bob").await);
    let of_alice = stage.both(&alice, "user").await;
    let mut of_bob = stage.both(&bob, "user").await;
    stage.redis.kill();
    let expire = "UPDATE oauth_access_tokens SET created_at = now() AT TIME ZONE 'UTC' - interval '1 hour', \
        expires_in = 60";
    assert_eq!(stage.db.execute(expire).await, 2);
    stage.db.execute(&endings(&alice)[0]).await;
    stage.redis.restart().await;
    // Who ends by the same statement has been read with the other.
    ends(of_alice).await;
    stage.redis.wait_for_subscribers(&home(&bob), 1).await;
    of_bob.silent_until(&stage.redis, &home(&bob)).await;
}

#[tokio::test]
async fn nothing_is_asked_of_the_database_as_long_as_redis_is_there() {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let mut both = stage.both(&alice, "user").await;
    both.silent_until(&stage.redis, &home(&alice)).await;
    assert_eq!(stage.db.count_statements("t.id = ANY"), 0);
}

#[tokio::test]
async fn one_statement_asks_for_the_tokens_of_many_sessions() {
    let stage = Stage::start().await;
    let mut sessions = Vec::new();
    for number in 0..20 {
        let person = stage.db.person(&format!("p{number}")).await;
        sessions.push((stage.both(&person, "user").await, person));
    }
    stage.redis.kill();
    stage.db.execute("UPDATE oauth_access_tokens SET revoked_at = created_at").await;
    stage.redis.restart().await;
    for (both, _) in sessions {
        ends(both).await;
    }
    assert_eq!(stage.db.count_statements("t.id = ANY"), 1);
}

#[tokio::test]
async fn kills_that_were_missed_are_made_up_for_once_the_database_is_back_too() {
    let postgres = Postgres::start_own().await;
    let (redis, db) = (Redis::start().await, postgres.database().await);
    let server = Server::start(&redis, &db).await;
    let stage = Stage { server, redis, db };
    let (alice, bob) = (stage.db.person("alice").await, stage.db.person("bob").await);
    let of_alice = stage.both(&alice, "user").await;
    let mut of_bob = stage.both(&bob, "user").await;
    stage.redis.kill();
    stage.db.execute(&endings(&alice)[0]).await;
    postgres.stop();
    stage.redis.restart().await;
    stage.server.wait_for_log(|line| line.message().starts_with("missed kills cannot be made up for yet")).await;
    // Events come on meanwhile.
    stage.redis.wait_for_subscribers(&home(&bob), 1).await;
    of_bob.silent_until(&stage.redis, &home(&bob)).await;
    postgres.start_again().await;
    ends(of_alice).await;
    of_bob.silent_until(&stage.redis, &home(&bob)).await;
}

#[tokio::test]
async fn an_interruption_while_tokens_are_read_has_them_read_once_more() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.person("bob").await);
    let of_alice = stage.both(&alice, "user").await;
    let mut of_bob = stage.both(&bob, "user").await;
    let first = stage.db.lock("users").await;
    for times in [1.0, 2.0, 3.0] {
        stage.redis.drop_clients().await;
        stage.server.wait_for_metric("flodgatt_upstream_reconnects_total", &[], times).await;
        stage.redis.wait_for_subscribers(&home(&bob), 1).await;
        first.wait_for_waiting(1).await;
    }
    // The second lock comes behind the statement that waits, and before any other.
    let (second, ()) = tokio::join!(stage.db.lock("users"), async {
        first.wait_for_waiting(2).await;
        first.release().await;
    });
    stage.db.execute(&endings(&alice)[0]).await;
    second.release().await;
    ends(of_alice).await;
    of_bob.silent_until(&stage.redis, &home(&bob)).await;
    assert_eq!(stage.db.count_statements("t.id = ANY"), 2);
}
