//! How PostgreSQL finds what the server asks for when the tables that grow have grown.

use sqlx::Row;

use crate::{crowd::crowd, support::*};

/// The plan of the last statement that contains `part`, line by line.
async fn plan(db: &Database, part: &str) -> Vec<String> {
    let statement = db.statements().into_iter().rfind(|statement| statement.text.contains(part));
    let statement = statement.unwrap_or_else(|| panic!("no statement with {part}"));
    let explain = format!("EXPLAIN (COSTS OFF) {}", statement.text);
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(explain)).fetch_all(db.pool()).await.expect("it can be explained");
    let shortened = |line: String| line.chars().take(400).collect();
    rows.iter().map(|row| shortened(row.get(0))).collect()
}

#[track_caller]
fn assert_indexed(plan: &[String], conditions: &[&[&str]]) {
    assert!(!plan.iter().any(|line| line.contains("Seq Scan")), "a whole table is read: {plan:#?}");
    for parts in conditions {
        let found = plan.iter().any(|line| line.contains("Index Cond") && parts.iter().all(|part| line.contains(part)));
        assert!(found, "no index serves {parts:?}: {plan:#?}");
    }
}

#[tokio::test]
async fn what_grows_is_looked_up_by_index() {
    let stage = Stage::start().await;
    let (viewers, remote) = crowd(&stage.db).await;
    let many = "FROM generate_series(1, 1000) n, generate_series(1, 10) m";
    stage
        .db
        .execute(format!(
            "INSERT INTO mutes (account_id, target_account_id, created_at, updated_at) \
                 SELECT 1000000 + n, 2000000 + (n * 7 + m * 10) % 1000 + 1, now(), now() {many}; \
             INSERT INTO account_domain_blocks (account_id, domain, created_at, updated_at) \
                 SELECT 1000000 + n, 'd' || m || '.example', now(), now() {many}; \
             INSERT INTO custom_filters (account_id, phrase, context, action, created_at, updated_at) \
                 SELECT 1000000 + n, 'x', '{{public}}', 0, now(), now() {many}; \
             INSERT INTO custom_filter_keywords (custom_filter_id, keyword, created_at, updated_at) \
                 SELECT id, 'x', now(), now() FROM custom_filters; \
             INSERT INTO lists (account_id, created_at, updated_at) SELECT 1000000 + n, now(), now() {many}; \
             ANALYZE"
        ))
        .await;
    let list = stage.db.list(viewers[0].account_id).await;
    let mut clients = vec![stage.ws(&viewers[0], "public").await];
    let plan_of_token = plan(&stage.db, "FROM oauth_access_tokens").await;
    for viewer in &viewers[1..3] {
        clients.push(stage.ws(viewer, "public").await);
    }
    let author =
        Account { account_id: remote[0], username: "remote1".into(), domain: Some("nobody-blocks.example".into()) };
    stage.publish("timeline:public", update(&status(1, &author))).await;
    stage.publish("timeline:public", event("end", "1")).await;
    for client in &mut clients {
        while client.next_event().await.event != "end" {}
    }
    let _list = stage.ws(&viewers[0], &format!("list&list={list}")).await;

    // The few roles and settings are not worth an index.
    let (roles, rest): (Vec<_>, Vec<_>) = plan_of_token.into_iter().partition(|line| line.contains("on user_roles"));
    assert!(roles.len() <= 1, "{roles:#?}");
    assert_indexed(&rest, &[&["token"]]);
    assert_indexed(&plan(&stage.db, "FROM lists").await, &[&["id"]]);
    let plan_of_relations = plan(&stage.db, "FROM blocks").await;
    assert_indexed(&plan_of_relations, &[&["account_id = ANY", "domain"], &["target_account_id"]]);
    assert_eq!(
        plan_of_relations.iter().filter(|line| line.contains("Index Cond")).count(),
        4,
        "{plan_of_relations:#?}"
    );
    stage.db.execute("ANALYZE custom_filters; ANALYZE custom_filter_keywords").await;
    assert_indexed(&plan(&stage.db, "FROM custom_filters").await, &[&["account_id = ANY"], &["custom_filter_id"]]);
}
