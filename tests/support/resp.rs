//! As much of Redis' protocol (RESP 2) as the fixtures need, independent of the client library under test.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// What Redis answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Option<Vec<u8>>),
    Array(Vec<Reply>),
}

impl Reply {
    /// The integer; panics on anything else.
    #[track_caller]
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("Redis answered {other:?} instead of an integer"),
        }
    }

    /// A text (status or bulk), none if null; panics on anything else.
    #[track_caller]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Status(text) => Some(text.clone()),
            Self::Bulk(bytes) => bytes.as_deref().map(lossy),
            other => panic!("Redis answered {other:?} instead of a text"),
        }
    }

    /// The elements of an array; panics on anything else.
    #[track_caller]
    pub fn array(self) -> Vec<Reply> {
        match self {
            Self::Array(elements) => elements,
            other => panic!("Redis answered {other:?} instead of an array"),
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One connection, over the unix socket.
pub struct Connection(BufReader<UnixStream>);

impl Connection {
    pub async fn open(socket: &Path) -> io::Result<Self> {
        Ok(Self(BufReader::new(UnixStream::connect(socket).await?)))
    }

    /// Sends a command and reads its answer.
    pub async fn command(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        self.send(words).await?;
        self.reply().await
    }

    /// Sends a command without reading the answer.
    pub async fn send(&mut self, words: &[&[u8]]) -> io::Result<()> {
        self.send_encoded(&encode(words)).await
    }

    /// Sends commands that [`encode`] made.
    pub async fn send_encoded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// Reads one answer.
    pub async fn reply(&mut self) -> io::Result<Reply> {
        let line = self.line().await?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| wrong("empty line"))?;
        let number = || rest.parse::<i64>().map_err(|_| wrong("a number was expected"));
        Ok(match kind {
            "+" => Reply::Status(rest.into()),
            "-" => Reply::Error(rest.into()),
            ":" => Reply::Integer(number()?),
            "$" => Reply::Bulk(self.bulk(number()?).await?),
            "*" => {
                let mut elements = Vec::new();
                for _ in 0..number()? {
                    elements.push(Box::pin(self.reply()).await?);
                }
                Reply::Array(elements)
            }
            _ => return Err(wrong("unknown kind of answer")),
        })
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(lossy(line.trim_ascii_end()))
    }

    async fn bulk(&mut self, length: i64) -> io::Result<Option<Vec<u8>>> {
        let Ok(length) = usize::try_from(length) else {
            return Ok(None);
        };
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes).await?;
        bytes.truncate(length);
        Ok(Some(bytes))
    }
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A command as the array of bulk strings that Redis reads.
pub fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
