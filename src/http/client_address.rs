//! Where a client is, behind proxies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::HeaderMap;
use ipnet::IpNet;

/// Networks whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads addresses and networks separated by commas or spaces; the error is what is neither.
    pub fn parse(list: &str) -> Result<Self, String> {
        let entries = list.split([',', ' ']).filter(|entry| !entry.is_empty());
        entries
            .map(|entry| {
                let address = entry.parse::<IpAddr>().map(IpNet::from);
                address.or_else(|_| entry.parse::<IpNet>()).map_err(|_| entry.to_owned())
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The address of the client: the last one in `X-Forwarded-For` that is no trusted proxy, if the peer is one.
    /// A peer behind a unix socket has no address and is trusted: the file's place says who can be there.
    pub(super) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
        let mut client = peer;
        for hop in hops.iter().rev() {
            if client.is_some_and(|client| !self.trusts(client)) {
                break;
            }
            let Ok(address) = hop.parse() else { break };
            client = Some(address);
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl Default for TrustedProxies {
    /// Loopback and private networks (RFC 1918, RFC 4193).
    fn default() -> Self {
        let v4 = [([127, 0, 0, 0], 8), ([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];
        let v6 = [(Ipv6Addr::LOCALHOST, 128), (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7)];
        let v4 = v4.map(|(address, length)| IpNet::new_assert(Ipv4Addr::from(address).into(), length));
        let v6 = v6.map(|(address, length)| IpNet::new_assert(address.into(), length));
        Self(v4.into_iter().chain(v6).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().expect("a value"));
        let client = TrustedProxies::default().client(peer.parse().ok(), &headers);
        client.map(|client| client.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        assert_eq!(client("127.0.0.1", "203.0.113.7"), "203.0.113.7");
        assert_eq!(client("::1", "203.0.113.7, 10.0.0.1"), "203.0.113.7");
    }

    #[test]
    fn a_proxy_behind_a_unix_socket_is_believed() {
        assert_eq!(client("", "203.0.113.7"), "203.0.113.7");
        assert_eq!(client("", "rubbish"), "");
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(client("198.51.100.1", "203.0.113.7"), "198.51.100.1");
    }

    #[test]
    fn what_a_stranger_told_a_proxy_is_not_believed() {
        assert_eq!(client("127.0.0.1", "1.2.3.4, 198.51.100.1"), "198.51.100.1");
    }

    #[test]
    fn what_is_no_address_ends_the_chain() {
        assert_eq!(client("127.0.0.1", "203.0.113.7, rubbish"), "127.0.0.1");
    }

    #[test]
    fn lists_may_be_separated_by_commas_and_spaces() {
        let proxies = TrustedProxies::parse("192.0.2.1, 2001:db8::/32 10.0.0.0/8").expect("it is valid");
        assert!(proxies.trusts("2001:db8::1".parse().expect("an address")));
        assert_eq!(TrustedProxies::parse("10.0.0.0/99"), Err("10.0.0.0/99".to_owned()));
    }

    #[test]
    fn an_ipv4_proxy_is_known_by_its_ipv6_address_too() {
        assert_eq!(client("::ffff:10.0.0.1", "203.0.113.7"), "203.0.113.7");
        assert_eq!(client("::ffff:198.51.100.1", "203.0.113.7"), "::ffff:198.51.100.1");
    }

    #[test]
    fn repeated_headers_are_one_list() {
        let mut headers = HeaderMap::new();
        for value in ["203.0.113.7", "10.0.0.9"] {
            headers.append("x-forwarded-for", value.parse().expect("a value"));
        }
        let client = TrustedProxies::default().client("127.0.0.1".parse().ok(), &headers);
        assert_eq!(client, "203.0.113.7".parse().ok());
    }

    #[test]
    fn without_the_header_the_peer_is_the_client() {
        let client = TrustedProxies::default().client("127.0.0.1".parse().ok(), &HeaderMap::new());
        assert_eq!(client, "127.0.0.1".parse().ok());
    }
}
