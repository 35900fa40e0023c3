//! Accounts, and what goes with them, as rows in Mastodon's tables.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use sqlx::Row;

use super::database::Database;

/// An account, local or remote, of which nothing more is needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    pub account_id: i64,
    pub username: String,
    /// None if local.
    pub domain: Option<String>,
}

impl Account {
    /// `bob`, or `bob@remote.example` if remote.
    pub fn acct(&self) -> String {
        match &self.domain {
            Some(domain) => format!("{}@{domain}", self.username),
            None => self.username.clone(),
        }
    }
}

impl From<&Account> for Account {
    fn from(account: &Account) -> Self {
        account.clone()
    }
}

impl From<&Person> for Account {
    fn from(person: &Person) -> Self {
        Self { account_id: person.account_id, username: person.username.clone(), domain: None }
    }
}

/// A local account with a user and an access token.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    pub account_id: i64,
    pub username: String,
    pub user_id: i64,
    pub token_id: i64,
    pub token: String,
}

/// A token beside a person's first one.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub id: i64,
    pub token: String,
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A person to be inserted; awaiting it does so.
#[must_use = "await it"]
pub struct NewPerson<'a> {
    database: &'a Database,
    username: String,
    scopes: Option<String>,
    chosen_languages: Option<Vec<String>>,
    permissions: Option<i64>,
    disabled: bool,
    suspended: bool,
    revoked: bool,
    expires_in: Option<i32>,
    age: f64,
}

impl NewPerson<'_> {
    /// The token's scopes, separated by spaces (default: `read`).
    pub fn scopes(mut self, scopes: &str) -> Self {
        self.scopes = Some(scopes.to_owned());
        self
    }

    /// A token whose scopes are null.
    pub fn null_scopes(mut self) -> Self {
        self.scopes = None;
        self
    }

    /// The languages the user wants to see (default: null, all).
    pub fn chosen_languages(mut self, languages: &[&str]) -> Self {
        self.chosen_languages = Some(languages.iter().map(std::string::ToString::to_string).collect());
        self
    }

    /// A role of its own with these permission bits (default: no role).
    pub fn role(mut self, permissions: i64) -> Self {
        self.permissions = Some(permissions);
        self
    }

    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    pub fn suspended(mut self) -> Self {
        self.suspended = true;
        self
    }

    /// With a revoked token.
    pub fn revoked(mut self) -> Self {
        self.revoked = true;
        self
    }

    /// With a token that lives so many seconds from its creation (default: for ever).
    pub fn expires_in(mut self, seconds: i32) -> Self {
        self.expires_in = Some(seconds);
        self
    }

    /// With a token made so many seconds ago.
    pub fn token_age(mut self, seconds: f64) -> Self {
        self.age = seconds;
        self
    }

    async fn insert(self) -> Person {
        let database = self.database;
        let account = database.account(&self.username).await;
        if self.suspended {
            let id = account.account_id;
            database.execute(format!("UPDATE accounts SET suspended_at = {UTC_NOW} WHERE id = {id}")).await;
        }
        let role = match self.permissions {
            Some(permissions) => Some(database.role(permissions).await),
            None => None,
        };
        let user = sqlx::query(
            "INSERT INTO users (email, account_id, disabled, chosen_languages, role_id, confirmed_at, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC') \
             RETURNING id",
        )
        .bind(format!("{}@local.example", self.username))
        .bind(account.account_id)
        .bind(self.disabled)
        .bind(&self.chosen_languages)
        .bind(role)
        .fetch_one(database.pool())
        .await
        .expect("a user can be inserted");
        let user_id: i64 = user.get(0);
        let token = sqlx::query(
            "INSERT INTO oauth_access_tokens (token, resource_owner_id, scopes, expires_in, created_at, revoked_at) VALUES \
             ($1, $2, $3, $4, now() AT TIME ZONE 'UTC' - make_interval(secs => $5), \
             CASE WHEN $6 THEN now() AT TIME ZONE 'UTC' END) RETURNING id, token",
        )
        .bind(new_token())
        .bind(user_id)
        .bind(&self.scopes)
        .bind(self.expires_in)
        .bind(self.age)
        .bind(self.revoked)
        .fetch_one(database.pool())
        .await
        .expect("a token can be inserted");
        Person {
            account_id: account.account_id,
            username: self.username,
            user_id,
            token_id: token.get(0),
            token: token.get(1),
        }
    }
}

impl<'a> IntoFuture for NewPerson<'a> {
    type Output = Person;
    type IntoFuture = Pending<'a, Person>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.insert())
    }
}

/// Like a real one: 43 characters of base64url.
fn new_token() -> String {
    let character = || match fastrand::u8(..64) {
        62 => '-',
        63 => '_',
        _ => fastrand::alphanumeric(),
    };
    std::iter::repeat_with(character).take(43).collect()
}

const UTC_NOW: &str = "now() AT TIME ZONE 'UTC'";

impl Database {
    /// A local person with a token, to be modified and awaited.
    pub fn person(&self, username: &str) -> NewPerson<'_> {
        NewPerson {
            database: self,
            username: username.to_owned(),
            scopes: Some("read".to_owned()),
            chosen_languages: None,
            permissions: None,
            disabled: false,
            suspended: false,
            revoked: false,
            expires_in: None,
            age: 0.0,
        }
    }

    /// An account without user: local (`bob`) or remote (`bob@remote.example`).
    pub async fn account(&self, acct: &str) -> Account {
        let (username, domain) = match acct.split_once('@') {
            Some((username, domain)) => (username, Some(domain)),
            None => (acct, None),
        };
        let row = sqlx::query(
            "INSERT INTO accounts (username, domain, created_at, updated_at) \
             VALUES ($1, $2, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC') RETURNING id",
        )
        .bind(username)
        .bind(domain)
        .fetch_one(self.pool())
        .await
        .expect("an account can be inserted");
        Account { account_id: row.get(0), username: username.to_owned(), domain: domain.map(str::to_owned) }
    }

    /// A further token of a person.
    pub async fn token(&self, person: &Person, scopes: &str) -> Token {
        let token = new_token();
        let row = sqlx::query(
            "INSERT INTO oauth_access_tokens (token, resource_owner_id, scopes, created_at) \
             VALUES ($1, $2, $3, now() AT TIME ZONE 'UTC') RETURNING id",
        )
        .bind(&token)
        .bind(person.user_id)
        .bind(scopes)
        .fetch_one(self.pool())
        .await
        .expect("a token can be inserted");
        Token { id: row.get(0), token }
    }

    /// A role with these permission bits; returns its id.
    pub async fn role(&self, permissions: i64) -> i64 {
        self.number(format!(
            "INSERT INTO user_roles (name, permissions, created_at, updated_at) \
             VALUES ('role of a test', {permissions}, {UTC_NOW}, {UTC_NOW}) RETURNING id"
        ))
        .await
    }
}
