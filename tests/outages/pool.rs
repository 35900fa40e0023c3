//! The pool of connections, in this process: time can be made to pass, and its connections are known.

use std::sync::Arc;
use std::time::Duration;

use flodgatt::domain::AccountId;
use flodgatt::lifecycle::Lifecycle;
use flodgatt::store::{self, DatabaseConfig, Postgres as Accounts, Store, TlsMode};
use flodgatt::telemetry::Metrics;
use futures_util::future::join_all;

use crate::support::postgres::{PASSWORD, USER};
use crate::support::proxy::Proxy;
use crate::support::*;

const POOL: usize = 10;

/// The pool, and the tasks that belong to it.
fn pool(db: &Database, port: u16) -> (Arc<Store>, Lifecycle) {
    let config = DatabaseConfig {
        host: "127.0.0.1".to_owned(),
        port,
        name: db.name().to_owned(),
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        tls: TlsMode::Off,
        root_certificate: None,
        client_certificate: None,
        settings: Vec::new(),
        pool: u32::try_from(POOL).expect("a small number"),
        variable: "DB_HOST",
    };
    let (database, lifecycle) = (store::Database::new(&config, Arc::<Metrics>::default()), Lifecycle::new());
    (Arc::new(Store::Postgres(Accounts::new(database, &lifecycle))), lifecycle)
}

/// Makes the pool have all the connections that it may.
async fn fill(store: &Arc<Store>, db: &Database) {
    let lock = db.lock("custom_filters").await;
    let statements = join_all((0..POOL).map(|_| store.filters(&[AccountId(1)])));
    let released = async {
        lock.wait_for_waiting(i64::try_from(POOL).expect("a small number")).await;
        lock.release().await;
    };
    let (found, ()) = tokio::join!(statements, released);
    assert!(found.iter().all(Result::is_ok), "{found:?}");
    assert_eq!(db.connections().await, POOL);
}

#[tokio::test]
async fn all_connections_that_fell_silent_are_given_up_after_waiting_for_one() {
    let db = Database::create().await;
    let proxy = Proxy::to(db.postgres().port()).await;
    let (store, _lifecycle) = pool(&db, proxy.port());
    fill(&store, &db).await;
    proxy.forget_connections();
    // One after the other would take longer than there is time for.
    let found = store.filters(&[AccountId(1)]).await;
    assert!(found.is_ok(), "{found:?}");
}

#[tokio::test]
async fn connections_that_nobody_needed_for_long_are_closed() {
    let db = Database::create().await;
    let (store, lifecycle) = pool(&db, db.postgres().port());
    fill(&store, &db).await;
    let pass = async |minutes: u64| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(60 * minutes)).await;
        tokio::time::resume();
    };
    pass(9).await;
    // What was used last is used next.
    store.filters(&[AccountId(1)]).await.expect("the database is there");
    assert_eq!(db.connections().await, POOL);
    pass(2).await;
    eventually("end of all connections but one", || async { db.connections().await == 1 }).await;
    pass(11).await;
    eventually("end of the last connection", || async { db.connections().await == 0 }).await;
    store.filters(&[AccountId(1)]).await.expect("new connections are made");
    lifecycle.stop();
    assert!(lifecycle.ended(Duration::from_secs(10)).await, "the tasks of the pool end");
}
