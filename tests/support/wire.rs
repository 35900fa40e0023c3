//! A connection as bytes: where to connect, and reading what comes without interpreting it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use super::eventually::within;

/// Where something listens.
#[derive(Debug, Clone, PartialEq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// Reads `127.0.0.1:4000`, `[::1]:4000` or `unix:/path`.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("unix:") {
            Some(path) => Self::Unix(path.into()),
            None => match text.parse() {
                Ok(address) => Self::Tcp(address),
                Err(error) => panic!("{text} is no address: {error}"),
            },
        }
    }

    /// The TCP port; panics if it is a unix socket.
    #[track_caller]
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp(address) => address.port(),
            Self::Unix(path) => panic!("{} has no port", path.display()),
        }
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// After so long without a byte nothing will come any more. Longer than any pause that the protocols allow for (a server
/// pings after 30 seconds); what waits for something in particular has a shorter deadline of its own.
const PATIENCE: Duration = Duration::from_secs(100);

/// An open connection.
pub struct Wire {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

impl Wire {
    pub async fn open(address: impl Into<Address>) -> Self {
        let address = address.into();
        match Self::try_open(&address).await {
            Ok(wire) => wire,
            Err(error) => panic!("no connection to {address:?}: {error}"),
        }
    }

    pub async fn try_open(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Self::over(stream))
            }
            Address::Unix(path) => Ok(Self::over(UnixStream::connect(path).await?)),
        }
    }

    /// A TCP connection of which the system buffers only about so many received bytes: a client that does not read soon
    /// holds up the server's writing.
    pub async fn open_narrow(address: impl Into<Address>, bytes: u32) -> Self {
        let Address::Tcp(address) = address.into() else {
            panic!("a unix socket has no buffer of its own for receiving");
        };
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.expect("a socket can be made");
        socket.set_recv_buffer_size(bytes).expect("the buffer can be set");
        let stream = socket.connect(address).await;
        Self::over(stream.expect("the server is there"))
    }

    /// Over any stream, for instance one with TLS.
    pub fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    /// Sends bytes; fails the test if the other side is gone.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> impl Future<Output = ()> + Send {
        let bytes = bytes.as_ref().to_vec();
        async move {
            let sent = within("sending", self.try_send(&bytes)).await;
            sent.unwrap_or_else(|error| panic!("the connection is gone: {error}"));
        }
    }

    pub async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Tells the other side that nothing more will come, and can still read.
    pub async fn finish_sending(&mut self) {
        self.stream.shutdown().await.expect("the connection is there");
    }

    /// Everything up to and including a mark.
    pub async fn until(&mut self, mark: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let found = self.unread.windows(mark.len()).position(|part| part == mark);
            if let Some(start) = found {
                return Ok(self.take(start + mark.len()));
            }
            self.more().await?;
        }
    }

    /// So many bytes.
    pub async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            self.more().await?;
        }
        Ok(self.take(count))
    }

    /// What comes next, at most so many bytes but at least one; none at the end.
    pub async fn some(&mut self, limit: usize) -> io::Result<Option<Vec<u8>>> {
        if self.unread.is_empty() {
            match self.more().await {
                Ok(()) => {}
                Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(self.take(self.unread.len().min(limit))))
    }

    /// Everything until the other side closes.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(part) = self.some(usize::MAX).await? {
            all.extend_from_slice(&part);
        }
        Ok(all)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    async fn more(&mut self) -> io::Result<()> {
        let read = self.stream.read_buf(&mut self.unread);
        let read = tokio::time::timeout(PATIENCE, read).await;
        match read.unwrap_or_else(|_| panic!("nothing came for {PATIENCE:?}"))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
