//! What the server reads, held against what a database has.

use std::collections::HashSet;

use super::REQUIRED_COLUMNS;

/// Tables and columns that the server reads and that a database does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Tables of which there is no column.
    pub tables: Vec<&'static str>,
    /// Columns as `table.column`, of tables that are there.
    pub columns: Vec<String>,
}

impl Missing {
    /// What is missing where these are the columns, as table and column.
    pub(super) fn among(found: &HashSet<(String, String)>) -> Self {
        let tables: HashSet<&str> = found.iter().map(|(table, _)| table.as_str()).collect();
        let mut missing = Self::default();
        for (table, columns) in REQUIRED_COLUMNS {
            if !tables.contains(table) {
                missing.tables.push(table);
                continue;
            }
            let not_there = columns.iter().filter(|column| !found.contains(&(table.to_owned(), (**column).to_owned())));
            missing.columns.extend(not_there.map(|column| format!("{table}.{column}")));
        }
        missing
    }

    /// Whether everything is there.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.columns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_but(left_out: impl Fn(&str, &str) -> bool) -> HashSet<(String, String)> {
        let all =
            REQUIRED_COLUMNS.into_iter().flat_map(|(table, columns)| columns.iter().map(move |one| (table, *one)));
        all.filter(|(table, column)| !left_out(table, column)).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
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
}
