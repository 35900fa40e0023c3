//! Values that do not parse.

use crate::support::*;

/// The program must end by itself, with an exit code that tells failure, and name the variable, but no password.
async fn fails(variables: &[(&str, &str)], named: &str) {
    for argument in ["serve", "check"] {
        let options = ServerOptions::bare().envs(variables.iter().copied());
        let ended = options.argument(argument).run_to_end().await;
        let text = ended.text();
        assert_eq!(ended.status.code(), Some(1), "{variables:?}: {text}");
        // Hints may follow.
        let first = ended.logs.iter().find(|line| line.is_error_output).map(|line| line.text.clone());
        assert!(first.is_some_and(|line| line.contains(&format!("{named}: "))), "{argument} {variables:?}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_value_that_does_not_parse_is_an_error_that_names_the_variable() {
    for (variable, value) in [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "/run/streaming.sock"),
        ("BIND", "127.0.0.1:4000"),
        ("BIND", "http://localhost"),
        ("LOG_LEVEL", "loud"),
        ("LOG_LEVEL", "INFO"),
        ("TRUSTED_PROXY_IP", "10.0.0.0/33"),
        ("TRUSTED_PROXY_IP", "proxy.example"),
        ("DB_PORT", "x"),
        ("DB_POOL", "x"),
        ("DB_POOL", "0"),
        ("DATABASE_URL", "db.example/mastodon"),
        ("DATABASE_URL", "mysql://me:secret@db.example/mastodon"),
        ("DATABASE_URL", "postgres://me:secret@db.example:x/mastodon"),
        ("DATABASE_URL", "postgres://me:s@secret/1@db.example/mastodon"),
        ("DATABASE_URL", "postgres://me:12#secret@db.example/mastodon"),
        ("DATABASE_URL", "postgres://me:12?secret@db.example/mastodon"),
        ("DATABASE_URL", "postgres://me:#secret@db.example/mastodon"),
        ("REDIS_URL", "redis://me:12/secret@redis.example"),
        ("REDIS_URL", "redis://:s@secret#1@redis.example/0"),
        ("DATABASE_URL", "postgres://me:secret@db.example/mastodon?options=x"),
        ("REDIS_PORT", "x"),
        ("REDIS_DB", "x"),
        ("REDIS_DB", "-1"),
        ("REDIS_URL", "redis.example"),
        ("REDIS_URL", "http://:secret@redis.example"),
        ("REDIS_URL", "redis://:secret@redis.example/x"),
        ("NODE_ENV", "staging"),
    ] {
        fails(&[(variable, value)], variable).await;
    }
}

#[tokio::test]
async fn sentinels_that_make_no_sense_are_an_error() {
    fails(&[("REDIS_SENTINELS", "a")], "REDIS_SENTINEL_MASTER").await;
    let master = ("REDIS_SENTINEL_MASTER", "m");
    fails(&[("REDIS_SENTINELS", "a:x"), master], "REDIS_SENTINELS").await;
    fails(&[("REDIS_SENTINELS", "a"), ("REDIS_SENTINEL_PORT", "x"), master], "REDIS_SENTINEL_PORT").await;
}

#[tokio::test]
async fn in_development_a_port_of_libpq_that_does_not_parse_is_an_error_too() {
    fails(&[("NODE_ENV", "development"), ("PGPORT", "x")], "PGPORT").await;
}
