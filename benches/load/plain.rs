//! What the machine can do: a server that knows no accounts and no JSON, encodes each event once and writes it to one socket
//! after the other. It runs as a process of its own, this program with other arguments, so that its time can be told apart.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use mio::net::{TcpListener, TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token};

use super::reading::{CHANNEL, Transport};
use super::support::resp::encode;

const LISTENER: Token = Token(usize::MAX - 1);
const REDIS: Token = Token(usize::MAX - 2);

const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:)\n\r\n";

struct Link {
    stream: TcpStream,
    channel: Option<Vec<u8>>,
    /// What was asked so far.
    request: Vec<u8>,
    is_open: bool,
    /// What the socket had no room for.
    pending: Vec<u8>,
}

struct Plain {
    poll: Poll,
    listener: TcpListener,
    redis: UnixStream,
    transport: Transport,
    /// Events that are written at once, if so many wait.
    at_once: usize,
    links: Vec<Option<Link>>,
    free: Vec<usize>,
    members: HashMap<Vec<u8>, Vec<usize>>,
    /// What Redis said that was not complete.
    said: Vec<u8>,
    /// Events with their channels.
    waiting: VecDeque<(Vec<u8>, Vec<u8>)>,
    buffer: Box<[u8]>,
}

/// Serves for ever, after it has said on which port.
pub fn serve(redis: &Path, transport: Transport, at_once: usize) -> ! {
    let listener = TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)).expect("a port is free");
    println!("{}", listener.local_addr().expect("it is bound").port());
    let mut plain = Plain {
        poll: Poll::new().expect("the system can tell what is readable"),
        listener,
        redis: UnixStream::connect(redis).expect("redis is there"),
        transport,
        at_once,
        links: Vec::new(),
        free: Vec::new(),
        members: HashMap::new(),
        said: Vec::new(),
        waiting: VecDeque::new(),
        buffer: vec![0; 256 * 1024].into_boxed_slice(),
    };
    plain.run()
}

