//! The WebSocket handshake (RFC 6455, section 4.2).

use axum::{body::Body, response::Response};
use hyper::{
    HeaderMap, Method, Request, StatusCode, Version,
    header::{
        ALLOW, CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{answer, compression};
use crate::domain::Framing;

/// Whether a request wants to become a WebSocket. One that names another protocol is answered as a plain request.
pub(super) fn is_wanted<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let upgrades = headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    upgrades && request.version() == Version::HTTP_11 && headers.get_all(CONNECTION).iter().any(names_upgrade)
}

fn names_upgrade(connection: &HeaderValue) -> bool {
    connection.as_bytes().split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// What is wrong with a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// Only GET opens a WebSocket.
    Method,
    /// `Sec-WebSocket-Key` is missing or wrong.
    Key,
    /// `Sec-WebSocket-Version` is not 13.
    Version,
    /// A subprotocol is malformed or repeated.
    Protocol,
}

/// The answer that opens the WebSocket, and what its frames are encoded for: compressed ones only if `compression` allows it.
pub(super) fn accept<B>(request: &Request<B>, compression: bool) -> Result<(Response, Framing), Defect> {
    if request.method() != Method::GET {
        return Err(Defect::Method);
    }
    let headers = request.headers();
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes())).ok_or(Defect::Key)?;
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Defect::Version);
    }
    let mut response = switching_protocols(key, first_protocol(headers)?);
    let agreed = if compression { compression::agree(headers) } else { None };
    let Some(agreed) = agreed else { return Ok((response, Framing::Text)) };
    response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, agreed);
    Ok((response, Framing::Deflated))
}

impl Defect {
    /// The answer that says so.
    pub(super) fn answer(self) -> Response {
        let (status, header) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, "GET"))),
            Self::Version => (StatusCode::UPGRADE_REQUIRED, Some((SEC_WEBSOCKET_VERSION, "13"))),
            Self::Key | Self::Protocol => (StatusCode::BAD_REQUEST, None),
        };
        let mut response = answer::empty(status);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn switching_protocols(key: &HeaderValue, protocol: Option<HeaderValue>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept.expect("base64 is a valid header value"));
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

/// 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_base64)
}

/// The first of the subprotocols offered. Browsers and some libraries refuse a connection that does not echo one of
/// theirs. They must be tokens (RFC 9110, 5.6.2), each once.
fn first_protocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, Defect> {
    let mut offered: Vec<&[u8]> = Vec::new();
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        for protocol in value.as_bytes().split(|byte| *byte == b',') {
            let protocol = protocol.trim_ascii();
            if protocol.is_empty() || !protocol.iter().all(is_token_byte) || offered.contains(&protocol) {
                return Err(Defect::Protocol);
            }
            offered.push(protocol);
        }
    }
    offered.first().map(|first| HeaderValue::from_bytes(first).map_err(|_| Defect::Protocol)).transpose()
}

pub(super) fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake() -> Request<()> {
        Request::builder()
            .header(UPGRADE, "WebSocket")
            .header(CONNECTION, "keep-alive, Upgrade")
            .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .body(())
            .expect("a valid request")
    }

    fn with(name: hyper::header::HeaderName, value: &'static str) -> Request<()> {
        let mut request = handshake();
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        request
    }

    fn status(request: &Request<()>) -> StatusCode {
        accept(request, true).map_or_else(Defect::answer, |(response, _)| response).status()
    }

    #[test]
    fn the_example_of_rfc_6455_is_accepted() {
        let response = accept(&handshake(), true).expect("it is valid").0;
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_missing_or_wrong_key_is_a_bad_request() {
        for key in ["", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ\u{0}=="] {
            let mut request = handshake();
            request.headers_mut().remove(SEC_WEBSOCKET_KEY);
            if let Ok(value) = HeaderValue::from_str(key) {
                request.headers_mut().insert(SEC_WEBSOCKET_KEY, value);
            }
            assert_eq!(status(&request), StatusCode::BAD_REQUEST, "{key}");
        }
    }

    #[test]
    fn another_version_is_told_which_one_is_spoken() {
        let refused = accept(&with(SEC_WEBSOCKET_VERSION, "8"), true).expect_err("it is not spoken").answer();
        assert_eq!(refused.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(refused.headers()[SEC_WEBSOCKET_VERSION], "13");
    }

    #[test]
    fn another_method_is_not_allowed() {
        let mut request = handshake();
        *request.method_mut() = Method::POST;
        assert_eq!(status(&request), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn malformed_and_repeated_subprotocols_are_bad_requests() {
        for protocols in ["a,,b", "a b", "a, a", ",", "\"a\""] {
            assert_eq!(status(&with(SEC_WEBSOCKET_PROTOCOL, protocols)), StatusCode::BAD_REQUEST, "{protocols}");
        }
    }

    #[test]
    fn the_first_subprotocol_is_echoed() {
        let response = accept(&with(SEC_WEBSOCKET_PROTOCOL, " token ,other"), true).expect("it is valid").0;
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "token");
    }

    #[test]
    fn another_protocol_is_no_websocket() {
        assert!(is_wanted(&handshake()));
        assert!(!is_wanted(&with(UPGRADE, "h2c")));
        assert!(!is_wanted(&with(CONNECTION, "keep-alive")));
    }

    #[test]
    fn the_connection_header_names_the_upgrade_among_others_in_any_case() {
        for connection in ["upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade,keep-alive", " upgrade ,close"] {
            assert!(is_wanted(&with(CONNECTION, connection)), "{connection}");
        }
        for connection in ["", "close", "upgraded", "keep-alive upgrade"] {
            assert!(!is_wanted(&with(CONNECTION, connection)), "{connection}");
        }
        let mut repeated = with(CONNECTION, "keep-alive");
        repeated.headers_mut().append(CONNECTION, HeaderValue::from_static("Upgrade"));
        assert!(is_wanted(&repeated));
    }

    #[test]
    fn http_1_0_knows_no_upgrade() {
        let mut request = handshake();
        *request.version_mut() = Version::HTTP_10;
        assert!(!is_wanted(&request));
    }

    #[test]
    fn who_offers_no_subprotocol_gets_none() {
        let response = accept(&handshake(), true).expect("it is valid").0;
        assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn a_subprotocol_repeated_in_a_header_of_its_own_is_a_bad_request() {
        let mut request = with(SEC_WEBSOCKET_PROTOCOL, "a");
        request.headers_mut().append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("b"));
        assert_eq!(accept(&request, true).expect("they differ").0.headers()[SEC_WEBSOCKET_PROTOCOL], "a");
        request.headers_mut().append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("a"));
        assert_eq!(status(&request), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_key_is_16_bytes_in_base64() {
        for key in ["AAAAAAAAAAAAAAAAAAAAAA==", "+/+/+/+/+/+/+/+/+/+/+A=="] {
            assert!(is_key(key.as_bytes()), "{key}");
        }
        for key in ["AAAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAAA", "-_AAAAAAAAAAAAAAAAAAAA==", "=="] {
            assert!(!is_key(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn a_handshake_without_version_is_told_which_one_is_spoken() {
        let mut request = handshake();
        request.headers_mut().remove(SEC_WEBSOCKET_VERSION);
        assert_eq!(accept(&request, true).expect_err("it is needed"), Defect::Version);
    }
}
