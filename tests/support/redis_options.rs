//! How a Redis is started.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::certificates;
use super::network::Place;

/// How a Redis is to be started.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// The password of the user `default`.
    pub password: Option<String>,
    /// Whether the port speaks TLS only (the unix socket never does); see [`Redis::ca_file`].
    pub tls: bool,
    /// The port of the master of which it is a replica. It takes over that master's password.
    pub replica_of: Option<u16>,
    /// Further arguments of `redis-server`.
    pub arguments: Vec<String>,
    /// Where it is, if not on this machine's own network. It listens at all addresses there.
    pub place: Option<Place>,
}

impl RedisOptions {
    /// The command that starts it.
    pub fn command(&self, folder: &Path, port: u16) -> Command {
        let port = port.to_string();
        let mut command = match &self.place {
            Some(place) => place.command("redis-server"),
            None => Command::new("redis-server"),
        };
        match &self.place {
            Some(_) => command.args(["--bind", "*", "--protected-mode", "no"]),
            None => command.args(["--bind", "127.0.0.1", "-::1"]),
        };
        command.args(["--save", "", "--appendonly", "no", "--dir"]);
        command.arg(folder).arg("--logfile").arg(folder.join("log"));
        command.arg("--unixsocket").arg(socket(folder));
        if self.tls {
            command.args(["--port", "0", "--tls-port", &port]);
            command.args(["--tls-auth-clients", "no", "--tls-ca-cert-file"]);
            command.arg(certificates::ca_file(folder));
            command.arg("--tls-cert-file").arg(certificates::certificate_file(folder));
            command.arg("--tls-key-file").arg(certificates::key_file(folder));
        } else {
            command.args(["--port", &port]);
        }
        if let Some(password) = &self.password {
            command.args(["--requirepass", password, "--masterauth", password]);
        }
        if let Some(master) = self.replica_of {
            command.args(["--replicaof", &format!("127.0.0.1 {master}")]);
            command.args(["--repl-diskless-sync-delay", "0"]);
        }
        command.args(&self.arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Its unix socket.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("redis.sock")
}
