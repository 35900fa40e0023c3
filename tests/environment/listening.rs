//! `BIND`, `PORT`, `SOCKET`, `TRUSTED_PROXY_IP`.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use crate::support::process::{Folder, free_port};
use crate::support::*;

async fn answers(address: impl Into<Address>) -> bool {
    match Wire::try_open(&address.into()).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            false
        }
    }
}

fn socket_address(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse::<IpAddr>().unwrap(), port)
}

#[tokio::test]
async fn bind_is_the_address_where_it_listens_and_no_other() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    for (bind, host) in [("127.0.0.2", "127.0.0.2"), ("[::1]", "::1"), ("::1", "::1"), ("localhost", "")] {
        let server = Server::options(&redis, &db).env("BIND", bind).start().await;
        let Address::Tcp(address) = server.address().clone() else { panic!("a port") };
        assert!(host.is_empty() || address.ip().to_string() == host, "{bind}: {address}");
        assert!(address.ip().is_loopback());
        for other in ["127.0.0.1", "127.0.0.2", "::1"] {
            let expected = address.ip().to_string() == other;
            assert_eq!(answers(socket_address(other, address.port())).await, expected, "{bind}, {other}");
        }
    }
}

#[tokio::test]
async fn an_empty_bind_is_all_addresses() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = Server::options(&redis, &db).env("BIND", "").start().await;
    for host in ["127.0.0.1", "127.0.0.2", "::1"] {
        assert!(answers(socket_address(host, server.address().port())).await, "{host}");
    }
}

#[tokio::test]
async fn a_port_is_the_one_it_listens_on() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let port = free_port();
    let server = Server::options(&redis, &db).env("PORT", port.to_string()).start().await;
    assert_eq!(server.address().port(), port);
}

#[tokio::test]
async fn a_port_that_is_taken_ends_the_start_with_an_error_that_names_the_variables() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = Server::options(&redis, &db).env("PORT", &port).run_to_end().await;
    assert_eq!(ended.status.code(), Some(1));
    let text = ended.text();
    assert!(text.contains("PORT") && text.contains("BIND") && text.contains(&port), "{text}");
    assert!(text.contains("if it is the Node server, stop it first; else choose another PORT"), "{text}");
    assert!(ended.logs.iter().all(|line| line.level() != "ERROR"), "nothing else is blamed: {text}");
}

#[tokio::test]
async fn an_address_that_is_not_here_ends_the_start() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let ended = Server::options(&redis, &db).env("BIND", "192.0.2.1").run_to_end().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.text().contains("192.0.2.1") && ended.text().contains("BIND"), "{}", ended.text());
}

#[tokio::test]
async fn a_socket_counts_more_than_bind_and_port_and_everybody_may_use_it() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let port = free_port();
    let options = Server::options(&redis, &db).unix_socket().env("BIND", "127.0.0.1").env("PORT", port.to_string());
    let server = options.start().await;
    let Address::Unix(path) = server.address().clone() else { panic!("a unix socket") };
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    assert!(!answers(socket_address("127.0.0.1", port)).await);
    super::delivers(&server, &redis, &alice).await;
    let mut sse = Sse::open(&server, "/api/v1/streaming/direct", &alice.token).await;
    let channel = format!("timeline:direct:{}", alice.account_id);
    redis.wait_for_subscribers(&channel, 1).await;
    sse.silent_until(&redis, &channel).await;
    assert!(server.terminate().await.success());
    assert!(!path.exists(), "the socket goes with the server");
}

#[tokio::test]
async fn a_stale_socket_file_is_replaced() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let folder = Folder::new("socket");
    let path = folder.path().join("streaming.sock");
    let options = || Server::options(&redis, &db).env("SOCKET", path.to_string_lossy());
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = options().start().await;
    server.kill();
    assert!(path.exists(), "a server that was killed leaves its file");
    let next = options().start().await;
    assert_eq!(next.get("/api/v1/streaming/health").await.text(), "OK");
}

#[tokio::test]
async fn a_socket_on_which_somebody_listens_is_left_alone() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = Server::options(&redis, &db).unix_socket().start().await;
    let Address::Unix(path) = server.address().clone() else { panic!("a unix socket") };
    let ended = Server::options(&redis, &db).env("SOCKET", path.to_string_lossy()).run_to_end().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.text().contains("SOCKET") && ended.text().contains(&*path.to_string_lossy()), "{}", ended.text());
    assert_eq!(server.get("/api/v1/streaming/health").await.text(), "OK");
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let folder = Folder::new("socket");
    let path = folder.write("precious", "data");
    let ended = Server::options(&redis, &db).env("SOCKET", path.to_string_lossy()).run_to_end().await;
    assert_eq!(ended.status.code(), Some(1));
    let last = ended.logs.last().unwrap();
    assert!(last.text.contains("SOCKET") && last.text.contains("that is no socket"), "{}", ended.text());
    assert_eq!(std::fs::read_to_string(path).unwrap(), "data");
}

#[tokio::test]
async fn a_socket_in_a_folder_that_is_not_there_ends_the_start_and_names_the_folder() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let folder = Folder::new("socket");
    let missing = folder.path().join("missing");
    let path = missing.join("streaming.sock");
    let ended = Server::options(&redis, &db).env("SOCKET", path.to_string_lossy()).run_to_end().await;
    assert_eq!(ended.status.code(), Some(1));
    let said = format!("the folder {} does not exist", missing.display());
    assert!(ended.text().contains("SOCKET") && ended.text().contains(&said), "{}", ended.text());
}

#[tokio::test]
async fn trusted_proxies_are_believed_and_nobody_else() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let authorization = format!("Bearer {}", alice.token);
    for (trusted, expected) in [
        (None, "203.0.113.7"),
        (Some("192.0.2.0/24, 127.0.0.1"), "203.0.113.7"),
        (Some("127.0.0.0/8 203.0.113.0/24"), "198.51.100.9"),
        (Some("192.0.2.1"), "127.0.0.1"),
    ] {
        let options = Server::options(&redis, &db);
        let options = if let Some(trusted) = trusted { options.env("TRUSTED_PROXY_IP", trusted) } else { options };
        let server = options.start().await;
        let headers = [("Authorization", &*authorization), ("X-Forwarded-For", "198.51.100.9, 203.0.113.7")];
        let _ws = Ws::try_open(&server, "/", &headers).await.unwrap_or_else(|refused| panic!("{refused:?}"));
        let line = server.wait_for_log(|line| line.message() == "session opened").await;
        assert_eq!(line.field("address"), expected, "{trusted:?}");
        assert_eq!(line.level(), "DEBUG", "addresses of clients are not for every log");
    }
}
