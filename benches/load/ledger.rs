//! What was published, what has come of it, and what has not, or not as it should.

use std::collections::VecDeque;

use super::latencies::Latencies;
use super::stamp::{Clock, Stamp};

/// A channel at Redis, as the clients see it.
struct Channel {
    /// How many clients get its events.
    clients: u64,
    /// How many of them have had something.
    ready: u64,
    /// The number of its last event.
    published: u64,
    /// The last one that has come to everybody, as have all before it.
    complete: u64,
    /// To how many clients the events after that have come.
    counts: VecDeque<u64>,
    /// Events that some do not get, see [`Ledger::leave_out`].
    modulus: Option<u64>,
}

/// What a client expects next on one of its channels.
pub struct Expected {
    channel: usize,
    /// Nothing until the first event has come, whichever it is.
    next: Option<u64>,
}

impl Expected {
    pub fn on(channel: usize) -> Self {
        Self { channel, next: None }
    }
}

pub struct Ledger {
    clock: Clock,
    channels: Vec<Channel>,
    latencies: Latencies,
    /// How often an event has come to a client, without those of number 0.
    deliveries: u64,
    /// Events that have been published.
    published: u64,
    /// Of them, those that have not come to everybody.
    under_way: u64,
    /// Pairs of a client and a channel on which it has had something.
    ready: usize,
    /// Whether clients come and go, so that nobody knows to how many an event comes.
    is_open: bool,
    problems: Vec<String>,
}

impl Ledger {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            channels: Vec::new(),
            latencies: Latencies::default(),
            deliveries: 0,
            published: 0,
            under_way: 0,
            ready: 0,
            is_open: false,
            problems: Vec::new(),
        }
    }

    /// Forgets everything but what was wrong, and begins with channels of so many clients.
    pub fn begin(&mut self, clients: impl IntoIterator<Item = usize>) {
        let problems = std::mem::take(&mut self.problems);
        *self = Self { problems, ..Self::new(self.clock) };
        self.channels.extend(clients.into_iter().map(|clients| Channel {
            clients: clients as u64,
            ready: 0,
            published: 0,
            complete: 0,
            counts: VecDeque::new(),
            modulus: None,
        }));
    }

    /// Of all channels: the event of number `n` does not come to the client of number `c` if both leave the same rest.
    pub fn leave_out(&mut self, modulus: u64) {
        for channel in &mut self.channels {
            channel.modulus = Some(modulus);
        }
    }

    /// From now on clients come and go: what one client gets is still held against its order.
    pub fn open(&mut self) {
        self.is_open = true;
    }

    /// The stamp of a channel's next event.
    pub fn publish(&mut self, channel: usize) -> Stamp {
        let at_ns = self.clock.now();
        let of = &mut self.channels[channel];
        of.published += 1;
        self.published += 1;
        if !self.is_open {
            of.counts.push_back(0);
            self.under_way += 1;
        }
        Stamp { channel, number: of.published, at_ns }
    }

    /// An event that counts for nothing, but shows a client that it is subscribed.
    pub fn mark(&self, channel: usize) -> Stamp {
        Stamp { channel, number: 0, at_ns: self.clock.now() }
    }

    /// Something has come to the client of this number.
    pub fn note(&mut self, client: usize, expected: &mut [Expected], stamp: Stamp, now_ns: u64) {
        let Some(expected) = expected.iter_mut().find(|expected| expected.channel == stamp.channel) else {
            return self.complain(format!("client {client} got an event of channel {}, not its own", stamp.channel));
        };
        let of = &self.channels[stamp.channel];
        let Some(next) = expected.next else {
            // Who comes later begins with whatever comes.
            if !self.is_open && stamp.number > 0 {
                let problem = format!("client {client} got event {} before any other", stamp.number);
                return self.complain(problem);
            }
            expected.next = Some(of.skip(client, stamp.number + 1));
            self.ready += 1;
            self.channels[stamp.channel].ready += 1;
            return;
        };
        if stamp.number == 0 {
            return;
        }
        expected.next = Some(of.skip(client, stamp.number + 1));
        if stamp.number != next {
            let what = if stamp.number > next { "lost" } else { "doubled or out of order" };
            let problem =
                format!("channel {}, client {client}: event {} for {next}: {what}", stamp.channel, stamp.number);
            return self.complain(problem);
        }
        self.deliveries += 1;
        self.latencies.add(now_ns.saturating_sub(stamp.at_ns));
        if !self.is_open {
            self.under_way -= self.channels[stamp.channel].count(stamp.number);
        }
    }

    pub fn complain(&mut self, problem: String) {
        // Of many, the first ones say enough.
        if self.problems.len() < 10 {
            self.problems.push(problem);
        }
    }

    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    pub fn deliveries(&self) -> u64 {
        self.deliveries
    }

    pub fn published(&self) -> u64 {
        self.published
    }

    pub fn under_way(&self) -> u64 {
        self.under_way
    }

    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Whether all clients of a channel have had something.
    pub fn is_ready(&self, channel: usize) -> bool {
        self.channels[channel].ready >= self.channels[channel].clients
    }

    pub fn now_ns(&self) -> u64 {
        self.clock.now()
    }

    /// The latencies since they were taken last.
    pub fn take_latencies(&mut self) -> Latencies {
        std::mem::take(&mut self.latencies)
    }
}

impl Channel {
    /// The first event from this number on that comes to this client.
    fn skip(&self, client: usize, number: u64) -> u64 {
        let is_left_out = self.modulus.is_some_and(|modulus| client as u64 % modulus == number % modulus);
        number + u64::from(is_left_out)
    }

    fn audience(&self, number: u64) -> u64 {
        let Some(modulus) = self.modulus else { return self.clients };
        let rest = number % modulus;
        self.clients - (self.clients + modulus - 1 - rest) / modulus
    }

    /// One client more has this event; how many events are complete with that.
    fn count(&mut self, number: u64) -> u64 {
        let place = usize::try_from(number - self.complete - 1).expect("few are under way");
        self.counts[place] += 1;
        let before = self.complete;
        while let Some(count) = self.counts.front()
            && *count == self.audience(self.complete + 1)
        {
            self.counts.pop_front();
            self.complete += 1;
        }
        self.complete - before
    }
}
