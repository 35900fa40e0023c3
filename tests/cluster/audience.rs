//! Clients that watch numbered channels and note what comes, and when.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::verdict::{Receipt, Watched};
use crate::support::frames::{CLOSE, PING, PONG, TEXT};
use crate::support::*;

/// Sockets at each node, over which the channels are spread.
const SOCKETS: usize = 4;

/// How long a marker is given to arrive before another one is sent.
const MARKER_PAUSE: Duration = Duration::from_millis(250);

/// Everybody who watches, and the channels: lists of one person.
pub struct Audience {
    person: Person,
    lists: Vec<i64>,
    sockets: Vec<Socket>,
    markers: Cell<u64>,
}

struct Socket {
    node: usize,
    /// Indices of lists.
    channels: Vec<usize>,
    /// When it subscribed, and when that was seen to work, if it was during a load.
    since: Option<(Instant, Instant)>,
    seen: Arc<Mutex<Seen>>,
    reading: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    receipts: Vec<(Instant, Receipt)>,
    /// For each list, the last marker that came.
    markers: Vec<u64>,
    /// Why nothing more comes.
    end: Option<String>,
}

impl Audience {
    /// All channels are watched at each of these nodes, and everything comes.
    pub async fn gather(cluster: &Cluster, channels: usize, nodes: &[usize]) -> Self {
        let person = cluster.database.person("alice").await;
        let mut lists = Vec::new();
        for _ in 0..channels {
            lists.push(cluster.database.list(person.account_id).await);
        }
        let mut audience = Self { person, lists, sockets: Vec::new(), markers: Cell::new(0) };
        for node in nodes {
            audience.join(cluster, *node).await;
        }
        audience.sync(cluster).await;
        cluster.await_settled().await;
        audience
    }

    /// Further clients watch all channels at a node.
    async fn join(&mut self, cluster: &Cluster, node: usize) {
        for first in 0..SOCKETS {
            let channels = (first..self.lists.len()).step_by(SOCKETS).collect();
            self.watch(cluster, node, channels).await;
        }
    }

    /// During a load one more client comes to each of these nodes, to a part of the channels; waits until they get what comes.
    pub async fn newcomers(&mut self, cluster: &Cluster, nodes: &[usize]) {
        let (since, before) = (Instant::now(), self.sockets.len());
        for node in nodes {
            let channels = (fastrand::usize(..SOCKETS)..self.lists.len()).step_by(SOCKETS - 1).collect();
            self.watch(cluster, *node, channels).await;
        }
        self.sync(cluster).await;
        let works = Instant::now();
        self.sockets[before..].iter_mut().for_each(|socket| socket.since = Some((since, works)));
    }

    async fn watch(&mut self, cluster: &Cluster, node: usize, channels: Vec<usize>) {
        let mut ws = Ws::open(cluster.node(node), "/api/v1/streaming", &self.person.token).await;
        for channel in &channels {
            let list = self.lists[*channel].to_string();
            ws.send_json(json!({"type": "subscribe", "stream": "list", "list": list})).await;
        }
        let seen = Seen { markers: vec![0; self.lists.len()], ..Seen::default() };
        let seen = Arc::new(Mutex::new(seen));
        let reading = tokio::spawn(read(ws, self.lists.clone(), Arc::clone(&seen)));
        self.sockets.push(Socket { node, channels, since: None, seen, reading });
    }

    /// The names of the channels at Redis.
    pub fn channels(&self) -> Vec<String> {
        self.lists.iter().map(|list| format!("timeline:list:{list}")).collect()
    }

    /// What was seen so far is forgotten, and who came during a load belongs to the others.
    pub fn begin(&mut self) {
        for socket in &mut self.sockets {
            socket.since = None;
            socket.seen.lock().receipts.clear();
        }
    }

