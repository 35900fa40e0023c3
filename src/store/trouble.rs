//! What goes wrong at PostgreSQL, told to operators in plain words and with the variables to look at.

use std::{io, sync::Arc};

use sqlx::error::DatabaseError;

use super::{
    DatabaseConfig, StoreError, TlsMode,
    database::STATEMENT_TIMEOUT,
    pool::{ACQUIRE_TIMEOUT, NoConnection},
};
use crate::telemetry::{concerns_tls, plain_words};

/// What there is to say of a database in trouble.
#[derive(Debug)]
pub(super) struct Trouble {
    address: Arc<str>,
    host: String,
    user: String,
    name: String,
    pool: u32,
    is_encrypted: bool,
    /// Whether all but the size of the pool comes from `DATABASE_URL`.
    is_by_url: bool,
}

impl Trouble {
    pub(super) fn new(config: &DatabaseConfig) -> Self {
        Self {
            address: config.address().into(),
            host: config.host.clone(),
            user: config.user.clone(),
            name: config.name.clone(),
            pool: config.pool,
            is_encrypted: config.tls != TlsMode::Off,
            is_by_url: config.variable == "DATABASE_URL",
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Why there is no connection.
    pub(super) fn no_connection(&self, reason: &NoConnection) -> StoreError {
        match reason {
            NoConnection::Refused(error) => self.describe(error),
            NoConnection::Silent => self.silent(),
            NoConnection::AllInUse => {
                let (pool, limit_s) = (self.pool, ACQUIRE_TIMEOUT.as_secs());
                self.unreachable(format!("is busy: all {pool} connections were in use for {limit_s} s (DB_POOL)"))
            }
        }
    }

    /// A statement takes too long, whatever it waits for.
    pub(super) fn slow(&self) -> StoreError {
        self.unreachable(format!("did not answer a look-up within {} s", STATEMENT_TIMEOUT.as_secs()))
    }

    /// Nothing came when a connection was to be made.
    pub(super) fn silent(&self) -> StoreError {
        let (limit_s, variables) = (ACQUIRE_TIMEOUT.as_secs(), self.of_address());
        self.unreachable(format!("did not answer within {limit_s} s ({variables})"))
    }

    /// What the library says, without what is of no use to an operator, such as lines of PostgreSQL's own source.
    pub(super) fn describe(&self, error: &sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::Database(refused) => self.refused(&**refused),
            sqlx::Error::Io(error) => self.unreachable(self.io(error)),
            sqlx::Error::Tls(error) => {
                let error = error.to_string();
                self.unreachable(if error == "server does not support TLS" {
                    format!("offers no TLS; disable does without ({})", self.of_tls_mode())
                } else {
                    format!("cannot be reached by TLS: {error} ({})", self.of_tls())
                })
            }
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                self.failed(error.to_string())
            }
            _ => self.unreachable(format!("cannot be reached: {error} ({})", self.of_address())),
        }
    }

    fn io(&self, error: &io::Error) -> String {
        let debug = format!("{error:?}");
        let words = plain_words(&debug, &self.host).unwrap_or_else(|| error.to_string());
        if concerns_tls(&debug) {
            format!("cannot be trusted: {words} ({})", self.of_tls())
        } else if error.kind() == io::ErrorKind::NotFound && !self.host.starts_with('/') {
            // Over TCP it is no socket that is missing.
            "cannot be reached by TLS: a file is missing (sslrootcert, sslcert or sslkey in DATABASE_URL)".to_owned()
        } else {
            format!("cannot be reached: {words} ({})", self.of_address())
        }
    }

    /// By the codes of errors (PostgreSQL documentation, appendix A). A server that cannot serve at all: connection
    /// exceptions (08), invalid authorisation (28), no such database (3D), too many connections (53300), shutting down or
    /// starting up (57P). Of the others, a statement has failed.
    fn refused(&self, refused: &dyn DatabaseError) -> StoreError {
        let (code, message) = (refused.code().unwrap_or_default(), refused.message());
        let what = match &*code {
            "53300" => format!("has no connection left: {message} (DB_POOL)"),
            code if code.starts_with("28") => self.not_authorised(message),
            code if code.starts_with("3D") => {
                format!("refuses the database {}: {message} ({})", self.name, self.or_url("DB_NAME"))
            }
            code if code.starts_with("57P") => format!("is not ready: {message}"),
            code if code.starts_with("08") => {
                format!("refuses connections: {message} ({})", self.of_address())
            }
            // No such table, no such column.
            "42P01" | "42703" => return self.failed(format!("{message} ({})", self.or_url("DB_NAME"))),
            // Insufficient privilege.
            "42501" => return self.failed(format!("{message} ({})", self.or_url("DB_USER"))),
            _ => return self.failed(message.to_owned()),
        };
        self.unreachable(what)
    }

    fn not_authorised(&self, message: &str) -> String {
        let user = &self.user;
        // As it is told since version 14, and before.
        let for_lack_of_tls = ["no encryption", "SSL off"].iter().any(|words| message.contains(words));
        if message.contains("client certificate") {
            format!("refuses the role {user}: {message} (sslcert and sslkey in DATABASE_URL)")
        } else if for_lack_of_tls && !self.is_encrypted {
            let variables = self.of_tls_mode();
            format!("refuses the role {user} without TLS: {message} ({variables}, or pg_hba.conf at the server)")
        } else if message.contains("pg_hba.conf") {
            let variables = self.or_url("DB_USER and DB_NAME");
            format!("refuses the role {user}: {message} ({variables}, or pg_hba.conf at the server)")
        } else {
            format!("refuses the role {user}: {message} ({})", self.or_url("DB_USER and DB_PASS"))
        }
    }

    fn of_address(&self) -> &'static str {
        self.or_url("DB_HOST and DB_PORT")
    }

    fn of_tls_mode(&self) -> &'static str {
        if self.is_by_url { "sslmode in DATABASE_URL" } else { "DB_SSLMODE" }
    }

    fn of_tls(&self) -> &'static str {
        if self.is_by_url { "sslmode and sslrootcert in DATABASE_URL" } else { "DB_SSLMODE and SSL_CERT_FILE" }
    }

    fn or_url(&self, variables: &'static str) -> &'static str {
        if self.is_by_url { "DATABASE_URL" } else { variables }
    }

    fn unreachable(&self, cause: String) -> StoreError {
        StoreError::Unreachable { address: Arc::clone(&self.address), cause: cause.into() }
    }

    fn failed(&self, cause: String) -> StoreError {
        StoreError::Failed { address: Arc::clone(&self.address), cause: cause.into() }
    }
}
