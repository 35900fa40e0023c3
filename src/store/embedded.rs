//! The accounts of the demo.

use std::collections::HashSet;

use crate::domain::{AccountId, ListId, TokenId, Viewer};

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

    pub(super) fn in_force(&self, tokens: &[TokenId]) -> HashSet<TokenId> {
        let known = self.tokens.iter().map(|(_, viewer)| viewer.token);
        known.filter(|token| tokens.contains(token)).collect()
    }

    pub(super) fn owns_list(&self, account: AccountId, list: ListId) -> bool {
        self.lists.contains(&(account, list))
    }
}
