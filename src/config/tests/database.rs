use std::path::Path;

use super::*;
use crate::store::TlsMode;

const PRODUCTION: (&str, &str) = ("NODE_ENV", "production");

fn read(pairs: &[(&str, &str)]) -> DatabaseConfig {
    Config::read(&environment(pairs)).unwrap_or_else(|error| panic!("{error}")).database
}

fn url(url: &str) -> DatabaseConfig {
    read(&[("DATABASE_URL", url)])
}

#[test]
fn without_variables_the_database_is_local_and_named_after_the_mode() {
    for (mode, name) in [("production", "mastodon_production"), ("development", "mastodon_development")] {
        let config = read(&[("NODE_ENV", mode)]);
        assert_eq!((config.host.as_str(), config.port, config.name.as_str()), ("localhost", 5432, name));
        assert_eq!((config.user.as_str(), config.password.as_str()), ("mastodon", ""));
        assert_eq!((config.tls, config.pool, config.variable), (TlsMode::Off, 10, "DB_HOST"));
    }
}

#[test]
fn an_ipv6_address_may_be_in_square_brackets() {
    for host in ["::1", "[::1]"] {
        assert_eq!(read(&[("DB_HOST", host)]).host, "::1");
    }
}

#[test]
fn parts_say_where_the_database_is() {
    let config = read(&[
        PRODUCTION,
        ("DB_HOST", "/run/postgresql"),
        ("DB_PORT", "5433"),
        ("DB_USER", "streaming"),
        ("DB_PASS", "pa$$ word"),
        ("DB_NAME", "social"),
        ("DB_POOL", "3"),
    ]);
    assert_eq!((config.host.as_str(), config.port, config.name.as_str()), ("/run/postgresql", 5433, "social"));
    assert_eq!((config.user.as_str(), config.password.as_str(), config.pool), ("streaming", "pa$$ word", 3));
}

#[test]
fn the_variables_of_libpq_are_defaults_in_development_only() {
    let libpq = [
        ("PGHOST", "pg.example"),
        ("PGPORT", "1"),
        ("PGUSER", "pguser"),
        ("PGPASSWORD", "pgpassword"),
        ("PGDATABASE", "pgdatabase"),
    ];
    let config = read(&libpq);
    assert_eq!((config.host.as_str(), config.port, config.name.as_str()), ("pg.example", 1, "pgdatabase"));
    assert_eq!((config.user.as_str(), config.password.as_str()), ("pguser", "pgpassword"));
    assert!(read(&[&libpq[..], &[PRODUCTION]].concat()) == read(&[PRODUCTION]));
    let own = [("DB_HOST", "db"), ("DB_PORT", "2"), ("DB_USER", "u"), ("DB_PASS", "p"), ("DB_NAME", "n")];
    assert!(read(&[&libpq[..], &own].concat()) == read(&own));
}

#[test]
fn other_modes_need_a_url() {
    assert!(error(&[("NODE_ENV", "staging"), ("DB_HOST", "db")]).starts_with("NODE_ENV: "));
    assert_eq!(read(&[("NODE_ENV", "staging"), ("DATABASE_URL", "postgres://db/social")]).name, "social");
}

#[test]
fn tls_is_verified_unless_the_mode_says_otherwise() {
    for (mode, tls) in [
        ("", TlsMode::Off),
        ("disable", TlsMode::Off),
        ("no-verify", TlsMode::Unverified),
        ("false", TlsMode::Verified),
        ("prefer", TlsMode::Verified),
        ("require", TlsMode::Verified),
        ("verify-ca", TlsMode::Verified),
        ("verify-full", TlsMode::Verified),
    ] {
        assert_eq!(read(&[("DB_SSLMODE", mode)]).tls, tls, "{mode}");
        assert_eq!(url(&format!("postgres://db/social?sslmode={mode}")).tls, tls, "{mode}");
    }
}

