//! Accounts by the thousand, each with a token that is known from its id.

use std::ops::Range;

use super::support::Database;

/// Ids are as long as Mastodon's.
const FIRST: i64 = 110_000_000_000_000_000;

/// Makes so many, whose ids follow each other.
pub async fn create(database: &Database, count: usize) -> Range<i64> {
    let last = FIRST + i64::try_from(count).expect("a few thousand") - 1;
    database
        .execute(format!(
            "WITH a AS (INSERT INTO accounts (id, username, created_at, updated_at) \
                 SELECT id, 'token' || id, now(), now() FROM generate_series({FIRST}, {last}) AS id \
                 RETURNING id, username), \
             u AS (INSERT INTO users (email, account_id, disabled, confirmed_at, created_at, updated_at) \
                 SELECT username, id, false, now(), now(), now() FROM a RETURNING id, email) \
             INSERT INTO oauth_access_tokens (token, resource_owner_id, scopes, created_at) \
                 SELECT email, id, 'read', now() FROM u"
        ))
        .await;
    FIRST..last + 1
}

/// The first of them, made unless it is there.
pub async fn one(database: &Database) -> i64 {
    if database.number("SELECT count(*) FROM accounts").await == 0 {
        create(database, 1).await;
    }
    FIRST
}

/// The token of an account.
pub fn token(account: i64) -> String {
    format!("token{account}")
}

/// The channel of its home feed.
pub fn home(account: i64) -> String {
    format!("timeline:{account}")
}
