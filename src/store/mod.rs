//! What PostgreSQL knows: tokens, lists, settings, relations, filters; and, for the demo, the same from memory.

mod batch;
mod complaints;
mod database;
mod embedded;
mod filters;
mod literal;
mod lookups;
mod pool;
mod refusals;
mod schema;
mod screening;
mod trouble;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

pub use database::{Database, DatabaseConfig, REQUIRED_COLUMNS, TlsMode};
pub use embedded::Embedded;
pub use lookups::Postgres;
pub use schema::Missing;

use crate::domain::{AccountId, ListId, Refusal, TokenId, Viewer, filter::CustomFilter, stream::Feed};

/// Why something could not be looked up.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, serves nobody, or did not answer in time.
    #[error("the database at {address} {cause}")]
    Unreachable {
        /// Where it should be.
        address: Arc<str>,
        /// What it does, why, and in brackets the variables to look at.
        cause: Arc<str>,
    },
    /// The database was reached and refused the statement.
    #[error("the database at {address} failed a statement: {cause}")]
    Failed {
        /// Where it is.
        address: Arc<str>,
        /// What it said.
        cause: Arc<str>,
    },
}

impl From<&StoreError> for Refusal {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Unreachable { .. } => Self::Unavailable,
            StoreError::Failed { .. } => Self::Internal,
        }
    }
}

/// Which statuses the instance closed to ordinary viewers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedSettings {
    /// `local_live_feed_access` is `disabled`.
    pub local_live_closed: bool,
    /// `remote_live_feed_access` is `disabled`.
    pub remote_live_closed: bool,
    /// `local_topic_feed_access` is `disabled`.
    pub local_topic_closed: bool,
    /// `remote_topic_feed_access` is `disabled`.
    pub remote_topic_closed: bool,
}

impl FeedSettings {
    /// Whether local and remote statuses of a feed are closed.
    pub fn closed(&self, feed: Feed) -> (bool, bool) {
        match feed {
            Feed::Live => (self.local_live_closed, self.remote_live_closed),
            Feed::Topic => (self.local_topic_closed, self.remote_topic_closed),
        }
    }
}

/// Whose relations decide who may not see a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relations {
    /// Those who would see it.
    pub viewers: Vec<AccountId>,
    /// Who wrote it.
    pub author: AccountId,
    /// Whom it mentions.
    pub mentions: Vec<AccountId>,
    /// The domain of its author, if remote.
    pub domain: Option<String>,
}

/// What accounts there are.
#[derive(Debug)]
pub enum Store {
    /// Mastodon's database.
    Postgres(Postgres),
    /// The demo's account.
    Embedded(Embedded),
}

impl Store {
    /// Whose token this is; `None` if it opens nothing.
    pub async fn viewer(&self, token: String) -> Result<Option<Viewer>, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.viewer(token).await,
            Self::Embedded(embedded) => Ok(embedded.viewer(&token)),
        }
    }

    /// Those of the tokens that still open something, or have merely expired: one statement.
    pub async fn in_force(&self, tokens: &[TokenId]) -> Result<HashSet<TokenId>, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.in_force(tokens).await,
            Self::Embedded(embedded) => Ok(embedded.in_force(tokens)),
        }
    }

    /// Whether the list exists and belongs to the account.
    pub async fn owns_list(&self, account: AccountId, list: ListId) -> Result<bool, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.owns_list(account, list).await,
            Self::Embedded(embedded) => Ok(embedded.owns_list(account, list)),
        }
    }

    /// Which feeds the instance closed.
    pub async fn feed_settings(&self) -> Result<FeedSettings, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.feed_settings().await,
            Self::Embedded(_) => Ok(FeedSettings::default()),
        }
    }

    /// Those of the viewers from whom a status is kept by a block, a mute or a domain block: one statement.
    pub async fn hidden_from(&self, relations: &Relations) -> Result<HashSet<AccountId>, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.hidden_from(relations).await,
            Self::Embedded(_) => Ok(HashSet::new()),
        }
    }

    /// The custom filters of these accounts that are in force: one statement. An account without filters is missing.
    pub async fn filters(&self, accounts: &[AccountId]) -> Result<HashMap<AccountId, Vec<CustomFilter>>, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.filters(accounts).await,
            Self::Embedded(_) => Ok(HashMap::new()),
        }
    }
}
