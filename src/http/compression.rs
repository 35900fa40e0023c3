//! Whether a WebSocket is compressed (permessage-deflate, RFC 7692).

use hyper::{
    HeaderMap,
    header::{HeaderValue, SEC_WEBSOCKET_EXTENSIONS},
};

use super::handshake::is_token_byte;
use crate::domain::deflate::WINDOW_BITS;

const EXTENSION: &str = "permessage-deflate";

/// What is always agreed on: neither side refers to messages before the one that it compresses, so that no connection needs a
/// memory of them. A server may ask this of any client (RFC 7692, 7.1.1).
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// One of the extensions that a client offers (RFC 6455, 9.1).
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    name: String,
    parameters: Vec<(String, Option<String>)>,
}

/// What is answered to the first offer of compression that can be met; none if the connection goes on without. Offers that are
/// unknown or make no sense are declined, each by itself (RFC 7692, 5.1 and 7.1).
pub(super) fn agree(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    values.flat_map(|value| offers(value.as_bytes())).find_map(|offer| offer.agreed())
}

impl Offer {
    fn agreed(&self) -> Option<HeaderValue> {
        if self.name != EXTENSION {
            return None;
        }
        let mut limits_window = false;
        for (place, (name, value)) in self.parameters.iter().enumerate() {
            let is_repeated = self.parameters[..place].iter().any(|(before, _)| before == name);
            let can_be_met = match (name.as_str(), value.as_deref()) {
                _ if is_repeated => false,
                ("server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits", None) => true,
                // How little the client refers back to is its own affair.
                ("client_max_window_bits", Some(bits)) => window_bits(bits).is_some(),
                ("server_max_window_bits", Some(bits)) => {
                    limits_window = true;
                    window_bits(bits).is_some_and(|bits| bits >= WINDOW_BITS)
                }
                _ => false,
            };
            if !can_be_met {
                return None;
            }
        }
        let agreed =
            if limits_window { format!("{AGREED}; server_max_window_bits={WINDOW_BITS}") } else { AGREED.to_owned() };
        Some(HeaderValue::from_str(&agreed).expect("it is made of tokens"))
    }
}

/// A number from 8 to 15 without zeros in front (RFC 7692, 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let is_decimal = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    value.parse().ok().filter(|bits| is_decimal && (8..=15).contains(bits))
}

/// What a header offers; nothing of one that is malformed.
fn offers(header: &[u8]) -> Vec<Offer> {
    let mut rest = Rest(header);
    let mut offers = Vec::new();
    loop {
        // Elements of a list may be empty (RFC 9110, 5.6.1).
        while rest.takes(b',') {}
        if rest.is_empty() {
            return offers;
        }
        match rest.offer() {
            Some(offer) if rest.is_empty() || rest.is_before(b',') => offers.push(offer),
            _ => return Vec::new(),
        }
    }
}

