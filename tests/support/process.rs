//! Processes and folders that never outlive the test process, however that ends.
//!
//! Each test process has one root folder, with a file for each running process and a folder for each fixture. A guard, a
//! small shell script in a process group of its own, waits at a pipe that only the test process holds. When that ends (by
//! returning, by a panic, by SIGKILL) the guard ends what is still running and removes the root folder.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use super::eventually::eventually;

const GUARD: &str = r#"
read -r _
# Whether a process runs; one that has ended, and that nobody has asked about, does not.
runs() {
    case "$(cat "/proc/$1/stat" 2>/dev/null)" in
        ''|*") Z "*) return 1 ;;
    esac
}
cd "$1/processes" || exit
for pid in *; do
    runs "$pid" || continue
    kill -"$(cat "$pid")" "$pid"
    kill -CONT "$pid"
done
for pid in *; do
    for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        runs "$pid" || continue 2
        sleep 0.1
    done
    kill -KILL "$pid"
done
cd /
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$1" && exit
    sleep 0.2
done
"#;

/// The root folder, and the guard with the writing end of its pipe, which closes when this process ends.
struct Root {
    folder: PathBuf,
    _guard: Child,
}

fn root() -> &'static Path {
    static ROOT: OnceLock<Root> = OnceLock::new();
    &ROOT.get_or_init(start_guard).folder
}

fn start_guard() -> Root {
    let name = format!("flodgatt-{}-{:08x}", std::process::id(), fastrand::u32(..));
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(folder.join("processes")).expect("a folder for the tests can be made");
    // Other users (PostgreSQL's) must be able to pass through.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let guard = Command::new("/bin/sh")
        .args(["-c", GUARD, "guard"])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("/bin/sh can be started");
    Root { folder, _guard: guard }
}

/// A folder of its own, removed when dropped or when the test process ends.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(purpose: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = root().join(format!("{purpose}-{number}"));
        fs::create_dir(&path).expect("a folder for a fixture can be made");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into the folder and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file can be written");
        path
    }

    /// Hands the folder to a user, who alone may then enter it, but for root.
    pub fn give_to(&self, user: User) {
        chown(&self.0, Some(user.uid), Some(user.gid)).expect("root may give files away");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What fails here is left to the guard.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A user and group of the system.
#[derive(Clone, Copy)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// A note to the guard that a process is running, and with which signal to end it. Taken back when dropped.
pub struct Registered(PathBuf);

impl Registered {
    pub fn new(pid: u32, signal_name: &str) -> Self {
        let file = root().join("processes").join(pid.to_string());
        fs::write(&file, signal_name).expect("a running process can be noted");
        Self(file)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A running program. Dropping it ends it (by SIGKILL, unless told otherwise) and waits for its end.
pub struct Process {
    name: String,
    child: Mutex<Child>,
    pid: Pid,
    ends_by: Signal,
    _registered: Registered,
}

impl Process {
    /// Starts the program. Its standard input is closed; where output goes is up to the command.
    pub fn start(command: &mut Command) -> Self {
        Self::start_ending_by(command, Signal::KILL)
    }

    /// The same, ended by `signal` instead of SIGKILL: QUIT or TERM, for programs that have something to clean up.
    pub fn start_ending_by(command: &mut Command, signal: Signal) -> Self {
        root();
        let name = command.get_program().to_string_lossy().into_owned();
        let child =
            command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let signal_name = match signal {
            Signal::QUIT => "QUIT",
            Signal::TERM => "TERM",
            _ => "KILL",
        };
        Self {
            name,
            pid: Pid::from_child(&child),
            _registered: Registered::new(child.id(), signal_name),
            child: Mutex::new(child),
            ends_by: signal,
        }
    }

    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal. Nothing happens if the process has ended.
    pub fn signal(&self, signal: Signal) {
        let mut child = self.child.lock();
        // Not reaped yet as long as the lock is held: the number cannot belong to another process.
        if child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// How the process ended, or none as long as it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child.lock().try_wait().expect("a child can be waited for")
    }

    /// Waits for its end.
    pub async fn exited(&self) -> ExitStatus {
        eventually(format_args!("end of {}", self.name), || async { self.exit_status() }).await
    }

    /// Ends it with SIGKILL and waits.
    pub fn kill(&self) {
        let mut child = self.child.lock();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// The lines of its standard output (if that is a pipe), handed to `each` on a thread of their own until it ends.
    pub fn read_stdout(&self, each: impl FnMut(String) + Send + 'static) {
        let stdout = self.child.lock().stdout.take();
        read_lines(stdout.expect("standard output is a pipe"), each);
    }

    /// Likewise its standard error.
    pub fn read_stderr(&self, each: impl FnMut(String) + Send + 'static) {
        let stderr = self.child.lock().stderr.take();
        read_lines(stderr.expect("standard error is a pipe"), each);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        if matches!(child.try_wait(), Ok(None)) {
            let _ = kill_process(self.pid, self.ends_by);
            let _ = kill_process(self.pid, Signal::CONT);
        }
        let _ = child.wait();
    }
}

fn read_lines(from: impl Read + Send + 'static, mut each: impl FnMut(String) + Send + 'static) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(io::Result::ok) {
            each(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

/// A TCP port that nobody uses. It lies below the range from which the system picks ports by itself, so that no outgoing
/// connection can take it before the program for which it is meant, nor while that program is being restarted.
pub fn free_port() -> u16 {
    static TAKEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut taken = TAKEN.lock();
    loop {
        let port = fastrand::u16(10_000..32_000);
        if !taken.contains(&port) && is_free(port) {
            taken.push(port);
            return port;
        }
    }
}

/// Whether a port can be bound at this moment.
pub fn is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// The state of a process as the system shows it: `R`unning, `S`leeping, s`T`opped, `Z`ombie, …; none if there is no such process.
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in brackets, which may contain brackets itself.
    stat.rsplit_once(") ")?.1.chars().next()
}
