//! Many viewers and many blocks.

use crate::support::*;

pub const VIEWERS: usize = 1_000;

/// Many local persons and as many remote accounts, with 100,000 blocks among them: each viewer blocks a hundred remote
/// accounts (unchecked, which is much faster). Returns the persons, in the order of their names, and the remote accounts.
pub async fn crowd(db: &Database) -> (Vec<Person>, Vec<i64>) {
    db.execute(format!(
        "INSERT INTO accounts (id, username, domain, created_at, updated_at) \
             SELECT 1000000 + n, 'viewer' || n, NULL, now(), now() FROM generate_series(1, {VIEWERS}) n; \
         INSERT INTO accounts (id, username, domain, created_at, updated_at) \
             SELECT 2000000 + n, 'remote' || n, 'remote.example', now(), now() FROM generate_series(1, 1000) n; \
         INSERT INTO users (id, email, account_id, created_at, updated_at) \
             SELECT n, 'viewer' || n || '@local.example', 1000000 + n, now(), now() FROM generate_series(1, {VIEWERS}) n; \
         INSERT INTO oauth_access_tokens (id, token, resource_owner_id, scopes, created_at) \
             SELECT n, 'token-of-viewer-' || n, n, 'read', now() FROM generate_series(1, {VIEWERS}) n; \
         ALTER TABLE blocks DROP CONSTRAINT blocks_account_id_fkey, DROP CONSTRAINT blocks_target_account_id_fkey; \
         INSERT INTO blocks (account_id, target_account_id, created_at, updated_at) \
             SELECT 1000000 + n, 2000000 + (n * 7 + m * 10) % 1000 + 1, now(), now() \
             FROM generate_series(1, {VIEWERS}) n, generate_series(1, 100) m; \
         ANALYZE"
    ))
    .await;
    assert_eq!(db.number("SELECT count(*) FROM blocks").await, 100_000);
    let person = |n: i64| Person {
        account_id: 1_000_000 + n,
        username: format!("viewer{n}"),
        user_id: n,
        token_id: n,
        token: format!("token-of-viewer-{n}"),
    };
    ((1..=VIEWERS as i64).map(person).collect(), (1..=1000).map(|n| 2_000_000 + n).collect())
}
