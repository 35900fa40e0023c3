//! `DATABASE_URL`, `DB_*` and libpq's variables, and how connections behave at PostgreSQL.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::postgres::{FIXTURES, PASSWORD, USER};
use crate::support::*;
use crate::{check, delivers};

const REACHED: &str = "every table and column that the server reads";

/// An environment that says where Redis is, and nothing of PostgreSQL.
fn without_database(redis: &Redis) -> ServerOptions {
    ServerOptions::bare().envs(redis.environment())
}

#[tokio::test]
async fn a_host_that_is_a_path_is_the_folder_of_a_unix_socket() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let folder = db.postgres().socket_folder().to_string_lossy().into_owned();
    let by_parts = Server::options(&redis, &db).env("DB_HOST", &folder).without("DB_PASS");
    let port = db.postgres().port();
    let by_host = format!("postgres://{USER}@{}:{port}/{}", folder.replace('/', "%2F"), db.name());
    let by_parameter = format!("postgres://{USER}@/{}?host={folder}&port={port}", db.name());
    for options in [by_parts, without_database(&redis).env("DATABASE_URL", by_host)] {
        let server = options.start().await;
        delivers(&server, &redis, &alice).await;
    }
    let ended = check(without_database(&redis).env("DATABASE_URL", by_parameter)).await;
    assert!(ended.text().contains(REACHED), "{}", ended.text());
}

#[tokio::test]
async fn postgresql_is_reached_over_ipv6() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let url = db.url().replace("127.0.0.1", "[::1]");
    for options in [
        Server::options(&redis, &db).env("DB_HOST", "::1"),
        Server::options(&redis, &db).env("DB_HOST", "[::1]"),
        without_database(&redis).env("DATABASE_URL", url),
    ] {
        let server = options.start().await;
        delivers(&server, &redis, &alice).await;
    }
}

#[tokio::test]
async fn a_url_replaces_the_parts_but_for_pool_and_password() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let wrong = |options: ServerOptions| {
        let parts = [("DB_HOST", "db.invalid"), ("DB_PORT", "1"), ("DB_USER", "nobody"), ("DB_NAME", "other")];
        options.envs(parts)
    };
    let own = wrong(without_database(&redis)).env("DATABASE_URL", db.url()).env("DB_PASS", "wrong");
    let server = own.env("DB_SSLMODE", "require").start().await;
    delivers(&server, &redis, &alice).await;
    let url = db.url().replace(&format!(":{}@", PASSWORD.replace(' ', "%20")), "@");
    let borrowed = wrong(without_database(&redis)).env("DATABASE_URL", &url).env("DB_PASS", PASSWORD);
    let server = borrowed.start().await;
    delivers(&server, &redis, &alice).await;
    let ended = check(wrong(without_database(&redis)).env("DATABASE_URL", url)).await;
    assert!(!ended.status.success() && ended.text().contains("DATABASE_URL"), "{}", ended.text());
}

#[tokio::test]
async fn the_options_of_a_url_are_settings_of_each_connection() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let url = |options: &str| without_database(&redis).env("DATABASE_URL", format!("{}?options={options}", db.url()));
    let text = check(url("-c%20search_path%3Dnowhere")).await.text();
    assert!(text.contains("no table oauth_access_tokens"), "{text}");
    let text = check(url("--search_path%3Dpublic%20-c%20statement_timeout%3D9s")).await.text();
    assert!(text.contains(REACHED), "{text}");
}

#[tokio::test]
async fn libpqs_variables_are_defaults_in_development_only() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let port = db.postgres().port().to_string();
    let libpq = |mode: &str| {
        let options = without_database(&redis).env("NODE_ENV", mode).env("PGHOST", "127.0.0.1").env("PGPORT", &port);
        options.env("PGUSER", USER).env("PGPASSWORD", PASSWORD).env("PGDATABASE", db.name())
    };
    for mode in ["development", ""] {
        let ended = check(libpq(mode)).await;
        assert!(ended.status.success() && ended.text().contains(REACHED), "{}", ended.text());
    }
    let own = [("DB_HOST", "db.invalid"), ("DB_PORT", "1"), ("DB_USER", "nobody"), ("DB_PASS", "x"), ("DB_NAME", "x")];
    for (name, value) in own {
        let ended = check(libpq("development").env(name, value)).await;
        assert!(!ended.status.success(), "{name} counts more: {}", ended.text());
    }
    // Each of them by itself would keep production from its database.
    for (name, value) in
        [("PGHOST", "db.invalid"), ("PGPORT", "1"), ("PGUSER", "nobody"), ("PGPASSWORD", "x"), ("PGDATABASE", "x")]
    {
        let ended = check(Server::options(&redis, &db).env(name, value)).await;
        assert!(ended.status.success(), "{name} does not count in production: {}", ended.text());
    }
}

#[tokio::test]
async fn role_and_password_are_those_of_the_variables() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let without_user = check(Server::options(&redis, &db).without("DB_USER")).await;
    assert!(without_user.status.success(), "mastodon is the default: {}", without_user.text());
    for (name, value) in [("DB_USER", "nobody"), ("DB_PASS", "wrong"), ("DB_PASS", "")] {
        let ended = check(Server::options(&redis, &db).env(name, value)).await;
        assert!(!ended.status.success() && ended.text().contains("(DB_USER and DB_PASS)"), "{name}: {}", ended.text());
    }
}

