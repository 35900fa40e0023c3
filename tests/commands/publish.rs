//! `flodgatt publish`.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::support::process::Folder;
use crate::support::*;

const MESSAGE: &str = r#"{"event":"delete","payload":"7"}"#;

/// Publishes with standard input, on a thread of its own.
async fn publish(options: ServerOptions, input: &str) -> Output {
    let input = input.to_owned();
    let running = tokio::task::spawn_blocking(move || {
        let mut process = options.command().stdin(Stdio::piped()).spawn().expect("it can be started");
        process.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        process.wait_with_output().expect("it ends")
    });
    within("end of flodgatt publish", running).await.expect("no panic")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn options(redis: &Redis, channel: &str) -> ServerOptions {
    ServerOptions::bare().envs(redis.environment()).argument("publish").argument(channel)
}

#[tokio::test]
async fn a_message_reaches_the_clients_of_the_server_at_the_same_redis() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    for namespace in ["", "social"] {
        let server = Server::options(&redis, &db).env("REDIS_NAMESPACE", namespace).start().await;
        let mut ws = Ws::open(&server, "/?stream=public", &alice.token).await;
        let prefix = if namespace.is_empty() { "" } else { "social:" };
        redis.wait_for_subscribers(&format!("{prefix}timeline:public"), 1).await;
        let options = || options(&redis, "timeline:public").env("REDIS_NAMESPACE", namespace);
        let ended = options().argument(MESSAGE).run_to_end().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.text());
        assert!(
            ended.text().contains(&format!("published to 1 subscriber of {prefix}timeline:public")),
            "{}",
            ended.text()
        );
        assert_eq!(ws.next_event().await.payload, Some("7".into()));
        let output = publish(options(), &format!("{MESSAGE}\n")).await;
        assert!(output.status.success() && text(&output.stdout).contains("published to 1 subscriber"), "{output:?}");
        assert_eq!(ws.next_event().await.payload, Some("7".into()));
        assert!(server.terminate().await.success());
    }
}

#[tokio::test]
async fn a_channel_that_nobody_watches_is_told() {
    let redis = Redis::start().await;
    let ended = options(&redis, "timeline:public").argument(MESSAGE).run_to_end().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.text());
    let address = format!("127.0.0.1:{}", redis.port());
    let told = format!("published to 0 subscribers of timeline:public at {address}");
    assert!(ended.text().contains(&told), "{}", ended.text());
    assert!(ended.text().contains("nobody is subscribed"), "{}", ended.text());
    assert!(ended.text().contains("another REDIS_NAMESPACE (here not set)"), "{}", ended.text());
    let options = options(&redis, "timeline:public").env("REDIS_NAMESPACE", "social");
    let ended = options.argument(MESSAGE).run_to_end().await;
    let told = format!("published to 0 subscribers of social:timeline:public at {address}");
    assert!(ended.text().contains(&told) && ended.text().contains("(here social)"), "{}", ended.text());
}

#[tokio::test]
async fn a_message_that_the_server_would_drop_is_not_published() {
    let redis = Redis::start().await;
    let mut subscription = redis.subscribe("timeline:public").await;
    for bad in ["", "delete", "[]", "{}", r#"{"event":""}"#, r#"{"event":1,"payload":"7"}"#, "{\"event\":\"delete\""] {
        let ended = options(&redis, "timeline:public").argument(bad).run_to_end().await;
        assert_eq!(ended.status.code(), Some(1), "{bad}: {}", ended.text());
        assert!(ended.text().contains("the server would drop this message"), "{}", ended.text());
        let output = publish(options(&redis, "timeline:public"), bad).await;
        assert_eq!(output.status.code(), Some(1), "{bad}: {output:?}");
    }
    redis.publish("timeline:public", "the first that came").await;
    assert_eq!(subscription.next().await, "the first that came");
}

#[tokio::test]
async fn without_redis_it_fails_and_names_the_variable() {
    let ended = ServerOptions::bare().env("REDIS_PORT", "1").argument("publish").argument("timeline:public");
    let ended = ended.argument(MESSAGE).run_to_end().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.text().contains("REDIS_HOST") && ended.text().contains("127.0.0.1:1"), "{}", ended.text());
}

#[tokio::test]
async fn where_it_fails_beside_a_file_for_production_that_was_not_read_that_is_hinted_at() {
    let folder = Folder::new("dotenv");
    folder.write(".env.production", "REDIS_PORT=6379\n");
    for port in ["1", "no port"] {
        for (mode, hinted) in [("development", true), ("production", false)] {
            let options = ServerOptions::bare().folder(folder.path()).env("NODE_ENV", mode).env("REDIS_PORT", port);
            let ended = options.argument("publish").argument("timeline:public").argument(MESSAGE).run_to_end().await;
            assert_eq!(ended.status.code(), Some(1));
            let hints = ended.logs.iter().filter(|line| line.is_error_output && line.text.starts_with("hint: "));
            assert_eq!(hints.count() == 1, hinted, "{port}, {mode}: {}", ended.text());
        }
    }
}
