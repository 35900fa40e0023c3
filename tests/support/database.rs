//! A database of one test, with Mastodon's tables in it.

use std::sync::Arc;

use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row};

use super::postgres::{FIXTURES, PASSWORD, Postgres, USER};

/// The database. It is dropped some time after this value.
pub struct Database {
    postgres: Arc<Postgres>,
    name: String,
    pool: PgPool,
}

/// A statement that a server under test ran.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Its name as prepared statement; none if it was unnamed or a simple query.
    pub name: Option<String>,
    pub text: String,
    /// The values of `$1`, `$2`, … as PostgreSQL logs them: `$1 = '42', $2 = NULL`.
    pub parameters: Option<String>,
}

impl Database {
    /// A new database in the cluster that all tests share.
    pub async fn create() -> Self {
        Postgres::shared().await.database().await
    }

    pub(super) fn new(postgres: Arc<Postgres>, name: String) -> Self {
        let pool = PgPoolOptions::new().max_connections(3).connect_lazy_with(postgres.options(USER, &name));
        Self { postgres, name, pool }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster in which it is.
    pub fn postgres(&self) -> &Arc<Postgres> {
        &self.postgres
    }

    /// For statements of a test's own.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Where a server finds it, as `DATABASE_URL` has it.
    pub fn url(&self) -> String {
        let password = PASSWORD.replace(' ', "%20");
        let port = self.postgres.port();
        format!("postgres://{USER}:{password}@127.0.0.1:{port}/{}", self.name)
    }

    /// Where a server finds it, as the variables `DB_*` have it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let port = self.postgres.port().to_string();
        let pairs = [
            ("DB_HOST", "127.0.0.1"),
            ("DB_PORT", &port),
            ("DB_USER", USER),
            ("DB_PASS", PASSWORD),
            ("DB_NAME", &self.name),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        pairs.map(owned).into()
    }

    /// Runs SQL (several statements are fine) and returns how many rows it concerned.
    #[track_caller]
    pub fn execute(&self, sql: impl Into<String>) -> impl Future<Output = u64> + Send {
        let sql = sql.into();
        async move {
            let done = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&self.pool).await;
            match done {
                Ok(done) => done.rows_affected(),
                Err(error) => panic!("{error} in: {sql}"),
            }
        }
    }

    /// A single number.
    pub async fn number(&self, sql: impl Into<String>) -> i64 {
        let sql = sql.into();
        let row = sqlx::query(AssertSqlSafe(sql.clone())).fetch_one(&self.pool).await;
        let row = row.unwrap_or_else(|error| panic!("{error} in: {sql}"));
        row.try_get(0).unwrap_or_else(|error| panic!("{error} in: {sql}"))
    }

    /// How many connections servers hold to it.
    pub async fn connections(&self) -> usize {
        let count = self
            .number(format!(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name <> '{FIXTURES}'",
                self.name
            ))
            .await;
        usize::try_from(count).expect("a count")
    }

    /// Closes all connections that servers hold to it.
    pub async fn drop_clients(&self) {
        self.execute(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = '{}' AND application_name <> '{FIXTURES}'",
            self.name
        ))
        .await;
    }

    /// The statements that servers have run in this database so far, in the order of the log.
    pub fn statements(&self) -> Vec<Statement> {
        let log = self.postgres.log();
        let mut statements: Vec<Statement> = Vec::new();
        for (text, database, application) in entries(&log) {
            if database != self.name || application == FIXTURES {
                continue;
            }
            if let Some(values) = text.strip_prefix("DETAIL:  parameters: ") {
                if let Some(last) = statements.last_mut() {
                    last.parameters = Some(values.to_owned());
                }
            } else if let Some(statement) = statement(&text) {
                statements.push(statement);
            }
        }
        statements
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.postgres.abandon(&self.name);
    }
}

/// The log's entries: text, database, application. Lines that continue one begin with a tab.
fn entries(log: &str) -> Vec<(String, &str, &str)> {
    let mut entries: Vec<(String, &str, &str)> = Vec::new();
    for line in log.lines() {
        let fields = line.strip_prefix("@|").map(|rest| rest.splitn(4, '|'));
        if let Some(mut fields) = fields {
            let (_pid, database) = (fields.next(), fields.next());
            let (application, text) = (fields.next(), fields.next());
            entries.push((
                text.unwrap_or_default().to_owned(),
                database.unwrap_or_default(),
                application.unwrap_or_default(),
            ));
        } else if let Some((text, ..)) = entries.last_mut() {
            text.push('\n');
            text.push_str(line.strip_prefix('\t').unwrap_or(line));
        }
    }
    entries
}

fn statement(text: &str) -> Option<Statement> {
    let (name, text) = if let Some(text) = text.strip_prefix("LOG:  statement: ") {
        (None, text)
    } else {
        let (name, text) = text.strip_prefix("LOG:  execute ")?.split_once(": ")?;
        (Some(name).filter(|name| *name != "<unnamed>"), text)
    };
    Some(Statement { name: name.map(str::to_owned), text: text.to_owned(), parameters: None })
}
