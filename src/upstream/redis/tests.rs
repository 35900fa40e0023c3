//! What a Redis cannot be made to do at will.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::*;
use crate::upstream::RedisAddress;

struct Nobody;

impl Sink for Nobody {
    fn receive(&self, _: &str, _: &str, _: Duration) {}
    fn lagged(&self, _: u64) {}
    fn connected(&self) {}
}

/// Reads commands (arrays of bulk strings; Redis documentation, "Redis serialization protocol") and answers OK to each,
/// except that it closes the connection instead of answering a PUBLISH, after telling of it.
async fn serve(mut stream: TcpStream, published: mpsc::Sender<String>) {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let commands = text.split_terminator("\r\n").filter(|line| line.starts_with('*')).count();
        if text.contains("PUBLISH") && text.contains("message") {
            let _ = published.send(text).await;
            return;
        }
        bytes.clear();
        let answers = if text.contains("PING") { "+PONG\r\n" } else { "+OK\r\n" };
        let _ = stream.write_all(answers.repeat(commands).as_bytes()).await;
    }
}

#[tokio::test]
async fn a_message_whose_answer_did_not_come_is_not_published_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
    let port = listener.local_addr().expect("it has an address").port();
    let (published, mut seen) = mpsc::channel(16);
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, published.clone()));
        }
    });
    let config = RedisConfig {
        address: RedisAddress::Tcp("127.0.0.1".to_owned(), port),
        database: 0,
        username: None,
        password: None,
        publishes: true,
        tls: false,
        namespace: None,
        variable: "REDIS_HOST",
    };
    let lifecycle = Lifecycle::new();
    let redis = Redis::start(config, Arc::new(Nobody), Arc::default(), &lifecycle).expect("it begins to connect");
    redis.ready().await;
    let channel = Channel::named("timeline:flodgatt:test");
    assert!(redis.publish(&channel, "message 1").await.is_err());
    // When the next one has come over a new connection, the first one cannot come any more.
    while !redis.keys.is_connected() {
        redis.keys_connected_soon().await;
    }
    assert!(redis.publish(&channel, "message 2").await.is_err());
    let (first, second) = (seen.recv().await.expect("it was sent"), seen.recv().await.expect("it was sent"));
    assert!(first.contains("message 1") && second.contains("message 2") && !second.contains("message 1"), "{second}");
    lifecycle.stop();
    accepting.abort();
}
