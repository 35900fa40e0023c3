//! How many statements a status causes.

use crate::{
    crowd::{VIEWERS, crowd},
    support::*,
};

/// The statements of servers that PostgreSQL itself has counted so far; none if it cannot.
async fn counted(db: &Database) -> Option<i64> {
    let has_extension = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'";
    if db.number(has_extension).await == 0 {
        return None;
    }
    let selects = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
        WHERE d.datname = current_database() \
        AND query ~ '(blocks|mutes|custom_filters|settings|lists|oauth_access_tokens)' AND query !~ 'pg_stat_statements'";
    Some(db.number(selects).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_status_for_a_thousand_viewers_causes_two_statements_and_one_once_all_filters_are_known() {
    let stage = Stage::start().await;
    let (viewers, remote) = crowd(&stage.db).await;
    let mut clients = Vec::new();
    for viewer in &viewers {
        clients.push(Ws::open(&stage.server, "/?stream=public", &viewer.token).await);
    }
    stage
        .server
        .wait_for_metric("connected_channels", &[("type", "websocket"), ("channel", "public")], VIEWERS as f64)
        .await;
    stage.redis.wait_for_subscribers("timeline:public", 1).await;
    // Who blocks the first author does not get as far as custom filters before the second status, which nobody blocks.
    for (number, author, blocked, expected) in
        [(1, remote[1], true, 2), (2, 3_000_000, false, 2), (3, remote[3], true, 1)]
    {
        let author = Account { account_id: author, username: "author".into(), domain: Some("remote.example".into()) };
        let blockers = format!("SELECT count(*) FROM blocks WHERE target_account_id = {}", author.account_id);
        let blockers = stage.db.number(blockers).await;
        assert_eq!(blockers > 50, blocked, "{blockers} viewers block the author");
        let before = (stage.db.statements().len(), counted(&stage.db).await);
        stage.publish("timeline:public", update(&status(number, &author))).await;
        stage.publish("timeline:public", event("end", "1")).await;
        let mut seen = 0;
        for client in &mut clients {
            let mut event = client.next_event().await;
            if event.event == "update" {
                assert_eq!(event.json()["id"], number.to_string());
                seen += 1;
                event = client.next_event().await;
            }
            assert_eq!(event.event, "end");
        }
        assert_eq!(seen, VIEWERS as i64 - blockers);
        let statements = stage.db.statements().split_off(before.0);
        let texts: Vec<_> = statements.iter().map(|one| one.text.chars().take(80).collect::<String>()).collect();
        assert_eq!(texts.len(), expected, "in the log: {texts:#?}");
        if let Some(counted_before) = before.1 {
            let counted = counted(&stage.db).await.expect("it could count before") - counted_before;
            assert_eq!(counted, expected as i64, "as PostgreSQL counted them");
        }
    }
}

#[tokio::test]
async fn an_account_with_many_sessions_is_asked_for_once() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(stage.both(&alice, "public").await);
    }
    let before = stage.db.statements().len();
    stage.publish("timeline:public", update(&status(1, &bob))).await;
    for client in &mut clients {
        client.next().await;
    }
    let statements = stage.db.statements().split_off(before);
    assert_eq!(statements.len(), 2, "{statements:#?}");
    for statement in statements {
        assert!(statement.text.contains(&format!("{{{}}}", alice.account_id)), "named once only: {statement:?}");
    }
}

#[tokio::test]
async fn events_that_need_no_screening_cause_no_statement() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let mut public = stage.both(&alice, "public").await;
    let mut user = stage.both(&alice, "user").await;
    let before = stage.db.statements().len();
    stage.publish("timeline:public", event("delete", "1")).await;
    stage.publish("timeline:public", update(&status(1, &bob).without("account"))).await;
    stage.publish(&format!("timeline:{}", alice.account_id), update(&status(1, &bob))).await;
    assert_eq!(public.next().await.event, "delete");
    assert_eq!(user.next().await.event, "update");
    public.silent_until(&stage.redis, "timeline:public").await;
    let statements = stage.db.statements().split_off(before);
    assert!(statements.is_empty(), "{statements:#?}");
}
