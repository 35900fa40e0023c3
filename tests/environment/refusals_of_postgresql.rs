//! What operators read of a PostgreSQL that does not let the server in: what it is, in plain words, and the variables by
//! which it can be changed.

use sqlx::ConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::check;
use crate::support::postgres::{PASSWORD, SUPERUSER, USER};
use crate::support::process::{Folder, free_port};
use crate::support::*;

/// The line of `flodgatt check` that tells what is wrong with PostgreSQL, after its address.
async fn complaint(options: ServerOptions) -> String {
    let ended = check(options).await;
    let lines: Vec<&str> = ended.logs.iter().map(|line| line.text.as_str()).collect();
    let failed: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("failed   the database at ")).collect();
    let [line] = failed[..] else { panic!("one failure of the database in {}", ended.text()) };
    for junk in ["at line", "error returned", "os error", "kind:", PASSWORD] {
        assert!(!line.contains(junk), "{junk:?} is of no use in {line}");
    }
    line.split_once(' ').expect("an address, and more").1.to_owned()
}

fn by_url(redis: &Redis, url: &str) -> ServerOptions {
    ServerOptions::bare().envs(redis.environment()).env("DATABASE_URL", url)
}

#[tokio::test]
async fn a_wrong_role_or_password_is_told_with_the_variables_of_both() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let refused = |user: &str| format!("refuses the role {user}: password authentication failed for user \"{user}\"");
    let password = Server::options(&redis, &db).env("DB_PASS", "wrong");
    assert_eq!(complaint(password).await, format!("{} (DB_USER and DB_PASS)", refused(USER)));
    let user = Server::options(&redis, &db).env("DB_USER", "nobody");
    assert_eq!(complaint(user).await, format!("{} (DB_USER and DB_PASS)", refused("nobody")));
    let url = by_url(&redis, &db.url().replace("correct", "wrong"));
    assert_eq!(complaint(url).await, format!("{} (DATABASE_URL)", refused(USER)));
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_told_with_its_variable() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let refused = "refuses the database nothing: database \"nothing\" does not exist";
    let name = Server::options(&redis, &db).env("DB_NAME", "nothing");
    assert_eq!(complaint(name).await, format!("{refused} (DB_NAME)"));
    let url = by_url(&redis, &db.url().replace(db.name(), "nothing"));
    assert_eq!(complaint(url).await, format!("{refused} (DATABASE_URL)"));
}

#[tokio::test]
async fn a_postgresql_without_free_connections_is_told_with_the_size_of_the_pool() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    db.execute(format!("ALTER DATABASE {} CONNECTION LIMIT 0", db.name())).await;
    let full = format!("has no connection left: too many connections for database \"{}\" (DB_POOL)", db.name());
    assert_eq!(complaint(Server::options(&redis, &db)).await, full);
    assert_eq!(complaint(by_url(&redis, &db.url())).await, full);
}

#[tokio::test]
async fn an_address_where_nothing_is_is_told_with_its_variables() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let options = || Server::options(&redis, &db);
    let folder = Folder::new("nothing").path().to_string_lossy().into_owned();
    for (options, cause, variables) in [
        (options().env("DB_PORT", free_port().to_string()), "connection refused", "DB_HOST and DB_PORT"),
        (options().env("DB_HOST", "db.invalid"), "the name does not resolve", "DB_HOST and DB_PORT"),
        (options().env("DB_HOST", folder), "no such file or socket", "DB_HOST and DB_PORT"),
        (by_url(&redis, "postgres://db.invalid/x"), "the name does not resolve", "DATABASE_URL"),
    ] {
        assert_eq!(complaint(options).await, format!("cannot be reached: {cause} ({variables})"));
    }
}

#[tokio::test]
async fn a_postgresql_that_demands_tls_is_told_with_the_mode() {
    let redis = Redis::start().await;
    let postgres = Postgres::start_own().await;
    let db = postgres.database().await;
    let rules = "local all all trust\nhostssl all all all scram-sha-256\n";
    std::fs::write(postgres.socket_folder().join("data/pg_hba.conf"), rules).unwrap();
    let mut superuser = postgres.options(SUPERUSER, SUPERUSER).connect().await.unwrap();
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut superuser).await.unwrap();
    for (options, variable) in
        [(Server::options(&redis, &db), "DB_SSLMODE"), (by_url(&redis, &db.url()), "sslmode in DATABASE_URL")]
    {
        let complaint = complaint(options).await;
        let beginning = format!("refuses the role {USER} without TLS: no pg_hba.conf entry for ");
        assert!(complaint.starts_with(&beginning), "{complaint}");
        assert!(complaint.ends_with(&format!(" ({variable}, or pg_hba.conf at the server)")), "{complaint}");
    }
}

/// A server that takes connections and offers no TLS (PostgreSQL documentation, "SSL Session Encryption").
async fn without_tls() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut question = [0; 8];
            let _ = client.read_exact(&mut question).await;
            let _ = client.write_all(b"N").await;
        }
    });
    port
}

#[tokio::test]
async fn a_postgresql_without_tls_is_told_with_the_mode() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let port = without_tls().await;
    let options = Server::options(&redis, &db).env("DB_PORT", port.to_string()).env("DB_SSLMODE", "require");
    assert_eq!(complaint(options).await, "offers no TLS; disable does without (DB_SSLMODE)");
    let url = by_url(&redis, &format!("postgres://127.0.0.1:{port}/x?sslmode=require"));
    assert_eq!(complaint(url).await, "offers no TLS; disable does without (sslmode in DATABASE_URL)");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told_with_what_is_trusted() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let untrusted = "cannot be trusted: its certificate is by an authority that is not trusted";
    let options = Server::options(&redis, &db).env("DB_SSLMODE", "require");
    assert_eq!(complaint(options).await, format!("{untrusted} (DB_SSLMODE and SSL_CERT_FILE)"));
    let url = by_url(&redis, &format!("{}?sslmode=verify-full", db.url()));
    assert_eq!(complaint(url).await, format!("{untrusted} (sslmode and sslrootcert in DATABASE_URL)"));
    let url = by_url(&redis, &format!("{}?sslmode=verify-full&sslrootcert=/nowhere.pem", db.url()));
    let missing = "cannot be reached by TLS: a file is missing (sslrootcert, sslcert or sslkey in DATABASE_URL)";
    assert_eq!(complaint(url).await, missing);
}
