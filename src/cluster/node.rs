//! Who a node is, and where it is reached.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::SystemTime,
};

/// The name of a node, alone in its cluster: 1 to 128 visible ASCII characters. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(Arc<str>);

/// A text that is no name of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a node: 1 to {max} visible ASCII characters without spaces", max = NodeId::MAX_LENGTH)]
pub struct InvalidNodeId(String);

impl NodeId {
    /// How many characters a name has at most.
    pub const MAX_LENGTH: usize = 128;

    /// The name of the machine, or of the container, that this process runs in.
    pub fn of_host() -> Result<Self, InvalidNodeId> {
        rustix::system::uname().nodename().to_string_lossy().parse()
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        // What comes from a peer may be long: enough of it to be known again goes into messages.
        valid.then(|| Self(text.into())).ok_or_else(|| InvalidNodeId(text.chars().take(Self::MAX_LENGTH).collect()))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which process of a node: microseconds since 1970 at its start, of which the lowest bits are random, and never 0. So a
/// later one is greater, unless the clock was set back between the two, and is another one even then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// That many bits: about a millisecond, in which no process is started twice.
    const RANDOM_BITS: u32 = 10;

    /// As many as that if the clock says nothing: it is before the middle of January 1970, as on machines whose clock begins
    /// there each time.
    const RANDOM_BITS_WITHOUT_TIME: u32 = 40;

    /// The one of a process that starts now.
    pub fn now() -> Self {
        Self::at(SystemTime::now())
    }

    fn at(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let bits = if micros >> Self::RANDOM_BITS_WITHOUT_TIME == 0 {
            Self::RANDOM_BITS_WITHOUT_TIME
        } else {
            Self::RANDOM_BITS
        };
        let random = (1 << bits) - 1;
        Self(micros & !random | fastrand::u64(1..=random))
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A host, by name or address, and a port. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerAddress {
    host: Arc<str>,
    port: u16,
}

/// A text that is no `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// There is nothing after the host.
    #[error("{0:?} has no port: write host:port")]
    NoPort(String),
    /// It is nothing but a port.
    #[error("{0:?} is a port alone: host:port is needed, such as 127.0.0.1:{0}")]
    OnlyPort(String),
    /// It is several addresses.
    #[error("{0:?} is more than one address: separate entries by commas")]
    Several(String),
    /// It is the address of a page.
    #[error("{0:?}: write host:port, without http://")]
    Url(String),
    /// There is nothing before the port.
    #[error("{0:?} has no host: write host:port, with 0.0.0.0 or [::] for all addresses of this machine")]
    NoHost(String),
    /// What stands after the host is no port.
    #[error("{0:?} does not end in a port from 0 to 65535")]
    Port(String),
    /// The colons of the address and the one before the port cannot be told apart.
    #[error("{0:?}: an IPv6 address stands in square brackets: [::1]:4500")]
    Brackets(String),
    /// What stands in brackets is no IPv6 address.
    #[error("{0:?}: what stands in square brackets is no IPv6 address")]
    Ipv6(String),
    /// The host has characters that no host has, or too many.
    #[error("{0:?}: the host is neither a name nor an address")]
    Host(String),
}

/// How long a host name is at most (RFC 1035).
const LONGEST_NAME: usize = 253;

impl PeerAddress {
    /// A host name or address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The same, shared.
    pub fn shared_host(&self) -> Arc<str> {
        Arc::clone(&self.host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, if it is an address and no name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether only this machine can get there.
    pub fn is_loopback(&self) -> bool {
        self.ip().map_or_else(|| self.host.eq_ignore_ascii_case("localhost"), |ip| ip.to_canonical().is_loopback())
    }

    /// Whether somebody else can be told this address: it is neither "all addresses" nor "any port".
    pub fn is_concrete(&self) -> bool {
        self.port != 0 && !self.ip().is_some_and(|ip| ip.to_canonical().is_unspecified())
    }
}

impl FromStr for PeerAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = |kind: fn(String) -> InvalidAddress| kind(text.chars().take(2 * LONGEST_NAME).collect());
        if text.contains("://") {
            return Err(problem(InvalidAddress::Url));
        }
        let parts = text.split(|char: char| char == ';' || char.is_whitespace());
        if parts.filter(|part| part.contains(':')).nth(1).is_some() {
            return Err(problem(InvalidAddress::Several));
        }
        if (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(problem(InvalidAddress::OnlyPort));
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(|| problem(InvalidAddress::Brackets))?;
            host.parse::<Ipv6Addr>().map_err(|_| problem(InvalidAddress::Ipv6))?;
            (host, rest.strip_prefix(':').ok_or_else(|| problem(InvalidAddress::NoPort))?)
        } else {
            if text.parse::<Ipv6Addr>().is_ok() || text.matches(':').count() > 1 {
                return Err(problem(InvalidAddress::Brackets));
            }
            let (host, port) = text.split_once(':').ok_or_else(|| problem(InvalidAddress::NoPort))?;
            match host {
                "" => return Err(problem(InvalidAddress::NoHost)),
                host if !is_host(host) => return Err(problem(InvalidAddress::Host)),
                host => (host, port),
            }
        };
        // `parse` alone would take "+80".
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits).ok_or_else(|| problem(InvalidAddress::Port))?;
        Ok(Self { host: host.into(), port })
    }
}

/// An interface that is part of the address, as in `fe80::1%eth0`, is left out: it means nothing elsewhere.
impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string().into(), port: address.port() }
    }
}

