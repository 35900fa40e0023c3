//! What is said to those who get nothing.

use serde_json::json;

use crate::support::*;

const INTERNAL: &str = "An unexpected error occurred";

#[tokio::test]
async fn an_error_is_a_json_object_with_the_message_alone() {
    let Stage { server, db, .. } = Stage::start().await;
    let (alice, bob) = (db.person("alice").await, db.person("bob").scopes("write").await);
    let foreign = format!("list?list={}", db.list(bob.account_id).await);
    for (path, token, status, message) in [
        ("user", "", 401, "Missing access token"),
        ("user", "wrong", 401, "Invalid access token"),
        ("user", &bob.token, 401, "Access token does not have the required scopes"),
        ("hashtag", &alice.token, 400, "Missing tag name parameter"),
        ("hashtag/local?tag=", &alice.token, 400, "Missing tag name parameter"),
        ("list", &alice.token, 400, "Missing list name parameter"),
        (&foreign, &alice.token, 401, "Not authorized to stream this list"),
        ("nothing", &alice.token, 400, "Unknown channel requested"),
    ] {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str())];
        let headers = if token.is_empty() { &[] } else { &headers[..] };
        let answer = server.request("GET", &format!("/api/v1/streaming/{path}"), headers).await;
        assert_eq!((answer.status, answer.json()), (status, json!({"error": message})), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
}

/// Fails the statements that look something up, one kind after the other, and asks for what needs it.
#[tokio::test]
async fn a_statement_that_fails_is_an_internal_error_of_which_nothing_more_is_said() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    let list = format!("list?list={}", db.list(alice.account_id).await);
    for (table, path) in [("settings", "public"), ("lists", list.as_str()), ("oauth_access_tokens", "user")] {
        let path = format!("/api/v1/streaming/{path}");
        db.execute(format!("ALTER TABLE {table} RENAME TO moved")).await;
        let answer = server.get_as(&path, &alice.token).await;
        assert_eq!((answer.status, answer.json()), (500, json!({"error": INTERNAL})), "{table}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{table}");
        assert_eq!(answer.header("retry-after"), None, "{table}");
        let leaks = format!("{answer:?}").to_lowercase();
        assert!(!leaks.contains(table) && !leaks.contains("relation") && !leaks.contains("sql"), "{leaks}");
        db.execute(format!("ALTER TABLE moved RENAME TO {table}")).await;
        drop(Sse::open(&server, &path, &alice.token).await);
    }
}

#[tokio::test]
async fn a_statement_that_fails_refuses_a_handshake_with_500() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    db.execute("ALTER TABLE oauth_access_tokens RENAME TO moved").await;
    let headers = [("Authorization", alice.token.as_str())];
    let answer = Ws::try_open(&server, "/", &headers).await.err().expect("refused");
    assert_eq!((answer.status, answer.header("x-error-message")), (500, Some(INTERNAL)));
    assert_eq!(answer.body, b"");
}

#[tokio::test]
async fn a_statement_that_fails_is_logged_without_the_token() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    db.execute("ALTER TABLE oauth_access_tokens RENAME TO moved").await;
    assert_eq!(server.get_as("/api/v1/streaming/user", &alice.token).await.status, 500);
    server.wait_for_log(|line| line.text.contains("oauth_access_tokens") && line.level() == "WARN").await;
    let token_in_hex: String = alice.token.bytes().map(|byte| format!("{byte:02x}")).collect();
    for line in server.logs() {
        assert!(!line.text.contains(&alice.token) && !line.text.contains(&token_in_hex), "{}", line.text);
    }
}
