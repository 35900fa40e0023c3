//! How the program is started.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use super::eventually::eventually;
use super::logs::{LogLine, Logs};
use super::network::Place;
use super::process::{Folder, Process};
use super::server::Server;

/// How a server is to be started.
pub struct ServerOptions {
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
    folder: Option<PathBuf>,
    place: Option<Place>,
    own_folder: Folder,
}

impl ServerOptions {
    /// An environment that says nothing of Redis and PostgreSQL: production, `BIND=127.0.0.1`, `PORT=0`, `LOG_LEVEL=debug`.
    pub fn bare() -> Self {
        let options = Self {
            environment: BTreeMap::new(),
            arguments: Vec::new(),
            folder: None,
            place: None,
            own_folder: Folder::new("server"),
        };
        let options =
            options.env("NODE_ENV", "production").env("BIND", "127.0.0.1").env("PORT", "0").env("LOG_LEVEL", "debug");
        // Where measured builds write what they measured.
        match std::env::var("LLVM_PROFILE_FILE") {
            Ok(file) => options.env("LLVM_PROFILE_FILE", file),
            Err(_) => options,
        }
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Sets several.
    pub fn envs<N: AsRef<str>, V: Into<String>>(self, variables: impl IntoIterator<Item = (N, V)>) -> Self {
        variables.into_iter().fold(self, |options, (name, value)| options.env(name.as_ref(), value))
    }

    /// Removes a variable.
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Listens on a unix socket in the server's folder instead of a port.
    pub fn unix_socket(self) -> Self {
        let socket = self.own_folder.path().join("streaming.sock");
        self.without("BIND").without("PORT").env("SOCKET", socket.to_string_lossy())
    }

    /// The working directory (default: an empty folder of its own).
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some(path.into());
        self
    }

    /// Runs it on a network other than this machine's own.
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds an argument to the command line.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts it and waits until it answers. Panics, with its log, if it ends instead.
    pub async fn start(self) -> Server {
        let (process, logs, folder) = self.launch();
        Server::answering(process, logs, folder).await
    }

    /// Starts it and does not wait, for starts that have to wait for something else first.
    pub fn begin(self) -> Starting {
        let (process, logs, folder) = self.launch();
        Starting { process, logs, folder }
    }

    /// Starts it and waits for its end, for starts that must fail and for commands.
    pub async fn run_to_end(self) -> Ended {
        let (process, logs, _folder) = self.launch();
        let status = process.exited().await;
        // The threads that read end with the process, but a moment later.
        eventually("end of the output", || async { logs.is_complete() }).await;
        Ended { status, logs: logs.lines() }
    }

    /// The command, with output to be read; where standard input comes from is left open.
    pub fn command(&self) -> Command {
        let folder = self.folder.as_deref();
        let program = env!("CARGO_BIN_EXE_flodgatt");
        let mut command = self.place.as_ref().map_or_else(|| Command::new(program), |place| place.command(program));
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(folder.unwrap_or(self.own_folder.path()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn launch(self) -> (Process, Logs, Folder) {
        let process = Process::start(&mut self.command());
        let logs = Logs::default();
        process.read_stdout(logs.reader(false));
        process.read_stderr(logs.reader(true));
        (process, logs, self.own_folder)
    }
}

/// A server that may not answer yet.
pub struct Starting {
    process: Process,
    logs: Logs,
    folder: Folder,
}

impl Starting {
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The log so far.
    pub fn logs(&self) -> Vec<LogLine> {
        self.logs.lines()
    }

    /// The first line for which the condition holds; waits for it.
    #[track_caller]
    pub fn wait_for_log(&self, condition: impl Fn(&LogLine) -> bool + Send) -> impl Future<Output = LogLine> {
        eventually("line of the log", move || {
            let found = self.logs.find(|line| condition(line));
            std::future::ready(found.ok_or_else(|| self.logs.tail(20)))
        })
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn terminate(&self) -> ExitStatus {
        self.process.signal(rustix::process::Signal::TERM);
        self.process.exited().await
    }

    /// Asks it to end (SIGTERM), waits until it has, and returns everything it wrote.
    pub async fn finish(self) -> Ended {
        let status = self.terminate().await;
        eventually("end of the output", || async { self.logs.is_complete() }).await;
        Ended { status, logs: self.logs.lines() }
    }

    /// The server, as soon as it answers.
    pub async fn answering(self) -> Server {
        Server::answering(self.process, self.logs, self.folder).await
    }
}

/// How a server ended that was meant to end.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub logs: Vec<LogLine>,
}

impl Ended {
    /// Everything it wrote.
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.logs.iter().map(|line| line.text.as_str()).collect();
        lines.join("\n")
    }
}
