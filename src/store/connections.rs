//! The pool of connections to PostgreSQL.
//!
//! The library has one, but that asks a server which refuses again and again for as long as anybody waits, and keeps to
//! itself why. Here a refusal is told at once, and however many ask, a server that refuses is tried a few times a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// How long a statement waits for a connection, as in the Node server.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection that was idle may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A server that refused is not tried again before.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A connection that nobody needed for so long is closed.
const LONGEST_IDLE: Duration = Duration::from_secs(10 * 60);

/// A connection that is so old is replaced: the processes of PostgreSQL grow, and its address may have changed.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 60);

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

/// Connections that are made when they are needed, up to a number, and kept.
#[derive(Debug)]
pub(super) struct Connections {
    options: PgConnectOptions,
    permits: Arc<Semaphore>,
    most: usize,
    open: Arc<AtomicUsize>,
    /// What was used last stands at the end and is used next, so that those not needed grow old.
    idle: Mutex<Vec<Open>>,
    /// The last refusal, if nobody was let in since, and when the server was tried last.
    refusal: Mutex<Option<(Instant, Arc<sqlx::Error>)>>,
}

impl Connections {
    /// There are none yet.
    pub(super) fn new(options: PgConnectOptions, most: u32) -> Arc<Self> {
        let most = most as usize;
        Arc::new(Self {
            options,
            permits: Arc::new(Semaphore::new(most)),
            most,
            open: Arc::default(),
            idle: Mutex::default(),
            refusal: Mutex::default(),
        })
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many of them nobody uses.
    pub(super) fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    /// A connection that works, as soon as one is free or can be made. A server that refuses is tried again for as long as
    /// `patience` says; one that has no connection left is waited for like a pool that has none.
    pub(super) async fn acquire(self: &Arc<Self>, patience: Duration) -> Result<Lease, NoConnection> {
        let started = Instant::now();
        let mut refused = None;
        let acquiring = async {
            loop {
                let error = match self.try_acquire().await {
                    Ok(lease) => return Ok(lease),
                    Err(error) => error,
                };
                let patience = if is_full(&error) { ACQUIRE_TIMEOUT } else { patience };
                if started.elapsed() >= patience {
                    return Err(NoConnection::Refused(error));
                }
                refused = Some(error);
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        };
        let acquired = tokio::time::timeout(ACQUIRE_TIMEOUT, acquiring).await;
        acquired.unwrap_or_else(|_| Err(self.why_not(refused)))
    }

    /// Why there was no connection until the end.
    fn why_not(&self, refused: Option<Arc<sqlx::Error>>) -> NoConnection {
        match refused {
            Some(error) => NoConnection::Refused(error),
            None if self.open() < self.most => NoConnection::Silent,
            None => NoConnection::AllInUse,
        }
    }

    async fn try_acquire(self: &Arc<Self>) -> Result<Lease, Arc<sqlx::Error>> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        if let Some(idle) = self.take_idle()
            && let Some(connection) = idle.if_alive().await
        {
            return Ok(Lease { connection: Some(connection), pool: Arc::clone(self), _permit: permit });
        }
        let connection = self.connect().await?;
        Ok(Lease { connection: Some(connection), pool: Arc::clone(self), _permit: permit })
    }

    fn take_idle(&self) -> Option<Open> {
        let mut idle = self.idle.lock();
        idle.retain(|connection| connection.used.elapsed() < LONGEST_IDLE);
        idle.pop()
    }

    /// Connects, unless that was refused a moment ago.
    async fn connect(&self) -> Result<Open, Arc<sqlx::Error>> {
        if let Some(error) = self.known_refusal() {
            return Err(error);
        }
        match self.options.connect().await {
            Ok(connection) => {
                *self.refusal.lock() = None;
                Ok(Open::new(connection, &self.open))
            }
            Err(error) => {
                let error = Arc::new(error);
                *self.refusal.lock() = Some((Instant::now(), Arc::clone(&error)));
                Err(error)
            }
        }
    }

    /// The last refusal, if it is not yet time to try again. Otherwise the caller is the one to try, and others keep to
    /// what is known.
    fn known_refusal(&self) -> Option<Arc<sqlx::Error>> {
        let mut refusal = self.refusal.lock();
        let (tried, error) = refusal.as_mut()?;
        if tried.elapsed() < RETRY_PAUSE {
            return Some(Arc::clone(error));
        }
        *tried = Instant::now();
        None
    }
}

/// A connection of the pool.
#[derive(Debug)]
struct Open {
    connection: PgConnection,
    made: Instant,
    used: Instant,
    count: Arc<AtomicUsize>,
}

impl Open {
    fn new(connection: PgConnection, count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        Self { connection, made: now, used: now, count: Arc::clone(count) }
    }

    /// Itself, if it still works. One that a firewall dropped silently must not hold up whoever gets it.
    async fn if_alive(mut self) -> Option<Self> {
        let is_young = self.made.elapsed() < LONGEST_LIFE;
        let pong = tokio::time::timeout(PING_TIMEOUT, self.connection.ping()).await;
        (is_young && matches!(pong, Ok(Ok(())))).then_some(self)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection in use. If a statement is given up, nobody knows when its answer would come: unless the connection is
/// [released](Self::release), it is closed instead of going back to the pool.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<Open>,
    pool: Arc<Connections>,
    // Given back after the connection: fields are dropped in this order.
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// What statements are sent over.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection.as_mut().expect("a lease holds its connection until it is released").connection
    }

    /// Gives the connection back, for others to use.
    pub(super) fn release(mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.used = Instant::now();
            self.pool.idle.lock().push(connection);
        }
    }
}

/// Whether the server has no connection left (PostgreSQL documentation, appendix A: too many connections).
fn is_full(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "53300")
}
