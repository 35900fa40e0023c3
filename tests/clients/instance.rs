//! As much of a Mastodon instance as clients ask for before they stream, in front of the server under test.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::*;

/// Answers `/api/v1/instance` and `/api/v2/instance`, and hands everything else on to the server, untouched.
pub struct Instance {
    port: u16,
    _serving: JoinSet<()>,
}

impl Instance {
    pub async fn in_front_of(server: &Server) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let server = server.address().port();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(serve(client, port, server));
            }
        });
        Self { port, _serving: serving }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// One connection: the first request decides where it goes.
async fn serve(mut client: TcpStream, own: u16, server: u16) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read_buf(&mut head).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = match path.trim_end_matches('/') {
        "/api/v1/instance" => version_1(own),
        "/api/v2/instance" => version_2(own),
        _ => {
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
            if server.write_all(&head).await.is_ok() {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
            return;
        }
    };
    let body = answer.to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let _ = client.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
}

fn version_1(port: u16) -> Value {
    json!({
        "uri": "local.example", "title": "A harbour", "version": "4.7.0", "languages": ["en"], "rules": [],
        "urls": {"streaming_api": format!("ws://127.0.0.1:{port}")},
    })
}

fn version_2(port: u16) -> Value {
    let open = json!({"local": "public", "remote": "public"});
    json!({
        "domain": "local.example", "title": "A harbour", "version": "4.7.0", "languages": ["en"], "rules": [],
        "configuration": {
            "urls": {"streaming": format!("ws://127.0.0.1:{port}")},
            "timelines_access": {"live_feeds": open, "hashtag_feeds": open, "trending_link_feeds": open},
        },
        "api_versions": {"mastodon": 7},
    })
}
