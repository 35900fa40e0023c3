//! The database: how it is reached, and statements sent to it.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::metrics::gauge::Gauge;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor, Row,
    postgres::{PgConnectOptions, PgRow, PgSslMode},
};

use super::{
    Missing, StoreError,
    complaints::Complaints,
    pool::{ACQUIRE_TIMEOUT, NoConnection, Pool, close},
    trouble::Trouble,
};
use crate::telemetry::Metrics;

/// How long a statement may take.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);

/// For how long a server that refuses is tried again where nobody wants to know at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// How PostgreSQL is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// A host name, an address, or the folder of a unix socket.
    pub host: String,
    /// The port; part of the socket's name too.
    pub port: u16,
    /// The database.
    pub name: String,
    /// The role.
    pub user: String,
    /// Its password; empty for none.
    pub password: String,
    /// Whether the connection is TLS.
    pub tls: TlsMode,
    /// Certificates of authorities to trust besides the system's, in PEM.
    pub root_certificate: Option<PathBuf>,
    /// Certificate and key to show, in PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Settings for each connection, as of `options=-c name=value`.
    pub settings: Vec<(String, String)>,
    /// Connections at most.
    pub pool: u32,
    /// The variable that the address comes from, for messages.
    pub variable: &'static str,
}

/// What TLS is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Off,
    /// TLS with whoever answers.
    Unverified,
    /// TLS with a server whose certificate is valid for its name.
    Verified,
}

impl DatabaseConfig {
    /// Where the database is, for messages.
    pub fn address(&self) -> String {
        if self.host.starts_with('/') {
            format!("unix:{}/.s.PGSQL.{}", self.host, self.port)
        } else if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn options(&self) -> PgConnectOptions {
        // PgBouncer refuses start-up parameters that it does not know, `extra_float_digits` among them.
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .password(&self.password)
            .database(&self.name)
            .application_name("")
            .extra_float_digits(None)
            .statement_cache_capacity(0)
            .ssl_mode(match self.tls {
                TlsMode::Off => PgSslMode::Disable,
                TlsMode::Unverified => PgSslMode::Require,
                TlsMode::Verified => PgSslMode::VerifyFull,
            });
        if let Some(certificate) = &self.root_certificate {
            options = options.ssl_root_cert(certificate);
        }
        if let Some((certificate, key)) = &self.client_certificate {
            options = options.ssl_client_cert(certificate).ssl_client_key(key);
        }
        if !self.settings.is_empty() {
            options = options.options(self.settings.iter().map(|(name, value)| (name, value)));
        }
        // Statements contain tokens: the library must not log any.
        options.disable_statement_logging()
    }
}

/// The database, and a pool of connections to it.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
    options: Arc<PgConnectOptions>,
    trouble: Arc<Trouble>,
    complaints: Arc<Complaints>,
    metrics: Arc<Metrics>,
}

impl Database {
    /// A pool that connects when it is first used.
    pub fn new(config: &DatabaseConfig, metrics: Arc<Metrics>) -> Self {
        let options = config.options();
        let pool = Pool::new(options.clone(), config.pool);
        let (trouble, complaints) = (Arc::new(Trouble::new(config)), Arc::default());
        Self { pool, options: Arc::new(options), trouble, complaints, metrics }
    }

    /// The rows of one statement, which is sent as it stands. A server that refuses is told of at once.
    pub(super) async fn rows(&self, statement: String) -> Result<Vec<PgRow>, StoreError> {
        self.rows_within(Duration::ZERO, statement).await
    }

    /// The rows of one statement, which is sent as it stands. A server that refuses may soon be back: it is tried again
    /// for a while.
    pub(super) async fn rows_patiently(&self, statement: String) -> Result<Vec<PgRow>, StoreError> {
        self.rows_within(PATIENCE, statement).await
    }

    async fn rows_within(&self, patience: Duration, statement: String) -> Result<Vec<PgRow>, StoreError> {
        let waiting = Waiting::new(&self.metrics.pg_pool.waiting);
        let acquired = self.pool.acquire(patience).await;
        drop(waiting);
        let mut lease = acquired.map_err(|reason| {
            // A pool that is too small is no outage.
            if !matches!(reason, NoConnection::AllInUse) {
                self.complaints.lost();
            }
            self.trouble.no_connection(&reason)
        })?;
        let fetching = lease.connection().fetch_all(sqlx::raw_sql(AssertSqlSafe(statement)));
        let Ok(rows) = tokio::time::timeout(STATEMENT_TIMEOUT, fetching).await else { return Err(self.late()) };
        // After a word of the server the connection still works.
        if rows.as_ref().map_or_else(|error| error.as_database_error().is_some(), |_| true) {
            lease.release();
            self.mark_up();
        } else {
            self.complaints.lost();
        }
        rows.map_err(|error| self.describe(&error))
    }

