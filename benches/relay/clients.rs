//! The clients: a thread with all WebSockets, which notes what comes, when, and whether it should have come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::stamp::{Clock, Stamp};
use super::support::{Frame, frames, websocket};

/// What came, as publisher and clients share it.
pub struct Ledger {
    /// What time stamps count from.
    clock: Clock,
    /// Events that came, without those of number 0.
    delivered: AtomicU64,
    /// Clients that have had an event of number 0.
    ready: AtomicU64,
    /// From publishing until the client has read it, in nanoseconds, and when the last one came.
    latencies: Mutex<Vec<u64>>,
    problems: Mutex<Vec<String>>,
}

impl Ledger {
    fn new() -> Self {
        Self {
            clock: Clock::start(),
            delivered: AtomicU64::new(0),
            ready: AtomicU64::new(0),
            latencies: Mutex::default(),
            problems: Mutex::default(),
        }
    }

    /// Nanoseconds since it was made.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub fn ready(&self) -> u64 {
        self.ready.load(Ordering::Relaxed)
    }

    /// The latencies since they were taken last, in nanoseconds.
    pub fn take_latencies(&self) -> Vec<u64> {
        std::mem::take(&mut self.latencies.lock())
    }

    pub fn problems(&self) -> Vec<String> {
        self.problems.lock().clone()
    }

    /// Events are lost, doubled or out of order. Of many such, the first ones say enough.
    pub fn complain(&self, problem: String) {
        let mut problems = self.problems.lock();
        if problems.len() < 10 {
            problems.push(problem);
        }
    }
}

/// Where further clients are asked for.
pub struct Clients {
    pub ledger: Arc<Ledger>,
    wanted: mpsc::UnboundedSender<(SocketAddr, String)>,
}

impl Clients {
    /// Starts the thread, which ends with the process.
    pub fn start() -> Self {
        let ledger = Arc::new(Ledger::new());
        let (wanted, mut asked) = mpsc::unbounded_channel::<(SocketAddr, String)>();
        let noted = Arc::clone(&ledger);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let serve = async move {
            while let Some((address, token)) = asked.recv().await {
                let client = Client { name: token.clone(), next: None, ledger: Arc::clone(&noted) };
                tokio::spawn(client.run(connect(address, &token).await));
            }
        };
        std::thread::spawn(move || runtime.block_on(serve));
        Self { ledger, wanted }
    }

    /// One WebSocket on `user`.
    pub fn add(&self, address: SocketAddr, token: String) {
        self.wanted.send((address, token)).expect("the thread lives as long as this");
    }
}

async fn connect(address: SocketAddr, token: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.expect("the server is there");
    connection.set_nodelay(true).expect("it is a TCP connection");
    let target = format!("/api/v1/streaming?stream=user&access_token={token}");
    connection.write_all(&websocket::handshake(&target, &[])).await.expect("it takes the handshake");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(connection.read_buf(&mut head).await.expect("it answers"), 0, "it closed");
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    connection
}

/// One connection, with one channel on which something comes.
struct Client {
    name: String,
    /// The number of the next event; `None` until one of number 0 has come.
    next: Option<u64>,
    ledger: Arc<Ledger>,
}

impl Client {
    async fn run(mut self, mut connection: TcpStream) {
        let mut bytes = Vec::with_capacity(64 * 1024);
        loop {
            match connection.read_buf(&mut bytes).await {
                Ok(1..) => {}
                ended => return self.ledger.complain(format!("{} was disconnected: {ended:?}", self.name)),
            }
            let at = self.ledger.now();
            let mut begin = 0;
            while let Some((opcode, head, length)) = head(&bytes[begin..]) {
                let payload = begin + head..begin + head + length;
                if bytes.len() < payload.end {
                    break;
                }
                begin = payload.end;
                match opcode {
                    frames::TEXT => self.note(&bytes[payload], at),
                    frames::PING => {
                        let pong = Frame::new(frames::PONG, &bytes[payload]).encode();
                        let _ = connection.write_all(&pong).await;
                    }
                    other => self.ledger.complain(format!("{} got a frame of kind {other}", self.name)),
                }
            }
            bytes.drain(..begin);
        }
    }

    fn note(&mut self, frame: &[u8], at: u64) {
        let Some(Stamp { number, at_ns: published, .. }) = Stamp::read(frame) else {
            let frame = String::from_utf8_lossy(frame);
            return self.ledger.complain(format!("{} got something else: {frame}", self.name));
        };
        match (number, self.next) {
            (0, None) => {
                self.next = Some(1);
                self.ledger.ready.fetch_add(1, Ordering::Relaxed);
            }
            (0, Some(1)) => {}
            (number, Some(next)) if number == next => {
                self.next = Some(next + 1);
                self.ledger.latencies.lock().push(at.saturating_sub(published));
                self.ledger.delivered.fetch_add(1, Ordering::Relaxed);
            }
            (number, next) => {
                self.ledger.complain(format!("{} got event {number} in place of {next:?}", self.name));
                self.next = Some(number + 1);
            }
        }
    }
}

/// Kind, length of the head and length of the payload of the frame that begins here, if that much is there.
fn head(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    let (head, length) = match second {
        126 => (4, number(bytes.get(2..4)?)),
        127 => (10, number(bytes.get(2..10)?)),
        length => (2, usize::from(length)),
    };
    Some((first & 0x0F, head, length))
}
