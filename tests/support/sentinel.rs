//! A Redis master with a replica, watched by a Sentinel.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::eventually::eventually;
use super::process::{Folder, Process, free_port};
use super::redis::Redis;
use super::redis_options::RedisOptions;
use super::resp::{Connection, Reply};

/// The name under which Sentinel knows the master.
pub const MASTER: &str = "mastodon";

/// A running Sentinel with its two servers.
pub struct Sentinel {
    _process: Process,
    port: u16,
    folder: Folder,
    /// The two servers; the first one is the master at the beginning.
    pub servers: [Redis; 2],
}

/// Passwords, if there are to be any.
#[derive(Debug, Clone, Default)]
pub struct SentinelOptions {
    pub redis_password: Option<String>,
    pub sentinel_password: Option<String>,
}

impl Sentinel {
    /// Starts all three, without passwords, and waits until Sentinel knows the replica.
    pub async fn start() -> Self {
        Self::start_with(SentinelOptions::default()).await
    }

    pub async fn start_with(options: SentinelOptions) -> Self {
        let redis = |replica_of| RedisOptions {
            password: options.redis_password.clone(),
            replica_of,
            ..RedisOptions::default()
        };
        let master = Redis::start_with(redis(None)).await;
        let replica = Redis::start_with(redis(Some(master.port()))).await;
        eventually("replication", || async {
            let info = replica.command(&["INFO", "replication"]).await.text();
            let info = info.unwrap_or_default();
            if info.contains("master_link_status:up") { Ok(()) } else { Err(info) }
        })
        .await;
        let folder = Folder::new("sentinel");
        let port = free_port();
        let sentinel =
            Self { _process: launch(&folder, port, master.port(), &options), port, folder, servers: [master, replica] };
        // Without a replica in sight it would find nobody to promote.
        eventually("sentinel's sight of the replica", || async {
            let log = sentinel.log();
            if log.contains("+slave slave") { Ok(()) } else { Err(log) }
        })
        .await;
        sentinel
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What Sentinel has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Where a server finds it, as variables, but for the passwords.
    pub fn environment(&self) -> Vec<(String, String)> {
        let sentinels = format!("127.0.0.1:{}", self.port);
        vec![("REDIS_SENTINELS".to_owned(), sentinels), ("REDIS_SENTINEL_MASTER".to_owned(), MASTER.to_owned())]
    }

    /// The server that is the master now.
    pub async fn master(&self) -> &Redis {
        let port = self.master_port().await;
        let master = self.servers.iter().find(|server| server.port() == port);
        master.expect("sentinel knows no others")
    }

    /// Kills the master and waits until the other server has taken its place, which it returns.
    pub async fn fail_over(&self) -> &Redis {
        let old = self.master().await;
        old.kill();
        let new = self.servers.iter().find(|server| server.port() != old.port());
        let new = new.expect("there are two");
        eventually("promotion", || async {
            let role = match new.try_command(&[b"ROLE"]).await {
                Ok(reply) => reply.array()[0].text().unwrap_or_default(),
                Err(broken) => return Err(broken.to_string()),
            };
            let master = self.master_port().await;
            if role == "master" && master == new.port() {
                Ok(())
            } else {
                Err(format!("{role}, master {master}\n{}", self.log()))
            }
        })
        .await;
        new
    }

    /// Runs a command at Sentinel itself, which must have no password.
    pub async fn command(&self, words: &[&str]) -> Reply {
        let connection = Connection::open(&socket(&self.folder)).await;
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        connection.expect("sentinel is there").command(&words).await.expect("sentinel answers")
    }

    async fn master_port(&self) -> u16 {
        let connection = Connection::open(&socket(&self.folder)).await;
        let mut connection = connection.expect("sentinel is there");
        if let Some(password) = self.password() {
            let words: [&[u8]; 2] = [b"AUTH", password.as_bytes()];
            connection.command(&words).await.expect("sentinel answers");
        }
        let words: [&[u8]; 3] = [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", MASTER.as_bytes()];
        let address = connection.command(&words).await.expect("sentinel answers");
        let Reply::Array(address) = address else {
            panic!("sentinel knows no master: {address:?}");
        };
        let port = address[1].text().and_then(|port| port.parse().ok());
        port.expect("a port is a number")
    }

    fn password(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("password")).ok()
    }
}

fn socket(folder: &Folder) -> PathBuf {
    folder.path().join("sentinel.sock")
}

fn launch(folder: &Folder, port: u16, master: u16, options: &SentinelOptions) -> Process {
    let path = folder.path().display();
    let mut lines = vec![
        format!("port {port}"),
        "bind 127.0.0.1".to_owned(),
        format!("dir {path}"),
        format!("logfile {path}/log"),
        format!("unixsocket {}", socket(folder).display()),
        format!("sentinel monitor {MASTER} 127.0.0.1 {master} 1"),
        format!("sentinel down-after-milliseconds {MASTER} 500"),
        format!("sentinel failover-timeout {MASTER} 5000"),
    ];
    if let Some(password) = &options.redis_password {
        lines.push(format!("sentinel auth-pass {MASTER} {password}"));
    }
    if let Some(password) = &options.sentinel_password {
        folder.write("password", password);
        lines.push(format!("requirepass {password}"));
    }
    let configuration = folder.write("sentinel.conf", lines.join("\n") + "\n");
    let mut command = Command::new("redis-server");
    command.arg(configuration).arg("--sentinel");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Process::start(&mut command)
}
