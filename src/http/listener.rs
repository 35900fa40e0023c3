//! Where clients connect.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use rustix::net::sockopt;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::{Service, connection};
use crate::{hub::Socket, lifecycle::Lifecycle};

/// How long data may wait for a peer that does not acknowledge it before the kernel gives the connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(90);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A host name or address, empty for all addresses, and a port, 0 for any that is free.
    Tcp(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) if host.is_empty() => write!(f, "*:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why it is not possible to listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({}): {cause}", .address.variables())]
pub struct ListenError {
    address: ListenAddress,
    cause: io::Error,
}

impl ListenError {
    /// Whether somebody else listens there.
    pub fn is_taken(&self) -> bool {
        self.cause.kind() == io::ErrorKind::AddrInUse
    }

    /// What is wrong, without the address.
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl ListenAddress {
    /// The environment variables that say it.
    fn variables(&self) -> &'static str {
        match self {
            Self::Tcp(..) => "BIND, PORT",
            Self::Unix(_) => "SOCKET",
        }
    }

    /// Listens.
    pub async fn bind(&self) -> Result<BoundListener, ListenError> {
        let bound = match self {
            Self::Tcp(host, port) => bind_tcp(host, *port).await.map(BoundListener::Tcp),
            Self::Unix(path) => bind_unix(path).await.map(|listener| BoundListener::Unix(listener, path.clone())),
        };
        bound.map_err(|cause| ListenError { address: self.clone(), cause: self.explained(cause) })
    }

    /// The error, with what an operator can do about it where the system's words do not say.
    fn explained(&self, cause: io::Error) -> io::Error {
        let taken = "something listens there already: if it is the Node server, stop it first; else choose another";
        let advice = match self {
            Self::Tcp(..) if cause.kind() == io::ErrorKind::AddrInUse => format!("{taken} PORT"),
            Self::Unix(_) if cause.kind() == io::ErrorKind::AddrInUse => format!("{taken} SOCKET"),
            // Before the system is asked.
            Self::Unix(path) if cause.kind() == io::ErrorKind::InvalidInput => {
                format!("the path has {} bytes, and a unix socket has room for 107", path.as_os_str().len())
            }
            Self::Unix(path) if cause.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                format!("the folder {} does not exist", folder.unwrap_or(Path::new(".")).display())
            }
            Self::Tcp(_, port) if cause.kind() == io::ErrorKind::PermissionDenied => {
                format!("{cause}: port {port} takes a privilege (CAP_NET_BIND_SERVICE); those from 1024 on do not")
            }
            Self::Tcp(host, _)
                // A name that cannot be looked up has no error code of the system.
                if cause.kind() == io::ErrorKind::AddrNotAvailable
                    || (!host.is_empty() && cause.raw_os_error().is_none()) =>
            {
                format!("{cause}: BIND has to be an address of this machine, a name of one, or empty for all")
            }
            _ => return cause,
        };
        io::Error::new(cause.kind(), advice)
    }
}

/// What is set here is what connections have that are accepted: Linux hands it on. So it costs them no system call.
async fn bind_tcp(host: &str, port: u16) -> io::Result<TcpListener> {
    let listener = if host.is_empty() { bind_all(port).await } else { TcpListener::bind((host, port)).await }?;
    sockopt::set_tcp_nodelay(&listener, true)?;
    // A client that vanished is found although nothing is read from it.
    let timeout = u32::try_from(USER_TIMEOUT.as_millis()).expect("the time-out fits");
    sockopt::set_tcp_user_timeout(&listener, timeout)?;
    Ok(listener)
}

/// IPv6 and IPv4 by one socket, or IPv4 where there is no IPv6.
async fn bind_all(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    }
}

/// A socket file that nobody listens on was left by a process that died, and is replaced; nothing else is.
async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Ok(there) = path.symlink_metadata() {
        if !there.file_type().is_socket() {
            let problem = "something is there that is no socket, and is left alone; choose another path or remove it";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
        }
        match UnixStream::connect(path).await {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(error) => return Err(error),
        }
    }
    let listener = UnixListener::bind(path)?;
    // The proxy in front runs as another user.
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o666))?;
    Ok(listener)
}

/// A place where clients can connect.
#[derive(Debug)]
pub enum BoundListener {
    /// By TCP.
    Tcp(TcpListener),
    /// By a unix socket, whose file is removed in the end.
    Unix(UnixListener, PathBuf),
}

impl BoundListener {
    /// Where clients connect, with the port that was found free.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
            }
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// Accepts connections until the server stops.
    pub async fn serve(self, service: Service, lifecycle: Lifecycle) {
        let mut stopping = pin!(lifecycle.stopping());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stopping => return,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    let serving = connection::serve(socket, peer, service.clone(), lifecycle.clone());
                    lifecycle.spawn("connection", serving);
                }
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    // Out of file descriptors, most likely. Sessions that end make room.
                    tracing::error!(%error, "cannot accept connections; trying again in a second");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<(Socket, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (socket, peer): (_, SocketAddr) = listener.accept().await?;
                Ok((Socket::Tcp(socket), Some(peer.ip())))
            }
            Self::Unix(listener, _) => {
                let (socket, _) = listener.accept().await?;
                Ok((Socket::Unix(socket), None))
            }
        }
    }
}

