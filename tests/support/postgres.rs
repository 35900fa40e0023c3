//! A real PostgreSQL: one cluster for all tests of a process, in which each test has a database of its own, and clusters of
//! their own for tests that stop them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::OnceCell;

use super::certificates;
use super::database::Database;
use super::eventually::eventually;
use super::installation::Installation;
use super::process::{Folder, Process, Registered, free_port};

/// The user with which servers connect (it owns the tables), and its password, which is asked for over TCP only.
pub const USER: &str = "mastodon";
pub const PASSWORD: &str = "correct horse";

/// How connections of the fixtures call themselves; servers under test call themselves nothing.
pub const FIXTURES: &str = "fixtures";

pub const SUPERUSER: &str = "postgres";
const TEMPLATE: &str = "template_mastodon";

/// A running cluster, ended with this value or with the test process.
pub struct Postgres {
    installation: Installation,
    port: u16,
    // Before the folder: fields are dropped in this order.
    process: Mutex<Option<Process>>,
    stopped: Mutex<Vec<(i32, Registered)>>,
    folder: Folder,
    /// Databases whose tests have ended, to be dropped when the next one is made.
    abandoned: Mutex<Vec<String>>,
}

impl Postgres {
    /// The cluster that the tests of this process share; started at the first call. It is not for stopping.
    pub async fn shared() -> Arc<Self> {
        static SHARED: OnceCell<Arc<Postgres>> = OnceCell::const_new();
        Arc::clone(SHARED.get_or_init(Self::start_own).await)
    }

    /// Starts a cluster for one test alone, which may stop it (takes about two seconds).
    pub async fn start_own() -> Arc<Self> {
        let installation = Installation::find();
        let folder = Folder::new("postgres");
        installation.initialise(&folder);
        let mut postgres = Self {
            installation,
            port: 0,
            process: Mutex::new(None),
            stopped: Mutex::new(Vec::new()),
            folder,
            abandoned: Mutex::new(Vec::new()),
        };
        // Another test process may take the same port at the same moment.
        for _ in 0..5 {
            postgres.port = free_port();
            if postgres.run().await {
                postgres.make_template().await;
                return Arc::new(postgres);
            }
        }
        panic!("postgres does not start: {}", postgres.log());
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the one that accepts connections.
    pub fn pid(&self) -> u32 {
        self.process.lock().as_ref().expect("postgres is running").pid()
    }

    /// The folder of its unix socket, where no password is asked for.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate authority (PEM) that vouches for it under the names `localhost`, 127.0.0.1 and ::1. TLS is offered,
    /// not demanded.
    pub fn ca_file(&self) -> PathBuf {
        certificates::ca_file(self.folder.path())
    }

    /// The process ids of all its processes, connections included.
    pub fn pids(&self) -> Vec<u32> {
        let pid = self.pid();
        [pid].into_iter().chain(children(pid).into_iter().map(i32::unsigned_abs)).collect()
    }

    /// Everything it has logged, statements included.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Makes a database with Mastodon's tables, empty but for the role of everyone.
    pub async fn database(self: &Arc<Self>) -> Database {
        let name = format!("test_{:016x}", fastrand::u64(..));
        let mut connection = self.connect(SUPERUSER, SUPERUSER).await;
        let abandoned = std::mem::take(&mut *self.abandoned.lock());
        for old in abandoned {
            execute(&mut connection, format!("DROP DATABASE {old} WITH (FORCE)")).await;
        }
        let statement = format!("CREATE DATABASE {name} OWNER {USER} TEMPLATE {TEMPLATE}");
        execute(&mut connection, statement).await;
        Database::new(Arc::clone(self), name)
    }

    /// Has a database dropped later.
    pub fn abandon(&self, database: &str) {
        self.abandoned.lock().push(database.to_owned());
    }

    /// Ends it at once, all connections included; what was written is kept.
    pub fn stop(&self) {
        drop(self.process.lock().take());
    }

    /// Starts it again on the same port after [`Postgres::stop`].
    pub async fn start_again(&self) {
        self.stop();
        assert!(self.run().await, "postgres is back: {}", self.log());
    }

    /// Stops it and all its connections (SIGSTOP): they stay open, nothing is answered, new ones hang.
    pub fn pause(&self) {
        let process = self.process.lock();
        let process = process.as_ref().expect("postgres is running");
        process.signal(Signal::STOP);
        for child in children(process.pid()) {
            let registered = Registered::new(child.unsigned_abs(), "KILL");
            signal(child, Signal::STOP);
            self.stopped.lock().push((child, registered));
        }
    }

    /// Lets it go on after [`Postgres::pause`].
    pub fn resume(&self) {
        for (child, _registered) in self.stopped.lock().drain(..) {
            signal(child, Signal::CONT);
        }
        let process = self.process.lock();
        let process = process.as_ref().expect("postgres is running");
        process.signal(Signal::CONT);
    }

    /// How the fixtures connect to a database: over the unix socket, under a name by which they are told from servers.
    pub fn options(&self, user: &str, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.socket_folder())
            .port(self.port)
            .username(user)
            .database(database)
            .application_name(FIXTURES)
            .disable_statement_logging()
    }

    async fn connect(&self, user: &str, database: &str) -> PgConnection {
        let connection = self.options(user, database).connect().await;
        connection.unwrap_or_else(|error| panic!("postgres is not there: {error}"))
    }

    async fn make_template(&self) {
        let mut connection = self.connect(SUPERUSER, SUPERUSER).await;
        let role = format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'");
        execute(&mut connection, role).await;
        let template = format!("CREATE DATABASE {TEMPLATE} OWNER {USER}");
        execute(&mut connection, template).await;
        if self.installation.counts_statements() {
            let mut inside = self.connect(SUPERUSER, TEMPLATE).await;
            execute(&mut inside, "CREATE EXTENSION pg_stat_statements").await;
            inside.close().await.expect("the connection can be closed");
        }
        // A template must not be in use while it is copied.
        let mut inside = self.connect(USER, TEMPLATE).await;
        execute(&mut inside, include_str!("schema.sql")).await;
        inside.close().await.expect("the connection can be closed");
    }

    /// Starts the process; false if it ended instead of answering.
    async fn run(&self) -> bool {
        // SIGQUIT: it ends at once too, but takes its shared memory along.
        let process =
            Process::start_ending_by(&mut self.installation.command(self.folder.path(), self.port), Signal::QUIT);
        let answers = eventually("answer of the new postgres", || async {
            if process.exit_status().is_some() {
                return Ok(false);
            }
            match self.options(SUPERUSER, SUPERUSER).connect().await {
                Ok(connection) => connection.close().await.map(|()| true),
                Err(error) => Err(error),
            }
        })
        .await;
        *self.process.lock() = Some(process);
        answers
    }
}

async fn execute(connection: &mut PgConnection, statements: impl Into<String>) {
    let statements = statements.into();
    let result = sqlx::raw_sql(AssertSqlSafe(statements.clone())).execute(connection).await;
    result.unwrap_or_else(|error| panic!("{error} in: {statements}"));
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name in brackets: the state, then the parent.
            let after_name = stat.rsplit_once(')')?.1;
            let found: u32 = after_name.split_whitespace().nth(1)?.parse().ok()?;
            (found == parent).then_some(pid)
        })
        .collect()
}

fn signal(pid: i32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process id is not zero");
    let _ = rustix::process::kill_process(pid, signal);
}