/// What of a header has not been read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn offer(&mut self) -> Option<Offer> {
        let (name, mut parameters) = (self.token()?, Vec::new());
        while self.takes(b';') {
            let name = self.token()?;
            let value = if self.takes(b'=') { Some(self.value()?) } else { None };
            parameters.push((name, value));
        }
        Some(Offer { name, parameters })
    }

    fn token(&mut self) -> Option<String> {
        self.skip_space();
        let length = self.0.iter().take_while(|byte| is_token_byte(byte)).count();
        let (token, rest) = self.0.split_at(length);
        self.0 = rest;
        (length > 0).then(|| String::from_utf8_lossy(token).into_owned())
    }

    /// A token, or one in quotes (RFC 6455, 9.1).
    fn value(&mut self) -> Option<String> {
        if !self.takes(b'"') {
            return self.token();
        }
        let mut value = String::new();
        loop {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            match first {
                b'"' => return Some(value).filter(|value| !value.is_empty()),
                b'\\' => {
                    let (escaped, rest) = self.0.split_first().filter(|(byte, _)| is_token_byte(byte))?;
                    self.0 = rest;
                    value.push(char::from(*escaped));
                }
                byte if is_token_byte(byte) => value.push(char::from(*byte)),
                _ => return None,
            }
        }
    }

    /// Whether this comes next; then it is read.
    fn takes(&mut self, wanted: u8) -> bool {
        let is_next = self.is_before(wanted);
        if is_next {
            self.0 = &self.0[1..];
        }
        is_next
    }

    fn is_before(&mut self, wanted: u8) -> bool {
        self.skip_space();
        self.0.first() == Some(&wanted)
    }

    fn is_empty(&mut self) -> bool {
        self.skip_space();
        self.0.is_empty()
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_WINDOW: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12";

    fn agreed(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_bytes(value.as_bytes()).expect("a valid value"));
        }
        agree(&headers).map(|agreed| agreed.to_str().expect("it is ASCII").to_owned())
    }

    #[test]
    fn what_clients_offer_is_accepted() {
        for offer in [
            "permessage-deflate",
            // Chromium, and the package ws.
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=8",
            "permessage-deflate ; client_max_window_bits = 15 ; server_no_context_takeover",
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"1\\0\"",
        ] {
            assert_eq!(agreed(&[offer]).as_deref(), Some(AGREED), "{offer}");
        }
    }

    #[test]
    fn a_window_is_limited_to_what_is_used_if_the_client_asks_for_a_limit() {
        for bits in 12..=15 {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            assert_eq!(agreed(&[&offer]).as_deref(), Some(WITH_WINDOW), "{offer}");
        }
        let both = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=9";
        assert_eq!(agreed(&[both]).as_deref(), Some(WITH_WINDOW));
    }

    #[test]
    fn an_offer_that_cannot_be_met_is_declined() {
        for parameters in [
            "server_max_window_bits=11",
            "server_max_window_bits=8",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=012",
            "server_max_window_bits=+12",
            "server_max_window_bits=twelve",
            "server_max_window_bits=\"\"",
            "server_max_window_bits",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=010",
            "client_max_window_bits=268",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            "server_no_context_takeover; server_no_context_takeover",
            "client_max_window_bits; client_max_window_bits=10",
            "mux",
            "SERVER_NO_CONTEXT_TAKEOVER",
        ] {
            assert_eq!(agreed(&[&format!("permessage-deflate; {parameters}")]), None, "{parameters}");
        }
    }

    #[test]
    fn other_extensions_are_declined() {
        for offer in ["", "x-webkit-deflate-frame", "permessage-bzip2; level=9", "permessage-deflate2"] {
            assert_eq!(agreed(&[offer]), None, "{offer}");
        }
        assert_eq!(agreed(&[]), None);
    }

    #[test]
    fn the_first_offer_that_can_be_met_counts_in_one_header_or_several() {
        let (small, large) =
            ("permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_max_window_bits=14");
        let plain = "permessage-deflate";
        assert_eq!(agreed(&[&format!("{small}, {large}, {plain}")]).as_deref(), Some(WITH_WINDOW));
        assert_eq!(agreed(&[&format!("{small}, {plain}, {large}")]).as_deref(), Some(AGREED));
        assert_eq!(agreed(&["other; a=\"b\",, mux", small, large]).as_deref(), Some(WITH_WINDOW));
        assert_eq!(agreed(&[small, "mux ,permessage-deflate"]).as_deref(), Some(AGREED));
    }

    #[test]
    fn nothing_counts_of_a_malformed_header() {
        for header in [
            "permessage-deflate; ",
            "permessage-deflate; =1",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate client_max_window_bits",
            "permessage-deflate; client_max_window_bits=\"10",
            "permessage-deflate; client_max_window_bits=\"10\\",
            "permessage-deflate; client_max_window_bits=\"1 0\"",
            "permessage-deflate, ;",
            "permessage-deflate, a\u{e9}",
            "permessage-deflate\\",
        ] {
            assert_eq!(agreed(&[header]), None, "{header}");
        }
        assert_eq!(agreed(&["permessage-deflate; =1", "permessage-deflate"]).as_deref(), Some(AGREED));
    }
}
