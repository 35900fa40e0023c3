//! The real program, started as an operator would.

use std::fs;
use std::path::Path;
use std::process::ExitStatus;

use rustix::process::Signal;

use super::database::Database;
use super::eventually::eventually;
use super::http::{self, Response};
use super::logs::{LogLine, Logs};
use super::process::{Folder, Process};
use super::redis::Redis;
use super::server_options::ServerOptions;
use super::wire::{Address, Wire};

/// A running server, ended (SIGKILL) with this value or with the test process.
pub struct Server {
    process: Process,
    logs: Logs,
    address: Address,
    folder: Folder,
}

impl Server {
    /// Starts it on these two, with nothing special.
    pub async fn start(redis: &Redis, database: &Database) -> Self {
        Self::options(redis, database).start().await
    }

    /// To be modified and started.
    pub fn options(redis: &Redis, database: &Database) -> ServerOptions {
        let variables = redis.environment().into_iter().chain(database.environment());
        ServerOptions::bare().envs(variables)
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its default working directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub async fn get(&self, target: &str) -> Response {
        http::get(self, target).await
    }

    pub async fn get_as(&self, target: &str, token: &str) -> Response {
        http::get_as(self, target, token).await
    }

    pub async fn request(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        http::request(self, method, target, headers, b"").await
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exited().await
    }

    /// Ends it at once (SIGKILL), as a crash does.
    pub fn kill(&self) {
        self.process.kill();
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    pub async fn exited(&self) -> ExitStatus {
        self.process.exited().await
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.process.exit_status().is_none()
    }

    /// The log so far.
    pub fn logs(&self) -> Vec<LogLine> {
        self.logs.lines()
    }

    /// The first line, from the beginning of the log on, for which the condition holds; waits for it.
    #[track_caller]
    pub fn wait_for_log(
        &self,
        condition: impl Fn(&LogLine) -> bool + Send + Sync,
    ) -> impl Future<Output = LogLine> + Send {
        let condition = std::sync::Arc::new(condition);
        eventually("line of the log", move || {
            let found = self.logs.find(|line| condition(line));
            std::future::ready(found.ok_or_else(|| self.logs.tail(20)))
        })
    }

    /// The memory it occupies, in bytes.
    pub fn rss_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the server is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        let kibibytes: Option<u64> = kibibytes.and_then(|number| number.parse().ok());
        kibibytes.expect("the system tells it") * 1024
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.pid()));
        files.expect("the server is running").count()
    }

    /// One of its metrics, by its name and exactly these labels in any order; panics if there is none.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.get("/metrics").await.text();
        let found = sample(&text, name, labels);
        found.unwrap_or_else(|| panic!("no {name} with {labels:?} in:\n{text}"))
    }

    /// Waits until a metric has a value.
    #[track_caller]
    pub fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) -> impl Future<Output = ()> + Send {
        eventually(format!("{name} {labels:?} = {value}"), move || async move {
            match self.metric(name, labels).await {
                found if found == value => Ok(()),
                found => Err(found),
            }
        })
    }

    /// A process that was just started, as soon as it answers. Panics, with its log, if it ends instead.
    pub async fn answering(process: Process, logs: Logs, folder: Folder) -> Self {
        let address = announced_address(&process, &logs).await;
        let server = Self { process, logs, address: Address::parse(&address), folder };
        eventually("health of the new server", || async {
            if let Err(error) = Wire::try_open(server.address()).await {
                return Err(error.to_string());
            }
            let response = server.get("/api/v1/streaming/health").await;
            if response.status == 200 { Ok(()) } else { Err(format!("{response:?}")) }
        })
        .await;
        server
    }
}

async fn announced_address(process: &Process, logs: &Logs) -> String {
    eventually("address of the new server", || async {
        if let Some(status) = process.exit_status() {
            panic!("the server ended ({status}):\n{}", logs.tail(50));
        }
        let line = logs.find(|line| line.message() == "listening" || line.text.contains(" listening address="));
        let address = line.and_then(|line| match line.field("address").as_str() {
            Some(address) => Some(address.to_owned()),
            // Not in production, where lines are for people.
            None => line.text.split('"').nth(1).map(str::to_owned),
        });
        address.ok_or_else(|| logs.tail(20))
    })
    .await
}

impl From<&Server> for Address {
    fn from(server: &Server) -> Self {
        server.address().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let tail = self.logs.tail(60);
            eprintln!("--- last lines of server {}:\n{tail}\n---", self.pid());
        }
    }
}

/// The value of a sample in Prometheus' text format.
pub fn sample(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    wanted.sort();
    text.lines().find_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, rest) = series.split_once('{').unwrap_or((series, "}"));
        let mut given: Vec<&str> = rest.strip_suffix('}')?.split(',').filter(|label| !label.is_empty()).collect();
        given.sort_unstable();
        (found == name && given == wanted).then(|| value.parse().ok())?
    })
}
