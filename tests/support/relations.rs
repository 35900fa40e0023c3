//! Lists, blocks, mutes, filters and settings, as rows in Mastodon's tables. All take account ids.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use sqlx::Row;

use super::database::Database;

impl Database {
    /// A list of an account; returns its id.
    pub async fn list(&self, owner: i64) -> i64 {
        self.number(format!(
            "INSERT INTO lists (account_id, title, created_at, updated_at) \
             VALUES ({owner}, 'a list', {UTC_NOW}, {UTC_NOW}) RETURNING id"
        ))
        .await
    }

    /// `account` blocks `target`.
    pub async fn block(&self, account: i64, target: i64) {
        self.execute(format!(
            "INSERT INTO blocks (account_id, target_account_id, created_at, updated_at) \
             VALUES ({account}, {target}, {UTC_NOW}, {UTC_NOW})"
        ))
        .await;
    }

    /// `account` mutes `target` for good.
    pub async fn mute(&self, account: i64, target: i64) {
        self.execute(format!(
            "INSERT INTO mutes (account_id, target_account_id, created_at, updated_at) \
             VALUES ({account}, {target}, {UTC_NOW}, {UTC_NOW})"
        ))
        .await;
    }

    /// `account` mutes `target` until so many seconds from now, which may be negative.
    pub async fn mute_for(&self, account: i64, target: i64, seconds: f64) {
        self.execute(format!(
            "INSERT INTO mutes (account_id, target_account_id, expires_at, created_at, updated_at) \
             VALUES ({account}, {target}, {UTC_NOW} + make_interval(secs => {seconds}), {UTC_NOW}, {UTC_NOW})"
        ))
        .await;
    }

    /// `account` blocks a domain.
    pub async fn block_domain(&self, account: i64, domain: &str) {
        sqlx::query(
            "INSERT INTO account_domain_blocks (account_id, domain, created_at, updated_at) \
             VALUES ($1, $2, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')",
        )
        .bind(account)
        .bind(domain)
        .execute(self.pool())
        .await
        .expect("a domain block can be inserted");
    }

    /// Sets one of the instance's settings; `value` is YAML as Rails writes it (`"--- disabled\n"`).
    pub async fn setting(&self, var: &str, value: &str) {
        sqlx::query(
            "INSERT INTO settings (var, value, created_at, updated_at) \
             VALUES ($1, $2, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC') \
             ON CONFLICT (var) DO UPDATE SET value = $2",
        )
        .bind(var)
        .bind(value)
        .execute(self.pool())
        .await
        .expect("a setting can be written");
    }

    /// A custom filter of an account, to be modified and awaited; returns its id.
    pub fn filter(&self, owner: i64, title: &str) -> NewFilter<'_> {
        NewFilter {
            database: self,
            owner,
            title: title.to_owned(),
            keywords: Vec::new(),
            context: vec!["home".to_owned(), "public".to_owned()],
            action: 0,
            expires_in: None,
        }
    }
}

const UTC_NOW: &str = "now() AT TIME ZONE 'UTC'";

/// A custom filter to be inserted; awaiting it does so.
#[must_use = "await it"]
pub struct NewFilter<'a> {
    database: &'a Database,
    owner: i64,
    title: String,
    keywords: Vec<(String, bool)>,
    context: Vec<String>,
    action: i32,
    expires_in: Option<f64>,
}

impl NewFilter<'_> {
    /// A keyword that matches anywhere.
    pub fn keyword(mut self, keyword: &str) -> Self {
        self.keywords.push((keyword.to_owned(), false));
        self
    }

    /// A keyword that matches whole words only.
    pub fn whole_word(mut self, keyword: &str) -> Self {
        self.keywords.push((keyword.to_owned(), true));
        self
    }

    /// Where it applies (default: home and public).
    pub fn context(mut self, context: &[&str]) -> Self {
        self.context = context.iter().map(std::string::ToString::to_string).collect();
        self
    }

    /// 0 warn, 1 hide, 2 blur.
    pub fn action(mut self, action: i32) -> Self {
        self.action = action;
        self
    }

    /// Until so many seconds from now, which may be negative (default: for good).
    pub fn expires_in(mut self, seconds: f64) -> Self {
        self.expires_in = Some(seconds);
        self
    }

    /// One statement, so that no server sees a filter whose keywords are still to come.
    async fn insert(self) -> i64 {
        let (words, whole): (Vec<String>, Vec<bool>) = self.keywords.into_iter().unzip();
        let row = sqlx::query(
            "WITH filter AS ( \
                 INSERT INTO custom_filters (account_id, phrase, context, action, expires_at, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, now() AT TIME ZONE 'UTC' + make_interval(secs => $5), \
                 now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC') RETURNING id \
             ), words AS ( \
                 INSERT INTO custom_filter_keywords (custom_filter_id, keyword, whole_word, created_at, updated_at) \
                 SELECT filter.id, keyword, whole, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC' \
                 FROM filter, unnest($6::text[], $7::boolean[]) WITH ORDINALITY AS given (keyword, whole, place) \
                 ORDER BY place \
             ) SELECT id FROM filter",
        )
        .bind(self.owner)
        .bind(self.title)
        .bind(self.context)
        .bind(self.action)
        .bind(self.expires_in)
        .bind(words)
        .bind(whole)
        .fetch_one(self.database.pool())
        .await
        .expect("a filter can be inserted");
        row.get(0)
    }
}

impl<'a> IntoFuture for NewFilter<'a> {
    type Output = i64;
    type IntoFuture = Pin<Box<dyn Future<Output = i64> + Send + 'a>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.insert())
    }
}
