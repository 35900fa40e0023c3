//! The dotenv file and `NODE_ENV`.

use crate::support::process::{Folder, free_port};
use crate::support::*;

/// A dotenv file with everything that a server needs.
fn dotenv(redis: &Redis, db: &Database) -> String {
    let variables = redis.environment().into_iter().chain(db.environment());
    variables.map(|(name, value)| format!("{name}=\"{value}\" # of a test\n")).collect()
}

/// An environment that says nothing but what a test of dotenv files cannot do without.
fn bare() -> ServerOptions {
    ServerOptions::bare().without("NODE_ENV")
}

#[tokio::test]
async fn in_production_the_file_is_env_production() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let folder = Folder::new("dotenv");
    folder.write(".env.production", dotenv(&redis, &db));
    folder.write(".env", "REDIS_PORT=no port\n");
    let server = bare().env("NODE_ENV", "production").folder(folder.path()).start().await;
    super::delivers(&server, &redis, &alice).await;
}

#[tokio::test]
async fn otherwise_the_file_is_env() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let folder = Folder::new("dotenv");
    folder.write(".env", dotenv(&redis, &db));
    folder.write(".env.production", "REDIS_PORT=no port\n");
    for mode in ["", "development"] {
        let server = bare().env("NODE_ENV", mode).folder(folder.path()).start().await;
        super::delivers(&server, &redis, &alice).await;
    }
    folder.write(".env", format!("DATABASE_URL={}\nREDIS_PORT={}\n", db.url(), redis.port()));
    let server = bare().env("NODE_ENV", "staging").folder(folder.path()).start().await;
    super::delivers(&server, &redis, &alice).await;
}

#[tokio::test]
async fn existing_variables_win_over_the_file() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let folder = Folder::new("dotenv");
    folder.write(".env.production", "REDIS_PORT=1\nDB_NAME=other\nBIND=192.0.2.1\nLOG_LEVEL=rubbish\n");
    let server = Server::options(&redis, &db).folder(folder.path()).start().await;
    assert_eq!(server.get("/api/v1/streaming/health").await.status, 200);
}

#[tokio::test]
async fn a_value_that_does_not_parse_in_a_file_is_an_error_too() {
    let folder = Folder::new("dotenv");
    folder.write(".env.production", "REDIS_PORT=no port\n");
    let ended = ServerOptions::bare().folder(folder.path()).run_to_end().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.text().contains("REDIS_PORT"), "{}", ended.text());
}

#[tokio::test]
async fn a_file_that_is_a_folder_is_an_error_that_names_it_and_no_variable() {
    let folder = Folder::new("dotenv");
    let path = folder.path().join(".env.production");
    std::fs::create_dir(&path).unwrap();
    let ended = ServerOptions::bare().folder(folder.path()).run_to_end().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.text().contains(&format!("{}: this is a folder", path.display())), "{}", ended.text());
    assert!(!ended.text().contains("NODE_ENV"), "{}", ended.text());
}

#[tokio::test]
async fn a_start_with_a_broken_file_warns_of_each_line_and_keeps_the_others() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let folder = Folder::new("dotenv");
    let file = folder.write(".env.production", format!("secret: x\n{}LAST=\"secret\n", dotenv(&redis, &db)));
    let server = bare().env("NODE_ENV", "production").folder(folder.path()).start().await;
    super::delivers(&server, &redis, &alice).await;
    let logs = server.logs();
    let warnings: Vec<&str> = logs.iter().filter(|line| line.level() == "WARN").map(LogLine::message).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with(&format!("{}:1: is no assignment", file.display())), "{warnings:?}");
    assert!(warnings[1].contains(": has a quote that does not close"), "{warnings:?}");
    assert!(!logs.iter().any(|line| line.text.contains("secret")));
}

#[tokio::test]
async fn a_start_in_a_folder_without_the_file_says_so_where_nothing_says_where_things_are() {
    let folder = Folder::new("dotenv");
    let said = format!("no .env.production in {}", folder.path().display());
    let bare = || ServerOptions::bare().folder(folder.path()).env("REDIS_PORT", free_port().to_string());
    let starting = bare().begin();
    assert_eq!(starting.wait_for_log(|line| line.message().starts_with(&said)).await.level(), "WARN");
    drop(starting);
    let ended = bare().env("DB_POOL", "x").run_to_end().await;
    assert!(ended.logs.iter().any(|line| line.text.starts_with(&format!("hint: {said}"))), "{}", ended.text());
}

#[tokio::test]
async fn other_modes_than_production_and_development_need_a_database_url() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let ended = Server::options(&redis, &db).env("NODE_ENV", "staging").run_to_end().await;
    assert_eq!(ended.status.code(), Some(1));
    let text = ended.text();
    assert!(text.contains("NODE_ENV") && text.contains("DATABASE_URL"), "{text}");
}

#[tokio::test]
async fn the_mode_names_the_database_unless_it_has_a_name() {
    for (mode, name) in
        [("production", "mastodon_production"), ("development", "mastodon_development"), ("", "mastodon_development")]
    {
        let (redis, db) = (Redis::start().await, Database::create().await);
        let options = Server::options(&redis, &db).env("NODE_ENV", mode).without("DB_NAME");
        let text = super::check(options).await.text();
        assert!(text.contains(&format!("database \"{name}\" does not exist")), "{text}");
    }
}

#[tokio::test]
async fn a_start_beside_a_file_for_production_that_is_not_read_says_so() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let folder = Folder::new("dotenv");
    folder.write(".env.production", dotenv(&redis, &db));
    let said = |line: &LogLine| line.text.contains(".env.production was not read, as NODE_ENV is development");
    // Without the file it does not find its Redis.
    let options = || bare().env("NODE_ENV", "development").folder(folder.path());
    let starting = options().env("REDIS_PORT", "1").begin();
    assert!(starting.wait_for_log(said).await.text.contains("WARN"));
    drop(starting);
    let ended = options().env("REDIS_PORT", "no port").run_to_end().await;
    assert!(ended.logs.iter().any(|line| said(line) && line.is_error_output), "{}", ended.text());
}
