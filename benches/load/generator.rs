//! The clients: thousands of connections on one thread, which reads each frame where the system put it.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::ledger::{Expected, Ledger};
use super::publisher::{Publisher, Traffic};
use super::reading::{Item, Reader, Transport, pong};
use super::stamp::Clock;

/// Bytes that are read at once: more than the system keeps for a connection that is read now and then.
const BUFFER: usize = 512 * 1024;

/// Addresses of the server that are used in turn: each has ports of its own.
const ADDRESSES: usize = 16;

/// How long nothing at all may happen while something is expected.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often channels are marked on which nobody knows yet whether clients are subscribed.
const MARKS: Duration = Duration::from_millis(300);

/// Channels that are marked at once.
const AT_ONCE: usize = 500;

/// A connection to be made.
pub struct Wish {
    /// The server's port, on any loopback address.
    pub port: u16,
    pub transport: Transport,
    pub request: Vec<u8>,
    /// The channels whose events come over it.
    pub channels: Vec<usize>,
}

struct Link {
    stream: TcpStream,
    state: State,
    transport: Transport,
    expected: Vec<Expected>,
}

enum State {
    Connecting {
        request: Vec<u8>,
    },
    /// Has been asked; what was answered so far.
    Asked(Vec<u8>),
    Open(Reader),
}

pub struct Generator {
    poll: Poll,
    events: Events,
    links: Vec<Option<Link>>,
    buffer: Box<[u8]>,
    opening: usize,
    /// What all connections have read.
    bytes: u64,
    pub ledger: Ledger,
}

impl Generator {
    pub fn new() -> Self {
        Self {
            poll: Poll::new().expect("the system can tell what is readable"),
            events: Events::with_capacity(4_096),
            links: Vec::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            opening: 0,
            bytes: 0,
            ledger: Ledger::new(Clock::start()),
        }
    }

    /// Makes all these connections, with so many at once under way, and returns when all have been accepted.
    pub fn open(&mut self, wishes: impl IntoIterator<Item = Wish>, at_once: usize) {
        for wish in wishes {
            while self.opening >= at_once {
                self.turn_or_fail("connections to be accepted");
            }
            self.begin(self.links.len(), wish);
        }
        while self.opening > 0 {
            self.turn_or_fail("connections to be accepted");
        }
    }

