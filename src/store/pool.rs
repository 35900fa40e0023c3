//! The pool of connections to PostgreSQL.
//!
//! The library keeps connections and lets wait who finds all of them in use. Ours is what it leaves to its users: how a
//! connection is made and when one is not worth keeping, what is told of a server that refuses, for how long it is waited
//! for, and that a connection whose statement was given up does not come back.

use std::{sync::Arc, time::Duration};

use deadpool::managed::{self, Manager, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use parking_lot::Mutex;
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::refusals::{RETRY_PAUSE, Refusals};

/// How long a statement waits for a connection, as in the Node server.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection that was idle may take to answer, and one that is closed to say good-bye.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that nobody needed for so long is closed.
const LONGEST_IDLE: Duration = Duration::from_secs(10 * 60);

/// A connection that is so old is replaced: the processes of PostgreSQL grow, and its address may have changed.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 60);

/// How often connections are looked for that nobody needs.
const REAPING: Duration = Duration::from_secs(60);

/// No PostgreSQL takes more connections (`MAX_BACKENDS` in its source), and the library makes room for all of them at once.
const MOST_EVER: u32 = 262_143;

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(super) enum NoConnection {
    /// The server, or the way to it, said no.
    Refused(Arc<sqlx::Error>),
    /// The server said nothing in time.
    Silent,
    /// All connections were in use all the time.
    AllInUse,
}

/// Connections that are made when they are needed, up to a number, and kept. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Pool(managed::Pool<Server>);

impl Pool {
    /// There are none yet. What was used last is used next, so that those not needed grow old.
    pub(super) fn new(options: PgConnectOptions, most: u32) -> Self {
        let server =
            Server { options, refusals: Refusals::default(), silent: Mutex::default(), returned: Notify::new() };
        let builder = managed::Pool::builder(server).max_size(most.min(MOST_EVER) as usize);
        Self(builder.queue_mode(QueueMode::Lifo).build().expect("only time limits of the library need more"))
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.0.status().size
    }

    /// How many of them nobody uses.
    pub(super) fn idle(&self) -> usize {
        self.0.status().available
    }

    /// A connection that works, as soon as one is free or can be made. A server that refuses is tried again for as long as
    /// `patience` says; one that has no connection left is waited for like a pool that has none.
    pub(super) async fn acquire(&self, patience: Duration) -> Result<Lease, NoConnection> {
        let started = Instant::now();
        let mut refused = None;
        let acquiring = async {
            loop {
                let error = match self.0.get().await {
                    Ok(object) => return Ok(Lease(Some(object))),
                    Err(PoolError::Backend(error)) => error,
                    Err(other) => unreachable!("the pool is never closed and has no time limits or hooks: {other}"),
                };
                let patience = if is_full(&error) { ACQUIRE_TIMEOUT } else { patience };
                if started.elapsed() >= patience {
                    return Err(NoConnection::Refused(error));
                }
                refused = Some(error);
                // A connection of ours that comes back is as good as a new one.
                let _ = timeout(RETRY_PAUSE, self.0.manager().returned.notified()).await;
            }
        };
        let acquired = timeout(ACQUIRE_TIMEOUT, acquiring).await;
        acquired.unwrap_or_else(|_| Err(self.why_not(refused)))
    }

    /// Why there was no connection until the end.
    fn why_not(&self, refused: Option<Arc<sqlx::Error>>) -> NoConnection {
        let status = self.0.status();
        match refused {
            Some(error) => NoConnection::Refused(error),
            None if status.size < status.max_size => NoConnection::Silent,
            None => NoConnection::AllInUse,
        }
    }

    /// Closes connections that nobody needs any more, once a minute and for ever.
    pub(super) async fn reap(&self) {
        loop {
            tokio::time::sleep(REAPING).await;
            for open in self.0.retain(|open, _| open.used.elapsed() < LONGEST_IDLE && open.is_young()).removed {
                close(open.connection).await;
            }
        }
    }
}

/// Says good-bye to the server, which otherwise takes the connection for lost.
pub(super) async fn close(connection: PgConnection) {
    let _ = timeout(PING_TIMEOUT, connection.close()).await;
}

/// What connections lead to.
#[derive(Debug)]
struct Server {
    options: PgConnectOptions,
    refusals: Refusals,
    /// When the last ping was sent that was not answered in time.
    silent: Mutex<Option<Instant>>,
    /// A connection was given back.
    returned: Notify,
}

impl Manager for Server {
    type Type = Open;
    type Error = Arc<sqlx::Error>;

    /// Connects, unless that was refused a moment ago.
    async fn create(&self) -> Result<Open, Arc<sqlx::Error>> {
        let attempt = self.refusals.attempt()?;
        match self.options.connect().await {
            Ok(connection) => {
                self.refusals.let_in();
                Ok(Open::new(connection))
            }
            Err(error) => {
                let error = Arc::new(error);
                self.refusals.refused(attempt, &error);
                Err(error)
            }
        }
    }

    /// Whether a connection still works. One that a firewall dropped silently must not hold up for long whoever gets it,
    /// and is rarely alone: what was last used before its silence is not waited for again.
    async fn recycle(&self, open: &mut Open, _: &Metrics) -> RecycleResult<Arc<sqlx::Error>> {
        if !open.is_young() {
            return Err(RecycleError::message("too old"));
        }
        if self.silent.lock().is_some_and(|silent| open.used <= silent) {
            return Err(RecycleError::message("as silent as another"));
        }
        let asked = Instant::now();
        match timeout(PING_TIMEOUT, open.connection.ping()).await {
            Ok(pong) => Ok(pong.map_err(Arc::new)?),
            Err(_) => {
                let mut silent = self.silent.lock();
                *silent = (*silent).max(Some(asked));
                Err(RecycleError::message("silent"))
            }
        }
    }
}

/// A connection of the pool.
#[derive(Debug)]
struct Open {
    connection: PgConnection,
    made: Instant,
    used: Instant,
}

impl Open {
    fn new(connection: PgConnection) -> Self {
        let now = Instant::now();
        Self { connection, made: now, used: now }
    }

    fn is_young(&self) -> bool {
        self.made.elapsed() < LONGEST_LIFE
    }
}

/// A connection in use. If a statement is given up, nobody knows when its answer would come: unless the connection is
/// [released](Self::release), it is closed instead of going back to the pool.
#[derive(Debug)]
pub(super) struct Lease(Option<Object<Server>>);

impl Lease {
    /// What statements are sent over.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.0.as_mut().expect("a lease holds its connection until it is released").connection
    }

    /// Gives the connection back, for others to use.
    pub(super) fn release(mut self) {
        let Some(mut object) = self.0.take() else { return };
        object.used = Instant::now();
        let pool = Object::pool(&object);
        drop(object);
        if let Some(pool) = pool {
            pool.manager().returned.notify_one();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

/// Whether the server has no connection left (PostgreSQL documentation, appendix A: too many connections).
fn is_full(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "53300")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_may_be_as_large_as_a_number_goes() {
        let pool = Pool::new(PgConnectOptions::new_without_pgpass(), u32::MAX);
        assert_eq!((pool.open(), pool.idle()), (0, 0));
    }
}