    /// Publishes markers on all channels until one has come to everybody who watches at a node that lives. All that was
    /// published before has come then, or is lost.
    pub async fn sync(&self, cluster: &Cluster) {
        let marker = self.markers.get() + 1;
        self.markers.set(marker);
        let (names, last) = (self.channels(), Cell::new(None::<Instant>));
        eventually(format!("marker {marker} at all watchers"), || async {
            let missing = self.missing(cluster, marker);
            if missing.is_empty() {
                return Ok(());
            }
            if last.get().is_none_or(|last| last.elapsed() > MARKER_PAUSE) {
                let channels: BTreeSet<usize> = missing.iter().map(|(_, channel)| *channel).collect();
                let messages = channels.into_iter().map(|channel| {
                    let message = event("delete", format!("m {marker} {channel} 0"));
                    (names[channel].as_str(), message)
                });
                cluster.redis.publish_each(messages).await;
                last.set(Some(Instant::now()));
            }
            let examples: Vec<_> = missing.iter().take(5).collect();
            Err(format!("{} (node, channel) lack it: {examples:?}, …", missing.len()))
        })
        .await;
    }

    /// Which channels of which nodes have not seen a marker.
    fn missing(&self, cluster: &Cluster, marker: u64) -> Vec<(usize, usize)> {
        let live = cluster.live();
        let mut missing = Vec::new();
        for socket in self.sockets.iter().filter(|socket| live.contains(&socket.node)) {
            let seen = socket.seen.lock();
            let end = seen.end.clone().or_else(|| socket.reading.is_finished().then(|| "a panic".to_owned()));
            assert!(end.is_none(), "a client of node {} reads no more: {}", socket.node, end.unwrap_or_default());
            let late = socket.channels.iter().filter(|channel| seen.markers[**channel] < marker);
            missing.extend(late.map(|channel| (socket.node, *channel)));
        }
        missing
    }

    /// What those saw who watch at nodes that live, with times since `epoch`.
    pub fn watched(&self, cluster: &Cluster, epoch: Instant) -> Vec<Watched> {
        let live = cluster.live();
        let watched = |socket: &Socket| {
            let receipts = socket.seen.lock().receipts.clone().into_iter();
            Watched {
                node: socket.node,
                channels: socket.channels.clone(),
                since: socket.since.map(|(since, works)| (since - epoch, works - epoch)),
                receipts: receipts.map(|(at, receipt)| Receipt { at: at - epoch, ..receipt }).collect(),
            }
        };
        self.sockets.iter().filter(|socket| live.contains(&socket.node)).map(watched).collect()
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        for socket in &self.sockets {
            socket.reading.abort();
        }
    }
}

async fn read(mut ws: Ws, lists: Vec<i64>, seen: Arc<Mutex<Seen>>) {
    let end = loop {
        match next_text(&mut ws).await {
            Ok(text) => {
                if let Err(problem) = note(&text, &lists, &mut seen.lock()) {
                    break format!("{problem} in {text}");
                }
            }
            Err(error) => break error.to_string(),
        }
    };
    seen.lock().end = Some(end);
}

/// Like [`Ws::next_text`], however long it takes.
async fn next_text(ws: &mut Ws) -> io::Result<String> {
    loop {
        let frame = ws.next_frame().await?;
        match frame.opcode {
            TEXT if frame.fin => return String::from_utf8(frame.payload).map_err(io::Error::other),
            PING => ws.wire().try_send(&Frame::new(PONG, frame.payload).encode()).await?,
            CLOSE => return Err(io::Error::other(format!("closed: {:?}", frame.close_reason()))),
            _ => return Err(io::Error::other(format!("{frame:?} came"))),
        }
    }
}

/// Enters an event or a marker: a letter and three numbers.
fn note(text: &str, lists: &[i64], seen: &mut Seen) -> Result<(), &'static str> {
    let at = Instant::now();
    let json: Value = serde_json::from_str(text).map_err(|_| "no JSON")?;
    let payload = json["payload"].as_str().ok_or("no payload")?;
    let mut words = payload.split(' ');
    let kind = words.next().ok_or("no kind")?;
    let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
    let [first, channel, number] = numbers[..] else { return Err("not three numbers") };
    let list = lists.get(channel as usize).ok_or("an unknown channel")?;
    if json["stream"] != json!(["list", list.to_string()]) {
        return Err("an event of another channel");
    }
    match kind {
        "m" => seen.markers[channel as usize] = first,
        _ => {
            let receipt =
                Receipt { load: first as u32, channel: channel as usize, number: number as usize, at: Duration::ZERO };
            seen.receipts.push((at, receipt));
        }
    }
    Ok(())
}