impl Plain {
    fn run(&mut self) -> ! {
        let registry = self.poll.registry();
        registry.register(&mut self.listener, LISTENER, Interest::READABLE).expect("it is a new socket");
        registry.register(&mut self.redis, REDIS, Interest::READABLE).expect("it is a new socket");
        let mut events = Events::with_capacity(4_096);
        loop {
            if let Err(error) = self.poll.poll(&mut events, None) {
                assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
                continue;
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    REDIS => self.listen(),
                    Token(number) => self.attend(number, event.is_readable(), event.is_writable()),
                }
            }
            self.fan_out();
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            stream.set_nodelay(true).expect("it is a TCP connection");
            let number = self.free.pop().unwrap_or_else(|| {
                self.links.push(None);
                self.links.len() - 1
            });
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(number), interest).expect("it is a new socket");
            let (request, pending) = (Vec::new(), Vec::new());
            self.links[number] = Some(Link { stream, channel: None, request, is_open: false, pending });
        }
    }

    fn attend(&mut self, number: usize, is_readable: bool, is_writable: bool) {
        let Some(link) = &mut self.links[number] else { return };
        if is_writable && !link.pending.is_empty() {
            let pending = std::mem::take(&mut link.pending);
            link.write(&[IoSlice::new(&pending)]);
        }
        if !is_readable {
            return;
        }
        loop {
            let count = match link.stream.read(&mut self.buffer) {
                Ok(count @ 1..) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => return self.leave(number),
            };
            if link.is_open {
                continue;
            }
            link.request.extend_from_slice(&self.buffer[..count]);
            if link.request.ends_with(b"\r\n\r\n") {
                link.accept(self.transport);
                if let Some(channel) = link.channel.clone() {
                    return self.join(number, channel);
                }
            }
        }
    }

    fn join(&mut self, number: usize, channel: Vec<u8>) {
        let members = self.members.entry(channel.clone()).or_default();
        members.push(number);
        if members.len() == 1 {
            self.tell_redis(b"SUBSCRIBE", &channel);
        }
    }

    fn leave(&mut self, number: usize) {
        self.free.push(number);
        let Some(channel) = self.links[number].take().and_then(|link| link.channel) else { return };
        let Some(members) = self.members.get_mut(&channel) else { return };
        members.retain(|member| *member != number);
        if members.is_empty() {
            self.members.remove(&channel);
            self.tell_redis(b"UNSUBSCRIBE", &channel);
        }
    }

    fn tell_redis(&mut self, what: &[u8], channel: &[u8]) {
        let mut command = &encode(&[what, channel])[..];
        while !command.is_empty() {
            match self.redis.write(command) {
                Ok(written) => command = &command[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Redis ends when the measurement does.
                Err(_) => std::process::exit(0),
            }
        }
    }

    fn listen(&mut self) {
        loop {
            match self.redis.read(&mut self.buffer) {
                Ok(count @ 1..) => self.said.extend_from_slice(&self.buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                _ => std::process::exit(0),
            }
        }
        let mut begin = 0;
        while let Some((push, length)) = push(&self.said[begin..]) {
            if let [b"message", channel, message] = push {
                let event = encode_event(message, self.transport);
                self.waiting.push_back((channel.to_vec(), event));
            }
            begin += length;
        }
        self.said.drain(..begin);
    }

    fn fan_out(&mut self) {
        while let Some((channel, _)) = self.waiting.front() {
            let alike = self.waiting.iter().take(self.at_once).take_while(|(other, _)| other == channel).count();
            let events: Vec<(Vec<u8>, Vec<u8>)> = self.waiting.drain(..alike).collect();
            let slices: Vec<IoSlice<'_>> = events.iter().map(|(_, event)| IoSlice::new(event)).collect();
            for member in self.members.get(&events[0].0).into_iter().flatten() {
                let link = self.links[*member].as_mut().expect("who has left is no member");
                link.write(&slices);
            }
        }
    }
}

impl Link {
    fn accept(&mut self, transport: Transport) {
        let request = String::from_utf8_lossy(&self.request);
        let channel = request.split_once(CHANNEL).and_then(|(_, rest)| rest.split([' ', '&']).next());
        self.channel = channel.map(|channel| channel.as_bytes().to_vec());
        self.is_open = true;
        self.request = Vec::new();
        let answer = if transport == Transport::EventSource { STREAM } else { UPGRADE };
        self.write(&[IoSlice::new(answer)]);
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) {
        let mut written = 0;
        if self.pending.is_empty() {
            let result = match slices {
                [one] => self.stream.write(one),
                several => self.stream.write_vectored(several),
            };
            written = match result {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                // Who is gone is seen where it is read.
                Err(_) => return,
            };
        }
        for slice in slices {
            let rest = &slice[written.min(slice.len())..];
            self.pending.extend_from_slice(rest);
            written = written.saturating_sub(slice.len());
        }
    }
}

/// An event as a client gets it. Its envelope is the one that is published, which is always the same.
fn encode_event(message: &[u8], transport: Transport) -> Vec<u8> {
    const PAYLOAD: &[u8] = b"\"payload\":";
    let begin = memchr::memmem::find(message, PAYLOAD).expect("an event has a payload") + PAYLOAD.len();
    let payload = &message[begin..message.len() - 1];
    match transport {
        Transport::WebSocket | Transport::Deflated => {
            let mut text = b"{\"stream\":[\"user\"],\"event\":\"update\",\"payload\":\"".to_vec();
            for byte in payload {
                if matches!(byte, b'"' | b'\\') {
                    text.push(b'\\');
                }
                text.push(*byte);
            }
            text.extend_from_slice(b"\"}");
            let length = u16::try_from(text.len()).expect("events are short");
            [&[0x81, 126], &length.to_be_bytes()[..], &text].concat()
        }
        Transport::EventSource => {
            let text = [&b"event: update\ndata: "[..], payload, b"\n\n"].concat();
            [format!("{:x}\r\n", text.len()).as_bytes(), &text, b"\r\n"].concat()
        }
    }
}

/// The first thing that Redis has said, as its three parts, and its length, if it is complete.
fn push(said: &[u8]) -> Option<([&[u8]; 3], usize)> {
    let mut place = 0;
    let mut line = || {
        let end = place + memchr::memchr(b'\n', said.get(place..)?)?;
        let line = &said[place..end - 1];
        place = end + 1;
        if line.first() != Some(&b'$') {
            return Some(line);
        }
        let length: usize = std::str::from_utf8(&line[1..]).ok()?.parse().ok()?;
        let bulk = said.get(place..place + length)?;
        place += length + 2;
        Some(bulk)
    };
    line()?;
    let parts = [line()?, line()?, line()?];
    (place <= said.len()).then_some((parts, place))
}