    /// Begins a connection under a number, in place of the one that has it.
    pub fn begin(&mut self, number: usize, wish: Wish) {
        self.close(number);
        let last = u8::try_from(1 + number % ADDRESSES).expect("few addresses");
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), wish.port);
        let mut stream = TcpStream::connect(address).expect("there are files and ports enough");
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(number), interest).expect("it is a new socket");
        let expected = wish.channels.into_iter().map(Expected::on).collect();
        let state = State::Connecting { request: wish.request };
        if self.links.len() <= number {
            self.links.resize_with(number + 1, || None);
        }
        self.links[number] = Some(Link { stream, state, transport: wish.transport, expected });
        self.opening += 1;
    }

    /// Closes a connection, if it is there.
    pub fn close(&mut self, number: usize) {
        let link = self.links.get_mut(number).and_then(Option::take);
        if link.is_some_and(|link| !matches!(link.state, State::Open(_))) {
            self.opening -= 1;
        }
    }

    /// Closes all connections.
    pub fn close_all(&mut self) {
        self.links.clear();
        self.opening = 0;
    }

    /// Publishes marks until each client has had something on each of its channels.
    pub fn await_subscriptions(&mut self, publisher: &mut Publisher, channels: usize, wanted: usize) {
        let (mut marked, begun) = (None::<Instant>, Instant::now());
        while self.ledger.ready() < wanted && self.ledger.problems().is_empty() {
            if begun.elapsed() > 4 * PATIENCE {
                let ready = self.ledger.ready();
                return self.ledger.complain(format!("{ready} of {wanted} clients got anything at all"));
            }
            if marked.is_none_or(|at| at.elapsed() > MARKS) {
                self.mark(publisher, channels);
                marked = Some(Instant::now());
            }
            self.turn(Duration::from_millis(20));
        }
    }

    /// Marks each channel of which something has not come to everybody.
    fn mark(&mut self, publisher: &mut Publisher, channels: usize) {
        for channel in 0..channels {
            if !self.ledger.is_ready(channel) {
                publisher.add(channel, self.ledger.mark(channel));
            }
            // Redis gives up a subscriber that has 32 MB before it.
            if channel % AT_ONCE == AT_ONCE - 1 {
                publisher.flush();
                self.turn(Duration::from_millis(10));
            }
        }
        publisher.flush();
    }

    /// Publishes for some time, and reads what comes. Ends early when something is wrong.
    pub fn drive(&mut self, publisher: &mut Publisher, traffic: &mut [Traffic], time: Duration) {
        let end = Instant::now() + time;
        let mut last = (Instant::now(), self.ledger.deliveries());
        while Instant::now() < end && self.ledger.problems().is_empty() {
            let mut wait = end.saturating_duration_since(Instant::now());
            for traffic in &mut *traffic {
                wait = wait.min(traffic.publish(publisher, &mut self.ledger));
            }
            publisher.flush();
            self.turn(wait);
            if self.ledger.deliveries() > last.1 || self.ledger.under_way() == 0 {
                last = (Instant::now(), self.ledger.deliveries());
            } else if last.0.elapsed() > PATIENCE {
                self.ledger.complain(format!("{} events did not come to everybody", self.ledger.under_way()));
            }
        }
    }

    /// Waits until everything that was published has come to everybody.
    pub fn drain(&mut self) {
        let begun = Instant::now();
        while self.ledger.under_way() > 0 && self.ledger.problems().is_empty() {
            if begun.elapsed() > PATIENCE {
                let problem = format!("{} events did not come to everybody", self.ledger.under_way());
                return self.ledger.complain(problem);
            }
            self.turn(Duration::from_millis(100));
        }
    }

    /// How many bytes have been read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether this connection was accepted and is there.
    pub fn is_open(&self, number: usize) -> bool {
        matches!(self.links.get(number), Some(Some(Link { state: State::Open(_), .. })))
    }

    fn turn_or_fail(&mut self, what: &str) {
        let happened = self.turn(PATIENCE);
        assert!(happened > 0, "waited in vain for {what}");
        assert!(self.ledger.problems().is_empty(), "{:?}", self.ledger.problems());
    }

    /// Waits for something to happen, and does it; how much that was.
    pub fn turn(&mut self, wait: Duration) -> usize {
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait)) {
            assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
            return 1;
        }
        let mut happened = 0;
        for event in &self.events {
            happened += 1;
            let Token(number) = event.token();
            let Some(link) = self.links.get_mut(number).and_then(Option::as_mut) else { continue };
            let was_open = matches!(link.state, State::Open(_));
            if event.is_writable() {
                link.ask();
            }
            let is_there =
                !event.is_readable() || link.read(number, &mut self.buffer, &mut self.bytes, &mut self.ledger);
            self.opening -= usize::from(!was_open && (!is_there || matches!(link.state, State::Open(_))));
            if !is_there {
                self.links[number] = None;
            }
        }
        happened
    }
}

impl Link {
    fn ask(&mut self) {
        if let State::Connecting { request } = &self.state
            && self.stream.write(request).is_ok_and(|written| written == request.len())
        {
            self.state = State::Asked(Vec::new());
        }
    }

    /// Reads until nothing is left; whether the connection is still there.
    fn read(&mut self, number: usize, buffer: &mut [u8], bytes: &mut u64, ledger: &mut Ledger) -> bool {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(count @ 1..) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                ended => {
                    ledger.complain(format!("client {number} was disconnected: {ended:?}"));
                    return false;
                }
            };
            *bytes += count as u64;
            if !self.take(number, &buffer[..count], ledger) {
                return false;
            }
            if count < buffer.len() {
                return true;
            }
        }
    }

    fn take(&mut self, number: usize, bytes: &[u8], ledger: &mut Ledger) -> bool {
        let State::Asked(head) = &mut self.state else { return self.read_stream(number, bytes, ledger) };
        head.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") else { return true };
        let head = std::mem::take(head);
        if !head.starts_with(self.transport.acceptance()) {
            ledger.complain(format!("client {number} was refused: {}", String::from_utf8_lossy(&head)));
            return false;
        }
        self.state = State::Open(self.transport.reader());
        self.read_stream(number, &head[end + 4..], ledger)
    }

    fn read_stream(&mut self, number: usize, bytes: &[u8], ledger: &mut Ledger) -> bool {
        let State::Open(reader) = &mut self.state else { return true };
        let (now_ns, mut is_there) = (ledger.now_ns(), true);
        let (stream, expected) = (&mut self.stream, &mut self.expected);
        reader.read(bytes, &mut |item| match item {
            Item::Event(stamp) => ledger.note(number, expected, stamp, now_ns),
            Item::Ping(carried) => {
                // So small that there is room for it, or the connection is broken and says so when it is read.
                let _ = stream.write(&pong(&carried));
            }
            Item::End => {
                ledger.complain(format!("client {number} was told that the stream is over"));
                is_there = false;
            }
            Item::Odd(what) => ledger.complain(format!("client {number} got {what}")),
        });
        is_there
    }
}
