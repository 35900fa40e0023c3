//! Tokens, lists and settings: what is looked up when a client connects or subscribes.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use sqlx::{Row, postgres::PgRow};

use super::{Database, FeedSettings, StoreError, batch::Batch, literal};
use crate::{
    domain::{
        AccountId, ListId, TokenId, Viewer, json,
        json::Value,
        viewer::{Permissions, Scopes},
    },
    lifecycle::Lifecycle,
};

/// Mastodon's tokens have 43 bytes. What is far longer is not looked up, as it would only make a shared statement slow.
const LONGEST_TOKEN: usize = 1_024;

/// Mastodon's database.
#[derive(Debug)]
pub struct Postgres {
    pub(super) database: Database,
    viewers: Batch<String, Option<Viewer>>,
    lists: Batch<(AccountId, ListId), bool>,
    settings: Batch<(), FeedSettings>,
}

impl Postgres {
    /// Starts the tasks that gather look-ups and close connections that nobody needs.
    pub fn new(database: Database, lifecycle: &Lifecycle) -> Self {
        let (tokens, lists, settings) = (database.clone(), database.clone(), database.clone());
        let complaints = database.complaints();
        let pool = database.clone();
        lifecycle.spawn_lasting("idle connections", async move { pool.reap().await });
        Self {
            database,
            viewers: Batch::new("token look-ups", lifecycle, &complaints, move |asked| {
                let database = tokens.clone();
                async move { viewers(&database, asked).await }
            }),
            lists: Batch::new("list look-ups", lifecycle, &complaints, move |asked| {
                let database = lists.clone();
                async move { owned_lists(&database, asked).await }
            }),
            settings: Batch::new("setting look-ups", lifecycle, &complaints, move |asked: Vec<()>| {
                let database = settings.clone();
                async move { Ok(vec![feed_settings(&database).await?; asked.len()]) }
            }),
        }
    }

    /// The pool of connections.
    pub fn database(&self) -> &Database {
        &self.database
    }

    pub(super) async fn viewer(&self, token: String) -> Result<Option<Viewer>, StoreError> {
        // PostgreSQL has no NUL in texts: no such token can be there. Nor one of another length than Mastodon makes them.
        if token.contains('\0') || token.len() > LONGEST_TOKEN {
            return Ok(None);
        }
        self.ask(&self.viewers, token).await
    }

    /// A token is held against the time when a session begins, and no more: Mastodon says nothing when one expires.
    pub(super) async fn in_force(&self, tokens: &[TokenId]) -> Result<HashSet<TokenId>, StoreError> {
        let ids = literal::ids(tokens.iter().map(|token| token.0));
        let rows = self.database.rows(valid_tokens("t.id", &format!("t.id = ANY({ids})"))).await?;
        let found: Result<_, _> = rows.iter().map(|row| row.try_get("id").map(TokenId)).collect();
        found.map_err(|error| self.database.describe(&error))
    }

    pub(super) async fn owns_list(&self, account: AccountId, list: ListId) -> Result<bool, StoreError> {
        self.ask(&self.lists, (account, list)).await
    }

    pub(super) async fn feed_settings(&self) -> Result<FeedSettings, StoreError> {
        self.ask(&self.settings, ()).await
    }

    async fn ask<Q, A>(&self, batch: &Batch<Q, A>, question: Q) -> Result<A, StoreError>
    where
        Q: Send + 'static,
        A: Send + 'static,
    {
        batch.ask(question, Database::lookup_limit()).await.unwrap_or_else(|| Err(self.database.late()))
    }
}

/// A statement that reads something of those of the tokens that are not revoked, and of nobody who is disabled or suspended.
///
/// What is looked up by a whole primary key stands in a statement of its own inside: so it takes less to plan, and however
/// many tokens are asked for, nobody joins them with all accounts there are.
fn valid_tokens(columns: &str, which: &str) -> String {
    format!(
        "SELECT {columns} FROM oauth_access_tokens t JOIN users u ON u.id = t.resource_owner_id \
         WHERE {which} AND t.revoked_at IS NULL AND u.disabled IS FALSE \
           AND (SELECT a.suspended_at IS NULL FROM accounts a WHERE a.id = u.account_id)"
    )
}