#[test]
fn the_parameter_ssl_is_a_mode_or_yes_or_no() {
    for (value, tls) in [
        ("", TlsMode::Off),
        ("0", TlsMode::Off),
        ("false", TlsMode::Off),
        ("1", TlsMode::Verified),
        ("true", TlsMode::Verified),
        ("no-verify", TlsMode::Unverified),
        ("true&sslmode=disable", TlsMode::Off),
    ] {
        assert_eq!(url(&format!("postgres://db/social?ssl={value}")).tls, tls, "{value}");
    }
}

#[test]
fn a_pool_has_at_least_one_connection() {
    assert!(error(&[("DB_POOL", "0")]).starts_with("DB_POOL: "));
}

#[test]
fn a_url_replaces_the_parts_but_for_pool_and_password() {
    let parts = [
        ("DB_HOST", "other"),
        ("DB_PORT", "no port"),
        ("DB_USER", "other"),
        ("DB_NAME", "other"),
        ("DB_SSLMODE", "require"),
        ("DB_PASS", "from DB_PASS"),
        ("DB_POOL", "4"),
    ];
    let config = read(&[&parts[..], &[("DATABASE_URL", "postgresql://me@db.example/social")]].concat());
    assert_eq!((config.host.as_str(), config.port, config.name.as_str()), ("db.example", 5432, "social"));
    assert_eq!((config.user.as_str(), config.password.as_str()), ("me", "from DB_PASS"));
    assert_eq!((config.tls, config.pool, config.variable), (TlsMode::Off, 4, "DATABASE_URL"));
    let config = read(&[&parts[..], &[("DATABASE_URL", "postgres://me:own@db.example/social")]].concat());
    assert_eq!(config.password, "own");
}

#[test]
fn a_url_says_everything() {
    let config = url(
        "postgres://m%40stodon:p%2Fss%20word@[::1]:5433/soci%61l?sslmode=verify-full&sslrootcert=/etc/ca.pem\
         &sslcert=/etc/cert.pem&sslkey=/etc/key.pem&options=-c%20search_path%3Dmastodon%20--work_mem%3D8MB%20-cjit%3Doff",
    );
    assert_eq!((config.host.as_str(), config.port, config.name.as_str()), ("::1", 5433, "social"));
    assert_eq!((config.user.as_str(), config.password.as_str()), ("m@stodon", "p/ss word"));
    assert_eq!((config.tls, config.root_certificate.as_deref()), (TlsMode::Verified, Some(Path::new("/etc/ca.pem"))));
    assert_eq!(config.client_certificate, Some(("/etc/cert.pem".into(), "/etc/key.pem".into())));
    let settings = [("search_path", "mastodon"), ("work_mem", "8MB"), ("jit", "off")];
    assert_eq!(config.settings, settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn a_url_may_name_the_folder_of_a_unix_socket() {
    for text in [
        "postgres:///social?host=/run/postgresql",
        "postgres://%2Frun%2Fpostgresql/social",
        "postgres://me@/social?host=/run/postgresql",
        "postgres://me:p%40ss@/social?host=%2Frun%2Fpostgresql",
    ] {
        assert_eq!((url(text).host.as_str(), url(text).name.as_str()), ("/run/postgresql", "social"), "{text}");
    }
}

#[test]
fn a_database_without_name_is_named_after_its_user() {
    assert_eq!(url("postgres://me@db.example").name, "me");
}

#[test]
fn a_url_that_says_nothing_usable_is_an_error_without_its_password() {
    for url in [
        "db.example",
        "mysql://me:secret@db.example/social",
        "postgres://me:secret@db.example:port/social",
        "postgres://me:secret@db.example/social?port=x",
        "postgres://me:secret@db.example/social?options=rubbish",
        "postgres://me:secret@db.example/social?options=-c",
    ] {
        let error = error(&[("DATABASE_URL", url)]);
        assert!(error.starts_with("DATABASE_URL: ") && !error.contains("secret"), "{error}");
    }
}
