//! The installed PostgreSQL, and how it is started.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::certificates;
use super::postgres::{PASSWORD, SUPERUSER};
use super::process::{Folder, User};

const SETTINGS: [(&str, &str); 14] = [
    ("listen_addresses", "127.0.0.1,::1"),
    ("ssl", "on"),
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "4GB"),
    ("autovacuum", "off"),
    ("max_connections", "400"),
    // In the folder, where nothing of it can be left behind.
    ("dynamic_shared_memory_type", "mmap"),
    ("log_statement", "all"),
    ("log_line_prefix", "@|%p|%d|%a|"),
    // Far from UTC: who compares Mastodon's time stamps with local time is found out (sqlx by itself sets UTC).
    ("timezone", "Asia/Kathmandu"),
    ("jit", "off"),
];

/// Where the programs are, and the user they run as, if not the present one.
pub struct Installation {
    programs: PathBuf,
    user: Option<User>,
}

impl Installation {
    /// Panics if there is none.
    pub fn find() -> Self {
        Self { programs: programs(), user: unprivileged_user() }
    }

    /// Makes an empty cluster in a folder, which is given to the user, with certificates.
    pub fn initialise(&self, folder: &Folder) {
        certificates::write_into(folder.path());
        let password = folder.write("password", PASSWORD);
        if let Some(user) = self.user {
            folder.give_to(user);
            let key = certificates::key_file(folder.path());
            chown(key, Some(user.uid), Some(user.gid)).expect("root may give files away");
        }
        let output = self
            .program("initdb", folder.path())
            .args(["-U", SUPERUSER, "--no-sync", "-E", "UTF8", "--locale=C"])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile"])
            .arg(password)
            .output()
            .expect("initdb can be started");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "initdb: {complaint}");
    }

    /// The command that starts the cluster in a folder, with its log in there and its unix socket too.
    pub fn command(&self, folder: &Path, port: u16) -> Command {
        let path = |file: PathBuf| file.to_string_lossy().into_owned();
        let mut settings = vec![
            ("port", port.to_string()),
            ("unix_socket_directories", path(folder.into())),
            ("ssl_cert_file", path(certificates::certificate_file(folder))),
            ("ssl_key_file", path(certificates::key_file(folder))),
        ];
        if self.counts_statements() {
            settings.push(("shared_preload_libraries", "pg_stat_statements".into()));
        }
        settings.extend(SETTINGS.map(|(name, value)| (name, value.into())));
        let log = fs::File::options().create(true).append(true).open(folder.join("log"));
        let mut command = self.program("postgres", folder);
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdout(Stdio::null()).stderr(log.expect("a log can be written"));
        command
    }

    /// Whether the extension pg_stat_statements is there.
    pub fn counts_statements(&self) -> bool {
        self.programs.join("../lib/pg_stat_statements.so").exists()
    }

    /// One of its programs, on the data in a folder.
    fn program(&self, name: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.programs.join(name));
        // The user may not be allowed to be where the tests are.
        command.current_dir(folder).arg("-D").arg(folder.join("data"));
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }
}

/// PostgreSQL refuses to run as root: then the user `postgres` does it, or else `nobody`.
pub fn unprivileged_user() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let id = |option: &str, user: &str| -> Option<u32> {
        let output = Command::new("id").args([option, user]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let user = |name| {
        let (uid, gid) = (id("-u", name)?, id("-g", name)?);
        Some(User { uid, gid })
    };
    let found = user("postgres").or_else(|| user("nobody"));
    Some(found.expect("there is a user `postgres` or `nobody`"))
}

/// The folder of PostgreSQL's programs: Debian's newest version, or where `initdb` is found in PATH.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = versions
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| folder.join("initdb").exists())
        .max()
        .map(|(_, folder)| folder);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = || std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    debian.or_else(in_path).expect("PostgreSQL is installed (tests/run installs it or says how)")
}
