//! An HTTP/1.1 client that hides nothing.

use serde_json::Value;

use super::eventually::within;
use super::wire::{Address, Wire};

/// An answer, as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// `HTTP/1.1`
    pub version: String,
    pub status: u16,
    pub reason: String,
    /// In their order, with repetitions, the names spelt as they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header (its name in any case); none if there is none. Panics if there are several.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers_named(name);
        assert!(values.len() < 2, "{name} is there several times: {values:?}");
        values.first().copied()
    }

    /// All values of a header.
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        let named = |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
        let headers = self.headers.iter().filter(named);
        headers.map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics if it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {self:?}"),
        }
    }
}

/// Sends one request on a connection of its own and reads the answer.
pub async fn request(
    address: impl Into<Address>,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut client = Client::open(address).await;
    client.request(method, target, headers, body).await
}

/// `GET` with nothing but a `Host`.
pub async fn get(address: impl Into<Address>, target: &str) -> Response {
    request(address, "GET", target, &[], b"").await
}

/// `GET` with a token.
pub async fn get_as(address: impl Into<Address>, target: &str, token: &str) -> Response {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    request(address, "GET", target, &headers, b"").await
}

/// Sends bytes as they are and reads one answer (to something that is not HEAD).
pub async fn raw(address: impl Into<Address>, bytes: impl AsRef<[u8]>) -> Response {
    let mut client = Client::open(address).await;
    client.wire.send(bytes).await;
    client.response("").await
}

/// A connection that can be used for several requests.
pub struct Client {
    pub wire: Wire,
}

impl Client {
    pub async fn open(address: impl Into<Address>) -> Self {
        Self { wire: Wire::open(address).await }
    }

    pub async fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.wire.send(encode(method, target, headers, body)).await;
        self.response(method).await
    }

    /// Reads the answer to a request that was sent before.
    #[track_caller]
    pub fn response(&mut self, method: &str) -> impl Future<Output = Response> + Send {
        within("answer", self.read_response(method))
    }

    async fn read_response(&mut self, method: &str) -> Response {
        let mut response = read_head(&mut self.wire).await;
        let mut body = Body::of(&response, method);
        loop {
            match body.next(&mut self.wire).await {
                Ok(Some(part)) => response.body.extend_from_slice(&part),
                Ok(None) => return response,
                Err(cut) => panic!("the body is cut off ({cut}) in {response:?}"),
            }
        }
    }

    /// Waits until the server closes, and panics if it sends anything before.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = ()> + Send {
        within("end of the connection", self.ending())
    }

    async fn ending(&mut self) {
        match self.wire.some(1000).await {
            Ok(None) | Err(_) => {}
            Ok(Some(bytes)) => panic!("more came: {}", String::from_utf8_lossy(&bytes)),
        }
    }
}

/// A request as bytes, with `Host: localhost` and `Content-Length` where they are needed and not given.
pub fn encode(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let given = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !given("host") {
        text += "Host: localhost\r\n";
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() && !given("content-length") && !given("transfer-encoding") {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    [text.as_bytes(), body].concat()
}

/// Reads status line and headers; the body is left.
pub async fn read_head(wire: &mut Wire) -> Response {
    let head = wire.until(b"\r\n\r\n").await;
    let head = head.unwrap_or_else(|error| panic!("no answer: {error}"));
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
    let version = first.next().unwrap_or_default().to_owned();
    let status = first.next().and_then(|status| status.parse().ok());
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header has a colon");
        (name.to_owned(), value.trim().to_owned())
    };
    Response {
        version,
        status: status.unwrap_or_else(|| panic!("no status: {head}")),
        reason: first.next().unwrap_or_default().to_owned(),
        headers: lines.map(header).collect(),
        body: Vec::new(),
    }
}

/// How much of a body is still to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Body {
    Bytes(usize),
    Chunks,
    UntilClosed,
}

impl Body {
    /// As the headers announce it.
    pub fn of(head: &Response, method: &str) -> Self {
        let bodiless = method == "HEAD" || head.status < 200 || [204, 304].contains(&head.status);
        if bodiless {
            return Self::Bytes(0);
        }
        if head.header("transfer-encoding") == Some("chunked") {
            return Self::Chunks;
        }
        match head.header("content-length").map(str::parse) {
            Some(length) => Self::Bytes(length.expect("content-length is a number")),
            None => Self::UntilClosed,
        }
    }

    /// The next part; none at its regular end, an error (in words) where it breaks off.
    pub async fn next(&mut self, wire: &mut Wire) -> Result<Option<Vec<u8>>, String> {
        self.read(wire).await.map_err(|error| error.to_string())
    }

    async fn read(&mut self, wire: &mut Wire) -> std::io::Result<Option<Vec<u8>>> {
        match self {
            Self::Bytes(0) => Ok(None),
            Self::Bytes(left) => {
                let part = wire.some(*left).await?;
                let part = part.ok_or(std::io::ErrorKind::UnexpectedEof)?;
                *left -= part.len();
                Ok(Some(part))
            }
            Self::UntilClosed => wire.some(usize::MAX).await,
            Self::Chunks => {
                let line = String::from_utf8_lossy(&wire.until(b"\r\n").await?).into_owned();
                let size = usize::from_str_radix(line.trim(), 16);
                let size = size.unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
                let chunk = wire.exactly(size).await?;
                assert_eq!(wire.exactly(2).await?, b"\r\n", "end of a chunk");
                if size == 0 {
                    *self = Self::Bytes(0);
                    return Ok(None);
                }
                Ok(Some(chunk))
            }
        }
    }
}
