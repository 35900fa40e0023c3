//! What the server reads, held against what a database has.

use std::collections::{HashMap, HashSet};

use super::REQUIRED_COLUMNS;

/// Tables and columns that the server reads and that a database does not have, or does not show to this role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Tables of which there is no column.
    pub tables: Vec<&'static str>,
    /// Columns as `table.column`, of tables that are there.
    pub columns: Vec<String>,
    /// Tables that are there, of which this role may not read some column.
    pub unreadable: Vec<&'static str>,
}

impl Missing {
    /// What is missing where these are the columns, as table and column, each with whether it may be read.
    pub(super) fn among(found: &HashMap<(String, String), bool>) -> Self {
        let tables: HashSet<&str> = found.keys().map(|(table, _)| table.as_str()).collect();
        let mut missing = Self::default();
        for (table, columns) in REQUIRED_COLUMNS {
            if !tables.contains(table) {
                missing.tables.push(table);
                continue;
            }
            let may_read = |column: &str| found.get(&(table.to_owned(), column.to_owned())).copied();
            let not_there = columns.iter().filter(|column| may_read(column).is_none());
            missing.columns.extend(not_there.map(|column| format!("{table}.{column}")));
            if columns.iter().any(|column| may_read(column) == Some(false)) {
                missing.unreadable.push(table);
            }
        }
        missing
    }

    /// Whether everything is there.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.columns.is_empty() && self.unreadable.is_empty()
    }

    /// The statement that lets a role read what it may not, to be run by whoever owns the tables.
    pub fn grant(&self, role: &str) -> String {
        format!("GRANT SELECT ON {} TO \"{}\"", self.unreadable.join(", "), role.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_but(left_out: impl Fn(&str, &str) -> bool) -> HashMap<(String, String), bool> {
        let all =
            REQUIRED_COLUMNS.into_iter().flat_map(|(table, columns)| columns.iter().map(move |one| (table, *one)));
        all.filter(|(table, column)| !left_out(table, column))
            .map(|(a, b)| ((a.to_owned(), b.to_owned()), true))
            .collect()
    }

    #[test]
    fn nothing_is_missing_where_every_column_is() {
        assert!(Missing::among(&all_but(|_, _| false)).is_empty());
    }

    #[test]
    fn a_table_without_columns_is_missing_and_its_columns_are_not_named() {
        let missing = Missing::among(&all_but(|table, column| table == "mutes" || column == "disabled"));
        assert_eq!((missing.tables, missing.columns), (vec!["mutes"], vec!["users.disabled".to_owned()]));
    }

    #[test]
    fn a_table_with_a_column_that_may_not_be_read_is_unreadable_and_the_statement_names_it() {
        let mut found = all_but(|_, _| false);
        for column in ["id", "scopes"] {
            found.insert(("oauth_access_tokens".to_owned(), column.to_owned()), false);
        }
        found.insert(("mutes".to_owned(), "expires_at".to_owned()), false);
        found.insert(("mutes".to_owned(), "note".to_owned()), false);
        let missing = Missing::among(&found);
        assert!(missing.tables.is_empty() && missing.columns.is_empty() && !missing.is_empty());
        let grant = "GRANT SELECT ON oauth_access_tokens, mutes TO \"the \"\"reader\"\"\"";
        assert_eq!(missing.grant("the \"reader\""), grant);
    }
}
