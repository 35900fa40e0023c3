//! Custom filters of viewers.

use std::collections::HashMap;

use sqlx::{Row, postgres::PgRow};

use super::{
    Postgres, StoreError, literal,
    lookups::{NOW, strings},
};
use crate::domain::{
    AccountId,
    filter::{CustomFilter, Expiry, FilterAction, Keyword},
};

impl Postgres {
    pub(super) async fn filters(
        &self,
        accounts: &[AccountId],
    ) -> Result<HashMap<AccountId, Vec<CustomFilter>>, StoreError> {
        let rows = self.database.rows_patiently(statement(accounts)).await?;
        gather(&rows).map_err(|error| self.database.describe(&error))
    }
}

/// One row for each keyword, those of a filter together. A filter without keywords matches nothing and is left out.
fn statement(accounts: &[AccountId]) -> String {
    let accounts = literal::ids(accounts.iter().map(|account| account.0));
    format!(
        "SELECT f.id, f.account_id, f.phrase, array_to_json(f.context)::text AS context, f.action, \
                CASE WHEN isfinite(f.expires_at) THEN to_char(f.expires_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') END \
                  AS expires_text, \
                CASE WHEN isfinite(f.expires_at) THEN floor(extract(epoch FROM f.expires_at) * 1000)::bigint END \
                  AS expires_millis, \
                k.keyword, k.whole_word \
         FROM custom_filters f JOIN custom_filter_keywords k ON k.custom_filter_id = f.id \
         WHERE f.account_id = ANY({accounts}) AND (f.expires_at IS NULL OR f.expires_at > {NOW}) \
         ORDER BY f.id, k.id",
    )
}

fn gather(rows: &[PgRow]) -> Result<HashMap<AccountId, Vec<CustomFilter>>, sqlx::Error> {
    let mut found: HashMap<AccountId, Vec<CustomFilter>> = HashMap::new();
    for row in rows {
        let id: i64 = row.try_get("id")?;
        let filters = found.entry(AccountId(row.try_get("account_id")?)).or_default();
        let keyword = Keyword { text: row.try_get("keyword")?, whole_word: row.try_get("whole_word")? };
        match filters.last_mut().filter(|filter| filter.id == id) {
            Some(filter) => filter.keywords.push(keyword),
            None => filters.push(read_filter(row, id, keyword)?),
        }
    }
    Ok(found)
}

fn read_filter(row: &PgRow, id: i64, keyword: Keyword) -> Result<CustomFilter, sqlx::Error> {
    let text: Option<String> = row.try_get("expires_text")?;
    let unix_millis: Option<i64> = row.try_get("expires_millis")?;
    let context: Option<String> = row.try_get("context")?;
    Ok(CustomFilter {
        id,
        title: row.try_get("phrase")?,
        context: strings(context.as_deref().unwrap_or("[]")),
        expires_at: text.zip(unix_millis).map(|(text, unix_millis)| Expiry { text, unix_millis }),
        action: FilterAction::from_db(row.try_get("action")?),
        keywords: vec![keyword],
    })
}