    /// The end of an outage is told, as its beginning was by whoever noticed it.
    fn mark_up(&self) {
        if let Some(down) = self.complaints.answered() {
            tracing::info!(address = self.address(), down_s = down.as_secs(), "connected to postgresql");
        }
    }

    /// Where the database is, for messages.
    pub fn address(&self) -> &str {
        self.trouble.address()
    }

    /// Connects, apart from the pool: what goes wrong is told at once.
    pub async fn probe(&self) -> Result<(), StoreError> {
        match tokio::time::timeout(ACQUIRE_TIMEOUT, self.options.connect()).await {
            Ok(Ok(connection)) => {
                close(connection).await;
                Ok(())
            }
            Ok(Err(error)) => Err(self.describe(&error)),
            Err(_) => Err(self.trouble.silent()),
        }
    }

    /// The server's version, and how long an answer takes.
    pub async fn version(&self) -> Result<(String, Duration), StoreError> {
        self.probe().await?;
        let asked = Instant::now();
        let rows = self.rows("SHOW server_version".to_owned()).await?;
        let latency = asked.elapsed();
        let version = rows.first().map_or(Ok(String::new()), |row| row.try_get(0));
        Ok((version.map_err(|error| self.describe(&error))?, latency))
    }

    /// What of [`REQUIRED_COLUMNS`] is not there, or may not be read, asked over a connection apart from the pool.
    pub async fn missing_columns(&self) -> Result<Missing, StoreError> {
        let statement = "SELECT c.relname::text, a.attname::text, has_column_privilege(c.oid, a.attnum, 'SELECT') \
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE pg_table_is_visible(c.oid) AND c.relnamespace <> 'pg_catalog'::regnamespace \
             AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped";
        let asking = async {
            let mut connection = self.options.connect().await?;
            let rows = connection.fetch_all(sqlx::raw_sql(statement)).await;
            close(connection).await;
            let rows = rows?;
            let columns = rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?)));
            columns.collect::<Result<HashMap<_, _>, sqlx::Error>>()
        };
        match tokio::time::timeout(STATEMENT_TIMEOUT, asking).await {
            Ok(found) => found.map(|found| Missing::among(&found)).map_err(|error| self.describe(&error)),
            Err(_) => Err(self.late()),
        }
    }

    /// Brings the metrics of the pool up to date.
    pub fn observe(&self) {
        let count = |connections: usize| i64::try_from(connections).unwrap_or(i64::MAX);
        self.metrics.pg_pool.total.set(count(self.pool.open()));
        self.metrics.pg_pool.idle.set(count(self.pool.idle()));
    }

    /// Closes connections that nobody needs any more, for ever.
    pub(super) async fn reap(&self) {
        self.pool.reap().await;
    }

    /// What the log is told of look-ups that fail.
    pub(super) fn complaints(&self) -> Arc<Complaints> {
        Arc::clone(&self.complaints)
    }

    /// A time limit for a look-up that shares a statement with others: long enough to wait for a connection.
    pub(super) fn lookup_limit() -> Duration {
        ACQUIRE_TIMEOUT
    }

    /// The error of a look-up that did not come back within its limit.
    pub(super) fn late(&self) -> StoreError {
        self.trouble.slow()
    }

    pub(super) fn describe(&self, error: &sqlx::Error) -> StoreError {
        self.trouble.describe(error)
    }
}

/// Counts a statement that waits for a connection, also if it stops waiting because nobody wants it any more.
struct Waiting<'a>(&'a Gauge);

impl<'a> Waiting<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Every column that the server reads, by table.
pub const REQUIRED_COLUMNS: [(&str, &[&str]); 11] = [
    ("oauth_access_tokens", &["id", "token", "scopes", "resource_owner_id", "revoked_at", "created_at", "expires_in"]),
    ("users", &["id", "account_id", "disabled", "chosen_languages", "role_id"]),
    ("accounts", &["id", "suspended_at"]),
    ("user_roles", &["id", "permissions"]),
    ("lists", &["id", "account_id"]),
    ("settings", &["var", "value"]),
    ("blocks", &["account_id", "target_account_id"]),
    ("mutes", &["account_id", "target_account_id", "expires_at"]),
    ("account_domain_blocks", &["account_id", "domain"]),
    ("custom_filters", &["id", "account_id", "phrase", "context", "expires_at", "action"]),
    ("custom_filter_keywords", &["id", "custom_filter_id", "keyword", "whole_word"]),
];
