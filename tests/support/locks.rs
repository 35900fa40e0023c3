//! Making look-ups slow: a table that nobody else can read for a while.

use sqlx::{AssertSqlSafe, Postgres, Transaction};

use super::database::Database;
use super::eventually::eventually;

/// A table that is locked until this is released or dropped.
pub struct Lock<'a> {
    database: &'a Database,
    transaction: Transaction<'static, Postgres>,
    table: String,
}

impl Database {
    /// Locks a table: whoever reads it waits.
    pub async fn lock(&self, table: &str) -> Lock<'_> {
        let mut transaction = self.pool().begin().await.expect("a transaction can be begun");
        let statement = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        let locked = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await;
        locked.expect("the table can be locked");
        Lock { database: self, transaction, table: table.to_owned() }
    }
}

impl Lock<'_> {
    /// Waits until so many statements wait for the table.
    #[track_caller]
    pub fn wait_for_waiting(&self, statements: i64) -> impl Future<Output = ()> {
        // All databases are copies of one: the same table has the same number in each of them.
        let sql = format!(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{}'::regclass \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            self.table
        );
        eventually(format!("{statements} statements that wait for {}", self.table), move || {
            let sql = sql.clone();
            async move {
                match self.database.number(sql).await {
                    found if found == statements => Ok(()),
                    found => Err(found),
                }
            }
        })
    }

    /// Lets everybody go on.
    pub async fn release(self) {
        self.transaction.rollback().await.expect("the lock can be released");
    }
}
