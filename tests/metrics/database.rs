//! The pool of connections to PostgreSQL.

use crate::support::*;

const TOTAL: &str = "pg_pool_total_connections";
const IDLE: &str = "pg_pool_idle_connections";
const WAITING: &str = "pg_pool_waiting_queries";

#[tokio::test]
async fn connections_in_use_are_not_idle_and_statements_wait_for_the_others_to_end() {
    let Stage { server, db, .. } = Stage::start_with(|options| options.env("DB_POOL", "1")).await;
    let alice = db.person("alice").await;
    let list = db.list(alice.account_id).await;
    // A connection is made when it is first needed, at the latest.
    let mut ws = Ws::open(&server, "/", &alice.token).await;
    assert_eq!(db.connections().await, 1);
    server.wait_for_metric(TOTAL, &[], 1.0).await;
    server.wait_for_metric(IDLE, &[], 1.0).await;
    let lock = db.lock("lists").await;
    let subscription = serde_json::json!({"type": "subscribe", "stream": "list", "list": list});
    ws.send_json(subscription).await;
    lock.wait_for_waiting(1).await;
    for (metric, value) in [(TOTAL, 1.0), (IDLE, 0.0), (WAITING, 0.0)] {
        assert_eq!(server.metric(metric, &[]).await, value, "{metric}");
    }
    // The only connection is taken; this one waits for it.
    let headers = [("Authorization", alice.token.as_str())];
    let opening = Sse::try_open(&server, "/api/v1/streaming/user", &headers);
    let waited = async {
        server.wait_for_metric(WAITING, &[], 1.0).await;
        lock.release().await;
    };
    let (opened, ()) = tokio::join!(opening, waited);
    assert!(opened.is_ok(), "{:?}", opened.err());
    server.wait_for_metric(WAITING, &[], 0.0).await;
    server.wait_for_metric(IDLE, &[], 1.0).await;
    assert_eq!(server.metric(TOTAL, &[]).await, 1.0);
}

#[tokio::test]
async fn the_total_is_what_postgresql_sees() {
    let Stage { server, db, .. } = Stage::start_with(|options| options.env("DB_POOL", "3")).await;
    let alice = db.person("alice").await;
    let lock = db.lock("oauth_access_tokens").await;
    let headers = [("Authorization", alice.token.as_str())];
    let first = Sse::try_open(&server, "/api/v1/streaming/user", &headers);
    let seen = async {
        server.wait_for_metric(IDLE, &[], 0.0).await;
        // A second statement while the first is under way takes a second connection.
        let second = async { Ws::try_open(&server, "/", &headers).await.is_ok() };
        let third = async {
            eventually("second connection", || async { db.connections().await == 2 }).await;
            server.wait_for_metric(TOTAL, &[], 2.0).await;
            lock.release().await;
        };
        tokio::join!(second, third).0
    };
    let (first, second) = tokio::join!(first, seen);
    assert!(first.is_ok() && second);
    server.wait_for_metric(IDLE, &[], 2.0).await;
}
