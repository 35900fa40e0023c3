//! Blocks, mutes and domain blocks: looked up for all viewers of a status at once, afresh for every status.

use std::collections::HashSet;

use sqlx::Row;

use super::{Postgres, Relations, StoreError, literal, lookups::NOW};
use crate::domain::AccountId;

impl Postgres {
    pub(super) async fn hidden_from(&self, relations: &Relations) -> Result<HashSet<AccountId>, StoreError> {
        let rows = self.database.rows_patiently(statement(relations)).await?;
        let hidden: Result<_, sqlx::Error> = rows.iter().map(|row| row.try_get(0).map(AccountId)).collect();
        hidden.map_err(|error| self.database.describe(&error))
    }
}

/// A viewer does not see whom it blocks or mutes, nor who mentions those, nor whoever blocks it, nor a domain that it
/// blocks. A mentioned account that blocks the viewer does not count.
fn statement(relations: &Relations) -> String {
    let author = relations.author;
    let viewers = literal::ids(relations.viewers.iter().map(|viewer| viewer.0));
    let targets =
        literal::ids(std::iter::once(author).chain(relations.mentions.iter().copied()).map(|target| target.0));
    let mut statement = format!(
        "SELECT account_id FROM blocks WHERE account_id = ANY({viewers}) AND target_account_id = ANY({targets}) \
         UNION ALL \
         SELECT target_account_id FROM blocks WHERE account_id = {author} AND target_account_id = ANY({viewers}) \
         UNION ALL \
         SELECT account_id FROM mutes WHERE account_id = ANY({viewers}) AND target_account_id = ANY({targets}) \
           AND (expires_at IS NULL OR expires_at > {NOW})",
    );
    // A text with NUL, which PostgreSQL does not have, is nobody's domain.
    if let Some(domain) = relations.domain.as_deref().filter(|domain| !domain.contains('\0')) {
        let domain = literal::text(domain);
        statement.push_str(&format!(
            " UNION ALL SELECT account_id FROM account_domain_blocks \
              WHERE account_id = ANY({viewers}) AND domain = {domain}",
        ));
    }
    statement
}
