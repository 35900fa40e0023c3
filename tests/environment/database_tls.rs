//! `DB_SSLMODE` and the `ssl*` parameters of `DATABASE_URL`.

use std::path::Path;

use sqlx::ConnectOptions;
use tokio::net::{TcpListener, TcpStream};

use crate::support::certificates;
use crate::support::postgres::{SUPERUSER, USER};
use crate::support::process::Folder;
use crate::support::*;
use crate::{check, delivers};

/// Whether the connections that servers hold to a database are encrypted; they must be of one kind.
async fn is_encrypted(db: &Database) -> bool {
    let count = |condition: &str| {
        db.number(format!(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE datname = '{}' AND application_name = '' AND {condition}",
            db.name()
        ))
    };
    let (plain, encrypted) = (count("NOT ssl").await, count("ssl").await);
    assert!((plain > 0) != (encrypted > 0), "{plain} plain, {encrypted} encrypted");
    encrypted > 0
}

#[tokio::test]
async fn without_a_mode_or_with_disable_there_is_no_tls() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let url = ServerOptions::bare().envs(redis.environment());
    for options in [
        Server::options(&redis, &db),
        Server::options(&redis, &db).env("DB_SSLMODE", ""),
        Server::options(&redis, &db).env("DB_SSLMODE", "disable"),
        url.env("DATABASE_URL", format!("{}?sslmode=disable", db.url())).env("DB_SSLMODE", "require"),
    ] {
        let server = options.start().await;
        delivers(&server, &redis, &alice).await;
        assert!(!is_encrypted(&db).await);
        assert!(server.terminate().await.success());
    }
}

#[tokio::test]
async fn no_verify_is_tls_with_whoever_answers() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let url = ServerOptions::bare().envs(redis.environment());
    for options in [
        Server::options(&redis, &db).env("DB_SSLMODE", "no-verify"),
        url.env("DATABASE_URL", format!("{}?sslmode=no-verify", db.url())),
    ] {
        let server = options.start().await;
        delivers(&server, &redis, &alice).await;
        assert!(is_encrypted(&db).await);
        assert!(server.terminate().await.success());
    }
}

#[tokio::test]
async fn any_other_mode_is_tls_with_a_valid_certificate() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let ca_file = db.postgres().ca_file().to_string_lossy().into_owned();
    let url = || ServerOptions::bare().envs(redis.environment());
    for mode in ["require", "prefer", "verify-ca", "verify-full", "true"] {
        let unknown = check(Server::options(&redis, &db).env("DB_SSLMODE", mode)).await;
        assert!(!unknown.status.success(), "{mode} with an unknown authority: {}", unknown.text());
        let known = check(Server::options(&redis, &db).env("DB_SSLMODE", mode).env("SSL_CERT_FILE", &ca_file)).await;
        assert!(known.status.success(), "{mode}: {}", known.text());
        let unknown = check(url().env("DATABASE_URL", format!("{}?sslmode={mode}", db.url()))).await;
        assert!(!unknown.status.success(), "sslmode={mode} with an unknown authority: {}", unknown.text());
    }
    for options in [
        Server::options(&redis, &db).env("DB_SSLMODE", "require").env("SSL_CERT_FILE", &ca_file),
        url().env("DATABASE_URL", format!("{}?sslmode=verify-full&sslrootcert={ca_file}", db.url())),
    ] {
        let server = options.start().await;
        delivers(&server, &redis, &alice).await;
        assert!(is_encrypted(&db).await);
        assert!(server.terminate().await.success());
    }
}

/// Passes connections to 127.0.0.2 on to the same port of 127.0.0.1: a name that no certificate bears.
pub async fn impostor(port: u16) {
    let listener = TcpListener::bind(("127.0.0.2", port)).await.expect("the port is free on this address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_valid() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let ca_file = db.postgres().ca_file().to_string_lossy().into_owned();
    impostor(db.postgres().port()).await;
    let options = || Server::options(&redis, &db).env("DB_HOST", "127.0.0.2").env("SSL_CERT_FILE", &ca_file);
    let ended = check(options().env("DB_SSLMODE", "no-verify")).await;
    assert!(ended.status.success(), "{}", ended.text());
    for mode in ["require", "verify-ca", "verify-full"] {
        let ended = check(options().env("DB_SSLMODE", mode)).await;
        assert!(
            !ended.status.success() && ended.text().contains("not valid for 127.0.0.2"),
            "{mode}: {}",
            ended.text()
        );
    }
}

#[tokio::test]
async fn a_url_may_name_a_certificate_to_show() {
    let redis = Redis::start().await;
    let postgres = Postgres::start_own().await;
    let db = postgres.database().await;
    let alice = db.person("alice").await;
    // The cluster trusts its own authority, by whose certificate this client is known too.
    let folder = Folder::new("client");
    for (from, name) in [
        (certificates::certificate_file(postgres.socket_folder()), "certificate.pem"),
        (certificates::key_file(postgres.socket_folder()), "key.pem"),
    ] {
        folder.write(name, std::fs::read(from).unwrap());
    }
    trust(&postgres, &postgres.ca_file()).await;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (ca_file, certificate, key) = (postgres.ca_file(), path("certificate.pem"), path("key.pem"));
    let url =
        format!("{}?sslmode=require&sslrootcert={}&sslcert={certificate}&sslkey={key}", db.url(), ca_file.display());
    let server = ServerOptions::bare().envs(redis.environment()).env("DATABASE_URL", url).start().await;
    delivers(&server, &redis, &alice).await;
    let shown = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE application_name = '' AND client_serial IS NOT NULL AND usename";
    assert!(db.number(format!("{shown} = '{USER}'")).await > 0);
}

async fn trust(postgres: &Postgres, ca_file: &Path) {
    let mut superuser = postgres.options(SUPERUSER, SUPERUSER).connect().await.unwrap();
    for statement in
        [format!("ALTER SYSTEM SET ssl_ca_file = '{}'", ca_file.display()), "SELECT pg_reload_conf()".to_owned()]
    {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut superuser).await.unwrap();
    }
    eventually("trust", || async {
        let mut fresh = postgres.options(SUPERUSER, SUPERUSER).connect().await.unwrap();
        let setting: String = sqlx::query_scalar("SHOW ssl_ca_file").fetch_one(&mut fresh).await.unwrap();
        !setting.is_empty()
    })
    .await;
}
