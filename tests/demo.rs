//! The demo: one command, nothing installed, and something to look at.

mod support;

#[path = "demo/nodes.rs"]
mod nodes;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::Signal;
use support::eventually::eventually_within;
use support::process::{Folder, Process};
use support::*;

/// The running demo, and what it printed.
struct Demo {
    process: Process,
    printed: Arc<Mutex<Vec<String>>>,
    folder: Folder,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let folder = Folder::new("demo");
        let mut command = Command::new(env!("CARGO_BIN_EXE_flodgatt"));
        command.arg("demo").args(arguments).env_clear().current_dir(folder.path());
        let process = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let printed = Arc::<Mutex<Vec<String>>>::default();
        let (lines, errors) = (Arc::clone(&printed), Arc::clone(&printed));
        process.read_stdout(move |line| lines.lock().push(line));
        process.read_stderr(move |line| errors.lock().push(line));
        Self { process, printed, folder }
    }

    /// The first line in which something is found, and what was found.
    async fn prints<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        eventually(what, || async {
            let printed = self.printed.lock();
            printed.iter().find_map(|line| find(line)).ok_or_else(|| printed.join("\n"))
        })
        .await
    }

    /// Where it listens, read from the line for a browser, and the token, read from a line to paste.
    async fn address_and_token(&self) -> (String, String) {
        let between = |line: &str, start: &str, ends: &[char]| {
            let rest = &line[line.find(start)? + start.len()..];
            Some(rest[..rest.find(ends)?].to_owned())
        };
        let address = self.prints("address", |line| between(line, "http://", &['/'])).await;
        (address, self.prints("token", |line| between(line, "access_token=", &['\'', '&'])).await)
    }
}

#[tokio::test]
async fn the_demo_prints_where_it_is_and_delivers_events_for_the_token_it_prints() {
    let demo = Demo::start(&["--port", "0", "--rate", "50"]);
    let (address, token) = demo.address_and_token().await;
    assert!(!address.ends_with(":0"), "{address}");
    let address = Address::parse(&address);
    let target = format!("/api/v1/streaming/public?access_token={token}");
    let mut sse = Sse::open(&address, &target, "").await;
    let status = loop {
        let event = sse.next_event().await;
        if event.event == "update" {
            break event.json();
        }
    };
    assert!(status["account"]["acct"].is_string() && status["content"].is_string(), "{status}");
    let mut ws = Ws::open(&address, "/api/v1/streaming?stream=user", &token).await;
    ws.next_event().await;
    let page = http::get(&address, "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = page.text();
    assert!(text.contains(&token) && !text.contains("{{"), "the page is complete");
    assert_eq!(http::get_as(&address, "/api/v1/streaming/public", "another token").await.status, 401);
    demo.process.signal(Signal::TERM);
    assert!(demo.process.exited().await.success());
}

#[tokio::test]
async fn whoever_opens_a_stream_sees_a_handful_of_posts_however_slow_the_traffic_is() {
    // The next post by itself is a hundred seconds away.
    let demo = Demo::start(&["--port", "0", "--rate", "0.01"]);
    let (address, token) = demo.address_and_token().await;
    let address = Address::parse(&address);
    let mut kept = Vec::new();
    // The second one opens a stream that is open already.
    for stream in ["public", "public", "user"] {
        let target = format!("/api/v1/streaming/{stream}?access_token={token}");
        let mut sse = Sse::open(&address, &target, "").await;
        for _ in 0..3 {
            assert_eq!(sse.next_event().await.event, "update");
        }
        kept.push(sse);
    }
}

#[tokio::test]
async fn a_taken_port_is_said_with_the_option_that_changes_it() {
    let first = Demo::start(&["--port", "0"]);
    let (address, _) = first.address_and_token().await;
    let port = Address::parse(&address).port().to_string();
    let second = Demo::start(&["--port", &port]);
    assert!(!second.process.exited().await.success());
    second.prints("reason", |line| (line.contains("--port") && line.contains(&port)).then_some(())).await;
}

#[tokio::test]
async fn the_page_moves_and_fits_in_a_browser() {
    let (busy, quiet) =
        (Demo::start(&["--port", "0", "--rate", "10"]), Demo::start(&["--port", "0", "--rate", "0.01"]));
    let (of_busy, of_quiet) = (busy.address_and_token().await.0, quiet.address_and_token().await.0);
    look_at(&[&of_busy, &of_quiet], "demo_page.mjs", &busy.folder).await;
}

#[tokio::test]
async fn the_page_of_a_cluster_counts_nothing_lost_or_doubled_while_its_buttons_kill_and_add_nodes() {
    let demo = Demo::start(&["--port", "0", "--rate", "5", "--nodes", "3"]);
    look_at(&[&demo.address_and_token().await.0], "demo_cluster.mjs", &demo.folder).await;
}

/// Has a script look at pages in a browser, if there is one.
async fn look_at(addresses: &[&str], script: &str, home: &Folder) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let chromium = match browser(&folder) {
        Ok(chromium) => chromium,
        Err(missing) => {
            // Past the test's own capture: nobody must think that it was looked at.
            let skipped = format!("SKIPPED: {script}: no browser looked at the demo's page: {missing}\n");
            std::io::stderr().write_all(skipped.as_bytes()).unwrap();
            return;
        }
    };
    let shots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo");
    std::fs::create_dir_all(&shots).unwrap();
    let mut command = Command::new("node");
    command.current_dir(&folder).arg(script);
    command.args(addresses.iter().map(|address| format!("http://{address}/"))).arg(chromium).arg(&shots);
    // The browser leaves things in its home.
    command.env("HOME", home.path());
    let process = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let said = Arc::<Mutex<Vec<String>>>::default();
    let (lines, errors) = (Arc::clone(&said), Arc::clone(&said));
    process.read_stdout(move |line| lines.lock().push(line));
    process.read_stderr(move |line| errors.lock().push(line));
    let status =
        eventually_within(Duration::from_secs(150), "end of the browser", || async { process.exit_status() }).await;
    assert!(status.success(), "{}", said.lock().join("\n"));
}

/// The browser, if there is all that it takes to drive it; else what is missing.
fn browser(folder: &Path) -> Result<PathBuf, String> {
    let version = Command::new("node").arg("--version").output().map_err(|_| "there is no node")?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let major: u32 =
        version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < 20 {
        return Err(format!("node is {version}, and has to be 20 or later"));
    }
    if !folder.join("node_modules/playwright-core").exists() {
        return Err("playwright-core is not installed (tests/run does it)".into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places =
        std::env::split_paths(&path).flat_map(|folder| ["chromium", "chromium-browser"].map(|name| folder.join(name)));
    places
        .find(|place| place.exists())
        .ok_or_else(|| "there is no Chromium (tests/run installs it where there is apt)".into())
}
