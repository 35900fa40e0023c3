//! A real Redis, one for each test.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::process::Signal;

use super::certificates;
use super::eventually::{eventually, within};
use super::monitor::{Monitor, Subscription};
use super::process::{Folder, Process, free_port};
use super::redis_options::{self, RedisOptions};
use super::resp::{Connection, Reply, encode};

/// A running `redis-server`, ended with this value or with the test process.
pub struct Redis {
    options: RedisOptions,
    port: u16,
    // Before the folder: fields are dropped in this order.
    process: Mutex<Option<Process>>,
    folder: Folder,
}

impl Redis {
    /// Starts one on a free port of 127.0.0.1 and ::1 and on a unix socket, without password, and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(RedisOptions::default()).await
    }

    pub async fn start_with(options: RedisOptions) -> Self {
        let folder = Folder::new("redis");
        if options.tls {
            certificates::write_into(folder.path());
        }
        let mut redis = Self { options, port: 0, process: Mutex::new(None), folder };
        // Another test process may take the same port at the same moment.
        for _ in 0..5 {
            redis.port = free_port();
            if redis.run().await {
                return redis;
            }
        }
        panic!("redis-server does not start: {}", redis.log());
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn unix_socket(&self) -> PathBuf {
        redis_options::socket(self.folder.path())
    }

    pub fn password(&self) -> Option<&str> {
        self.options.password.as_deref()
    }

    /// Where a server finds it, as variables.
    pub fn environment(&self) -> Vec<(String, String)> {
        let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        if self.options.tls {
            let ca_file = self.ca_file();
            return vec![
                owned("REDIS_URL", &self.url()),
                // What rustls and OpenSSL take in place of the system's authorities.
                owned("SSL_CERT_FILE", &ca_file.to_string_lossy()),
            ];
        }
        let mut variables = vec![owned("REDIS_HOST", "127.0.0.1"), owned("REDIS_PORT", &self.port.to_string())];
        variables.extend(self.password().map(|password| owned("REDIS_PASSWORD", password)));
        variables
    }

    /// Where a server finds it, as `REDIS_URL`. The password must not need escaping.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        let password = self.password();
        let password = password.map(|password| format!(":{password}@"));
        format!("{scheme}://{}localhost:{}", password.unwrap_or_default(), self.port)
    }

    /// The certificate authority (PEM) which vouches for a Redis with TLS, under the names `localhost`, 127.0.0.1 and ::1.
    pub fn ca_file(&self) -> PathBuf {
        certificates::ca_file(self.folder.path())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.lock().as_ref().expect("redis is running").pid()
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Publishes a message and returns how many subscribers got it.
    #[track_caller]
    pub fn publish(&self, channel: &str, message: impl AsRef<[u8]>) -> impl Future<Output = usize> + Send {
        let words = [b"PUBLISH".to_vec(), channel.into(), message.as_ref().to_vec()];
        async move {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            usize::try_from(self.command_bytes(&words).await.integer()).expect("a count")
        }
    }

    /// Publishes messages in one burst, in their order, without waiting between them.
    pub async fn publish_all(&self, channel: &str, messages: impl IntoIterator<Item = String>) {
        self.publish_each(messages.into_iter().map(|message| (channel, message))).await;
    }

    /// Publishes messages in one burst, in their order, each on a channel of its own.
    pub async fn publish_each<'a>(&self, messages: impl IntoIterator<Item = (&'a str, String)>) {
        let mut connection = self.connect().await;
        let encoded =
            |(channel, message): (&str, String)| encode(&[b"PUBLISH", channel.as_bytes(), message.as_bytes()]);
        let burst: Vec<Vec<u8>> = messages.into_iter().map(encoded).collect();
        connection.send_encoded(&burst.concat()).await.expect("redis takes the burst");
        for _ in &burst {
            connection.reply().await.expect("redis answers the burst").integer();
        }
    }

    /// Waits until exactly `count` connections are subscribed to a channel.
    #[track_caller]
    pub fn wait_for_subscribers(&self, channel: &str, count: usize) -> impl Future<Output = ()> + Send {
        eventually(format!("{count} subscribers of {channel}"), move || async move {
            match self.subscribers(channel).await {
                found if found == count => Ok(()),
                found => Err(format!("{found}; channels: {:?}", self.subscriptions().await)),
            }
        })
    }

    /// How many connections are subscribed to a channel.
    pub async fn subscribers(&self, channel: &str) -> usize {
        let answer = self.command(&["PUBSUB", "NUMSUB", channel]).await.array();
        usize::try_from(answer[1].integer()).expect("a count")
    }

    /// All channels to which anybody is subscribed, sorted.
    pub async fn subscriptions(&self) -> Vec<String> {
        let answer = self.command(&["PUBSUB", "CHANNELS"]).await.array();
        let mut channels: Vec<String> = answer.iter().filter_map(Reply::text).collect();
        channels.sort();
        channels
    }

    pub async fn get(&self, key: &str) -> Option<String> {
        self.command(&["GET", key]).await.text()
    }

    /// The seconds a key has left; none if there is no such key or it never expires.
    pub async fn ttl(&self, key: &str) -> Option<u64> {
        u64::try_from(self.command(&["TTL", key]).await.integer()).ok()
    }

    /// Runs any command. An error as answer is returned, not raised; a broken connection is raised.
    pub async fn command(&self, words: &[&str]) -> Reply {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.command_bytes(&words).await
    }

    async fn command_bytes(&self, words: &[&[u8]]) -> Reply {
        let answer = self.try_command(words).await;
        answer.unwrap_or_else(|error| panic!("redis is not there: {error}"))
    }

    /// Runs any command on a connection of its own (an older one may have been closed by a Sentinel or a test). An error says
    /// that the connection broke, as it does when a Sentinel changes the server's role at that moment.
    pub async fn try_command(&self, words: &[&[u8]]) -> io::Result<Reply> {
        let answer = async { self.try_connect().await?.command(words).await };
        within("answer of redis", answer).await
    }

    /// Closes the connections of all clients, all at once: one that comes anew meanwhile is not closed again.
    pub async fn drop_clients(&self) {
        let dropped = async {
            let mut connection = self.try_connect().await?;
            connection.command(&[b"MULTI"]).await?;
            connection.command(&[b"CLIENT", b"KILL", b"TYPE", b"pubsub"]).await?;
            connection.command(&[b"CLIENT", b"KILL", b"TYPE", b"normal"]).await?;
            connection.command(&[b"EXEC"]).await
        };
        within("answer of redis", dropped).await.unwrap_or_else(|error| panic!("redis is not there: {error}"));
    }

    /// Ends it at once (SIGKILL), as a crash does.
    pub fn kill(&self) {
        drop(self.process.lock().take());
    }

    /// Starts it again on the same port, empty, after [`Redis::kill`] or in place of what runs.
    pub async fn restart(&self) {
        self.kill();
        assert!(self.run().await, "redis-server is back: {}", self.log());
    }

    /// Stops it (SIGSTOP): connections stay, nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`Redis::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.lock();
        process.as_ref().expect("redis is running").signal(signal);
    }

    /// Notes from now on all commands that Redis executes.
    pub async fn monitor(&self) -> Monitor {
        let mut connection = self.connect().await;
        let answer = connection.command(&[b"MONITOR"]).await.expect("redis answers");
        assert_eq!(answer, Reply::Status("OK".into()));
        Monitor::read(connection)
    }

    /// Subscribes to a channel, as another server would.
    pub async fn subscribe(&self, channel: &str) -> Subscription {
        let mut connection = self.connect().await;
        let answer = connection.command(&[b"SUBSCRIBE", channel.as_bytes()]).await;
        answer.expect("redis answers").array();
        Subscription::read(connection)
    }

    async fn connect(&self) -> Connection {
        let connection = self.try_connect().await;
        connection.unwrap_or_else(|error| panic!("redis is not there: {error}"))
    }

    async fn try_connect(&self) -> io::Result<Connection> {
        let mut connection = Connection::open(&self.unix_socket()).await?;
        if let Some(password) = &self.options.password {
            connection.command(&[b"AUTH", password.as_bytes()]).await?;
        }
        Ok(connection)
    }

    /// Starts the process; false if it ended instead of answering.
    async fn run(&self) -> bool {
        let process = Process::start(&mut self.options.command(self.folder.path(), self.port));
        let answers = eventually("answer of the new redis", || async {
            if process.exit_status().is_some() {
                return Ok(false);
            }
            let mut connection = self.try_connect().await.map_err(|error| error.to_string())?;
            match connection.command(&[b"PING"]).await {
                Ok(Reply::Status(pong)) if pong == "PONG" => Ok(true),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        *self.process.lock() = Some(process);
        answers
    }

    /// The folder in which its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