/// Whether this may be a host name or an IPv4 address. Underscores are in the names of some Compose services.
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.len() <= LONGEST_NAME && text.bytes().all(allowed) && !text.starts_with('.') && !text.contains("..")
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;

    fn address(text: &str) -> PeerAddress {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_node_is_named_by_visible_characters() {
        for name in ["a", "flodgatt-0", "mastodon.example:4500", &"x".repeat(128)] {
            assert_eq!(name.parse::<NodeId>().unwrap().to_string(), name);
        }
        for name in ["", "a b", "a\n", "ä", "a\0", "\u{7f}", &"x".repeat(129)] {
            assert!(name.parse::<NodeId>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_name_that_is_refused_fills_no_log() {
        let error = "ä".repeat(100_000).parse::<NodeId>().unwrap_err().to_string();
        assert!(error.len() < 500, "{} bytes", error.len());
        let error = "a".repeat(100_000).parse::<PeerAddress>().unwrap_err().to_string();
        assert!(error.len() < 700, "{} bytes", error.len());
    }

    #[test]
    fn the_machine_has_a_name() {
        assert_eq!(NodeId::of_host().unwrap().as_str(), rustix::system::uname().nodename().to_str().unwrap());
    }

    #[test]
    fn a_later_incarnation_is_greater() {
        // The year 2020: a clock in other units would be far off.
        assert!(Incarnation::now() > Incarnation(1_577_836_800_000_000));
        assert!(Incarnation::now() < Incarnation(32_503_680_000_000_000));
        let at = |micros| Incarnation::at(SystemTime::UNIX_EPOCH + Duration::from_micros(micros));
        for micros in (1_577_836_800_000_000..).step_by(2_048).take(1_000) {
            assert!(at(micros) < at(micros + 2_048) && at(micros).0.abs_diff(micros) < 1_024);
        }
    }

    #[test]
    fn processes_that_started_at_the_same_time_can_be_told_apart() {
        let now = SystemTime::now();
        let all: BTreeSet<_> = (0..20).map(|_| Incarnation::at(now)).collect();
        assert!(all.len() > 10, "{all:?}");
    }

    #[test]
    fn a_clock_that_says_nothing_makes_incarnations_that_differ_and_are_less_than_any_other() {
        let (before, after) =
            (SystemTime::UNIX_EPOCH - Duration::from_secs(1), SystemTime::UNIX_EPOCH + Duration::from_secs(9));
        let all: BTreeSet<_> = [before, after].into_iter().cycle().take(100).map(Incarnation::at).collect();
        assert_eq!(all.len(), 100);
        assert!(all.iter().all(|one| one.0 != 0 && *one < Incarnation::now()));
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("node-1:4500", "node-1", 4500),
            ("my_service.default.svc.cluster.local.:1", "my_service.default.svc.cluster.local.", 1),
            ("192.0.2.1:65535", "192.0.2.1", 65535),
            ("[2001:db8::1]:80", "2001:db8::1", 80),
            ("[::]:0", "::", 0),
        ] {
            let address = address(text);
            assert_eq!((address.host(), address.port()), (host, port));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn an_address_that_makes_no_sense_is_told_what_is_wrong_with_it() {
        for (text, kind) in [
            ("", InvalidAddress::NoPort as fn(String) -> InvalidAddress),
            ("node", InvalidAddress::NoPort),
            ("[::1]", InvalidAddress::NoPort),
            ("[::1]4500", InvalidAddress::NoPort),
            (":4500", InvalidAddress::NoHost),
            ("node:", InvalidAddress::Port),
            ("node:http", InvalidAddress::Port),
            ("node:65536", InvalidAddress::Port),
            ("node:+80", InvalidAddress::Port),
            ("node:-1", InvalidAddress::Port),
            ("node: 80", InvalidAddress::Port),
            ("::1", InvalidAddress::Brackets),
            ("::1:4500", InvalidAddress::Brackets),
            ("[::1:4500", InvalidAddress::Brackets),
            ("http://node:4500", InvalidAddress::Url),
            ("one:4500 other:4500", InvalidAddress::Several),
            ("one:4500;other:4500", InvalidAddress::Several),
            ("4500", InvalidAddress::OnlyPort),
            ("[node]:4500", InvalidAddress::Ipv6),
            ("[127.0.0.1]:4500", InvalidAddress::Ipv6),
            ("no de:4500", InvalidAddress::Host),
            ("nöde:4500", InvalidAddress::Host),
            ("node..example:4500", InvalidAddress::Host),
            ("node/a:4500", InvalidAddress::Host),
        ] {
            assert_eq!(text.parse::<PeerAddress>(), Err(kind(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn the_address_of_a_socket_is_written_as_it_is_read() {
        for text in ["192.0.2.1:4500", "[2001:db8::1]:4500"] {
            assert_eq!(PeerAddress::from(text.parse::<SocketAddr>().unwrap()), address(text));
        }
        assert_eq!(PeerAddress::from("[fe80::1%3]:4500".parse::<SocketAddr>().unwrap()), address("[fe80::1]:4500"));
    }

    #[test]
    fn loopback_is_recognised_however_it_is_written() {
        for text in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1", "LocalHost:1"] {
            assert!(address(text).is_loopback(), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::2]:1", "localhost.example:1", "node:1"] {
            assert!(!address(text).is_loopback(), "{text}");
        }
    }

    #[test]
    fn all_addresses_and_any_port_are_not_concrete() {
        for text in ["0.0.0.0:1", "[::]:1", "[::ffff:0.0.0.0]:1", "127.0.0.1:0", "node:0"] {
            assert!(!address(text).is_concrete(), "{text}");
        }
        for text in ["127.0.0.1:1", "[::1]:1", "node:1"] {
            assert!(address(text).is_concrete(), "{text}");
        }
    }
}