impl Drop for BoundListener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Errors of a client that left before it was accepted.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::InvalidInput
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own, which is removed in the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("flodgatt-{:016x}", fastrand::u64(..)));
            std::fs::create_dir(&path).expect("a folder can be made");
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("streaming.sock")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn everybody_may_connect_to_the_socket_which_is_removed_in_the_end() {
        let folder = Folder::new();
        let listener = ListenAddress::Unix(folder.socket()).bind().await.expect("nobody is there");
        let mode = folder.socket().metadata().expect("the socket is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
        assert_eq!(listener.address(), format!("unix:{}", folder.socket().display()));
        drop(listener);
        assert!(!folder.socket().exists());
    }

    #[tokio::test]
    async fn a_socket_that_a_dead_process_left_is_replaced() {
        let folder = Folder::new();
        drop(std::os::unix::net::UnixListener::bind(folder.socket()).expect("nobody is there"));
        assert!(folder.socket().exists(), "closing leaves the file");
        let _listener = ListenAddress::Unix(folder.socket()).bind().await.expect("nobody listens");
        UnixStream::connect(folder.socket()).await.expect("somebody listens now");
    }

    #[tokio::test]
    async fn a_socket_on_which_somebody_listens_is_taken() {
        let folder = Folder::new();
        let _first = ListenAddress::Unix(folder.socket()).bind().await.expect("nobody is there");
        let error = ListenAddress::Unix(folder.socket()).bind().await.expect_err("somebody is there");
        assert!(error.is_taken() && error.to_string().contains("SOCKET"), "{error}");
        UnixStream::connect(folder.socket()).await.expect("the first one still listens");
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = Folder::new();
        std::fs::write(folder.socket(), "precious").expect("a file can be written");
        let error = ListenAddress::Unix(folder.socket()).bind().await.expect_err("something is there");
        assert!(!error.is_taken() && error.to_string().contains("no socket"), "{error}");
        assert_eq!(std::fs::read(folder.socket()).expect("the file is there"), b"precious");
    }

    #[tokio::test]
    async fn a_socket_in_a_folder_that_is_not_there_is_an_error_that_names_the_folder() {
        let folder = Folder::new();
        let path = folder.0.join("missing/streaming.sock");
        let error = ListenAddress::Unix(path).bind().await.expect_err("there is no such folder");
        assert!(error.to_string().ends_with("missing does not exist"), "{error}");
        assert!(error.to_string().contains("SOCKET"), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_no_interface_and_a_name_of_nobody_say_what_bind_may_be() {
        // An address of nobody (RFC 5737), and a name of nobody (RFC 2606).
        for host in ["192.0.2.1", "nobody.invalid"] {
            let error = ListenAddress::Tcp(host.to_owned(), 0).bind().await.expect_err("it is not ours");
            assert!(error.to_string().contains("BIND has to be an address of this machine"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_told_from_other_errors() {
        let first = ListenAddress::Tcp("127.0.0.1".to_owned(), 0).bind().await.expect("some port is free");
        let port = first.address().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let error = ListenAddress::Tcp("127.0.0.1".to_owned(), port).bind().await.expect_err("it is taken");
        assert!(error.is_taken() && error.to_string().contains("BIND, PORT"), "{error}");
        // An address of nobody (RFC 5737).
        let error = ListenAddress::Tcp("192.0.2.1".to_owned(), 0).bind().await.expect_err("it is not ours");
        assert!(!error.is_taken(), "{error}");
    }

    #[tokio::test]
    async fn an_empty_host_is_every_address() {
        let listener = ListenAddress::Tcp(String::new(), 0).bind().await.expect("some port is free");
        let address: SocketAddr = listener.address().parse().expect("an address");
        assert!(address.ip().is_unspecified());
        let local = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).await;
        local.expect("IPv4 reaches it");
    }

    #[tokio::test]
    async fn what_is_accepted_by_tcp_sends_at_once_and_does_not_wait_for_ever_for_who_vanished() {
        let listener = ListenAddress::Tcp("127.0.0.1".to_owned(), 0).bind().await.expect("some port is free");
        let (accepted, _) = tokio::join!(listener.accept(), tokio::net::TcpStream::connect(listener.address()));
        let Ok((Socket::Tcp(socket), Some(_))) = accepted else { panic!("{accepted:?}") };
        assert!(socket.nodelay().expect("it can be asked"));
        let timeout = sockopt::tcp_user_timeout(&socket).expect("it can be asked");
        assert_eq!(u128::from(timeout), USER_TIMEOUT.as_millis());
    }

    #[test]
    fn an_address_is_shown_as_it_is_written_in_urls() {
        let shown = |host: &str| ListenAddress::Tcp(host.to_owned(), 4000).to_string();
        assert_eq!([shown("127.0.0.1"), shown("::1"), shown("")], ["127.0.0.1:4000", "[::1]:4000", "*:4000"]);
    }
}