async fn viewers(database: &Database, tokens: Vec<String>) -> Result<Vec<Option<Viewer>>, StoreError> {
    let asked = literal::texts(tokens.iter().map(String::as_str));
    let statement = valid_tokens(
        "t.token, t.id, t.scopes, u.account_id, array_to_json(u.chosen_languages)::text AS languages, \
         (SELECT r.permissions FROM user_roles r WHERE r.id = u.role_id) AS permissions",
        &format!(
            "t.token = ANY({asked}) \
             AND (t.expires_in IS NULL OR t.created_at + t.expires_in * interval '1 second' > {NOW})"
        ),
    );
    let mut found = HashMap::new();
    for row in database.rows(statement).await? {
        let (token, viewer) = read_viewer(&row).map_err(|error| database.describe(&error))?;
        found.insert(token, viewer);
    }
    Ok(tokens.iter().map(|token| found.get(token).cloned()).collect())
}

fn read_viewer(row: &PgRow) -> Result<(String, Viewer), sqlx::Error> {
    let scopes: Option<String> = row.try_get("scopes")?;
    let languages: Option<String> = row.try_get("languages")?;
    let viewer = Viewer {
        account: AccountId(row.try_get("account_id")?),
        token: TokenId(row.try_get("id")?),
        scopes: Scopes::parse(scopes.as_deref().unwrap_or_default()),
        languages: languages.map(|array| strings(&array)),
        permissions: Permissions(row.try_get::<Option<i64>, _>("permissions")?.unwrap_or_default()),
    };
    Ok((row.try_get("token")?, viewer))
}

/// The strings of a JSON array that PostgreSQL made of an array of texts.
pub(super) fn strings(array: &str) -> Vec<String> {
    let elements = json::parse(array).and_then(Value::elements).unwrap_or_default();
    elements.into_iter().filter_map(Value::text).map(Cow::into_owned).collect()
}

async fn owned_lists(database: &Database, asked: Vec<(AccountId, ListId)>) -> Result<Vec<bool>, StoreError> {
    let lists = literal::ids(asked.iter().map(|(_, list)| list.0));
    let statement = format!("SELECT id, account_id FROM lists WHERE id = ANY({lists})");
    let mut owned = HashSet::new();
    for row in database.rows(statement).await? {
        let pair = || Ok((AccountId(row.try_get("account_id")?), ListId(row.try_get("id")?)));
        owned.insert(pair().map_err(|error| database.describe(&error))?);
    }
    Ok(asked.iter().map(|pair| owned.contains(pair)).collect())
}

async fn feed_settings(database: &Database) -> Result<FeedSettings, StoreError> {
    let statement = "SELECT var, value FROM settings WHERE var IN ('local_live_feed_access', \
         'remote_live_feed_access', 'local_topic_feed_access', 'remote_topic_feed_access')";
    let mut settings = FeedSettings::default();
    for row in database.rows(statement.to_owned()).await? {
        let (name, value): (String, Option<String>) = (|| Ok((row.try_get("var")?, row.try_get("value")?)))()
            .map_err(|error: sqlx::Error| database.describe(&error))?;
        // A YAML document, as Rails writes settings.
        let closed = value.as_deref() == Some("--- disabled\n");
        match name.as_str() {
            "local_live_feed_access" => settings.local_live_closed = closed,
            "remote_live_feed_access" => settings.remote_live_closed = closed,
            "local_topic_feed_access" => settings.local_topic_closed = closed,
            _ => settings.remote_topic_closed = closed,
        }
    }
    Ok(settings)
}

/// Time stamps in Mastodon's database are UTC without saying so.
pub(super) const NOW: &str = "(now() AT TIME ZONE 'UTC')";
