//! The accounts of the demo.

use crate::domain::{AccountId, ListId, Viewer};

/// Accounts that exist in this process only.
#[derive(Debug, Default)]
pub struct Embedded {
    tokens: Vec<(String, Viewer)>,
    lists: Vec<(AccountId, ListId)>,
}

impl Embedded {
    /// Accounts by their tokens, and who owns which list.
    pub fn new(tokens: Vec<(String, Viewer)>, lists: Vec<(AccountId, ListId)>) -> Self {
        Self { tokens, lists }
    }

    pub(super) fn viewer(&self, token: &str) -> Option<Viewer> {
        self.tokens.iter().find(|(known, _)| known == token).map(|(_, viewer)| viewer.clone())
    }

    pub(super) fn owns_list(&self, account: AccountId, list: ListId) -> bool {
        self.lists.contains(&(account, list))
    }
}
