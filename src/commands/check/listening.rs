//! Whether clients could connect, or who is in the way.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::Report;
use crate::{config::Config, http::ListenAddress};

/// How long who listens there may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than an answer to the health check has.
const LONGEST_ANSWER: u64 = 8 * 1024;

const HEALTH: &str = "/api/v1/streaming/health";

impl Report {
    /// Listens for a moment. Where a streaming server does that, this one may be meant to take its place.
    pub(super) async fn listening(&mut self, config: &Config) {
        println!("listen   would listen on {}", config.listen);
        match config.listen.bind().await {
            Ok(listener) => drop(listener),
            Err(error) if !error.is_taken() => self.fail(&error),
            Err(error) => match timeout(PATIENCE, health(&config.listen)).await {
                Ok(Ok(answer)) if is_good(&answer) => println!("hint     {}", error.cause()),
                _ => self.fail(&format!("{error}. What listens there does not answer OK at {HEALTH}")),
            },
        }
    }
}

/// What is answered to a health check at an address of this machine, as it comes.
async fn health(listen: &ListenAddress) -> io::Result<String> {
    match listen {
        ListenAddress::Tcp(host, port) => {
            let host = if host.is_empty() { "localhost" } else { host };
            ask(TcpStream::connect((host, *port)).await?).await
        }
        ListenAddress::Unix(path) => ask(UnixStream::connect(path).await?).await,
    }
}

async fn ask(mut wire: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<String> {
    let request = format!("GET {HEALTH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    wire.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    wire.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// As the Node server and this one say that they are well.
fn is_good(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    head.starts_with("HTTP/1.1 200") && body.contains("OK")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_health_check_is_that_of_a_streaming_server() {
        assert!(is_good("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"));
        for other in ["", "-ERR unknown command", "HTTP/1.1 200 OK\r\n\r\n<html>", "HTTP/1.1 404 OK\r\n\r\nOK"] {
            assert!(!is_good(other), "{other}");
        }
    }
}