#[tokio::test]
async fn connections_bear_no_name_and_statements_none_either() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let list = db.list(alice.account_id).await;
    let server = Server::options(&redis, &db).env("PGAPPNAME", "x").start().await;
    let mut ws = Ws::open(&server, "/?stream=public", &alice.token).await;
    ws.send_json(json!({"type": "subscribe", "stream": "list", "list": list.to_string()})).await;
    redis.wait_for_subscribers("timeline:public", 1).await;
    redis.wait_for_subscribers(&format!("timeline:list:{list}"), 1).await;
    let bob = db.account("bob@remote.example").await;
    redis.publish("timeline:public", update(&status(1, &bob))).await;
    assert_eq!(ws.next_event().await.json()["id"], "1");
    let names = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name NOT IN ('', '{FIXTURES}')",
        db.name()
    );
    assert_eq!(db.number(names).await, 0);
    assert!(db.connections().await > 0);
    let statements = db.statements();
    assert!(statements.iter().any(|statement| statement.text.contains("oauth_access_tokens")), "{statements:#?}");
    assert!(statements.iter().any(|statement| statement.text.contains("blocks")), "{statements:#?}");
    let named: Vec<_> = statements.iter().filter(|statement| statement.name.is_some()).collect();
    assert!(named.is_empty(), "{named:#?}");
}

/// The cluster of the tests is far from UTC.
#[tokio::test]
async fn time_stamps_in_the_database_are_utc() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let fresh = db.person("fresh").expires_in(3600).token_age(3000.0).await;
    let stale = db.person("stale").expires_in(3600).token_age(4000.0).await;
    let far =
        without_database(&redis).env("DATABASE_URL", format!("{}?options=-c%20TimeZone%3DAsia/Kathmandu", db.url()));
    for options in [Server::options(&redis, &db), far] {
        let server = options.start().await;
        assert!(Ws::try_open(&server, &format!("/?access_token={}", fresh.token), &[]).await.is_ok());
        let refused = Ws::try_open(&server, &format!("/?access_token={}", stale.token), &[]).await.err();
        assert_eq!(refused.map(|response| response.status), Some(401));
    }
}

#[tokio::test]
async fn a_pool_grows_to_its_size_and_no_further() {
    const STATEMENTS: usize = 12;
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    for (pool, size) in [("1", 1), ("3", 3), ("", 10)] {
        let server = Server::options(&redis, &db).env("DB_POOL", pool).start().await;
        let mut ws = Ws::open(&server, "/", &alice.token).await;
        for number in 0..STATEMENTS {
            ws.send_json(json!({"type": "subscribe", "stream": "hashtag", "tag": format!("t{number}")})).await;
            redis.wait_for_subscribers(&format!("timeline:hashtag:t{number}"), 1).await;
        }
        let lock = db.lock("blocks").await;
        // The events of each channel are screened for themselves.
        for number in 0..STATEMENTS {
            redis.publish(&format!("timeline:hashtag:t{number}"), update(&status(1, &alice))).await;
        }
        eventually(format!("{size} connections, and the others waiting"), || async {
            let total = server.metric("pg_pool_total_connections", &[]).await;
            let waiting = server.metric("pg_pool_waiting_queries", &[]).await;
            let seen = (total, waiting, db.connections().await);
            if seen == (size as f64, (STATEMENTS - size) as f64, size) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
        lock.release().await;
        for _ in 0..STATEMENTS {
            ws.next_event().await;
        }
        assert!(server.terminate().await.success());
    }
}

#[tokio::test]
async fn whoever_waits_15_seconds_for_a_connection_gets_an_error() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let server = Server::options(&redis, &db).env("DB_POOL", "1").start().await;
    let mut ws = Ws::open(&server, "/", &alice.token).await;
    let lock = db.lock("oauth_access_tokens").await;
    // The first one has the only connection, the second one will have it next.
    let mut occupying = Vec::new();
    for waiting in [0.0, 1.0] {
        let mut client = http::Client::open(&server).await;
        let authorization = format!("Authorization: Bearer {}", alice.token);
        client.wire.send(format!("GET /api/v1/streaming/user HTTP/1.1\r\nHost: a\r\n{authorization}\r\n\r\n")).await;
        lock.wait_for_waiting(1).await;
        server.wait_for_metric("pg_pool_waiting_queries", &[], waiting).await;
        occupying.push(client);
    }
    let asked = Instant::now();
    ws.send_json(json!({"type": "subscribe", "stream": "list", "list": "1"})).await;
    let answer = ws.next_json().await;
    let waited = asked.elapsed();
    assert_eq!(answer["status"], 503, "{answer}");
    assert!((Duration::from_secs(14)..Duration::from_secs(25)).contains(&waited), "{waited:?}");
    for mut client in occupying {
        let response = client.response("GET").await;
        assert_eq!(response.status, 503);
        assert!(response.header("retry-after").is_some());
    }
    lock.release().await;
    super::delivers(&server, &redis, &alice).await;
}
