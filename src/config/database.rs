//! How PostgreSQL is reached.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::{ParseError, Url};

use super::{ConfigError, Environment, Mode, bare, ensure_encoded, mode, no_url, number, port};
use crate::store::{DatabaseConfig, TlsMode};

pub(super) fn read(environment: &Environment) -> Result<DatabaseConfig, ConfigError> {
    let pool = number(environment, "DB_POOL", 10, 1)?;
    if pool == 0 {
        return Err(ConfigError::new("DB_POOL", "at least one connection is needed"));
    }
    let config = match environment.get("DATABASE_URL") {
        Some(url) => {
            let password = environment.get("DB_PASS").unwrap_or_default();
            from_url(url, password).map_err(|problem| ConfigError::new("DATABASE_URL", problem))?
        }
        None => from_parts(environment)?,
    };
    Ok(DatabaseConfig { pool, ..config })
}

fn from_parts(environment: &Environment) -> Result<DatabaseConfig, ConfigError> {
    let mode = mode(environment);
    let Some(default_name) = default_name(mode) else {
        return Err(ConfigError::new("NODE_ENV", "other values than production and development need DATABASE_URL"));
    };
    // Developers have their own defaults, as of PostgreSQL's client library.
    let text = |name: &str, libpq: &str, default: &str| {
        let fallback = || environment.get(libpq).filter(|_| mode == Mode::Development);
        environment.get(name).or_else(fallback).unwrap_or(default).to_owned()
    };
    let port = match (port(environment, "DB_PORT", 0)?, mode) {
        (0, Mode::Development) => port(environment, "PGPORT", 5_432)?,
        (0, _) => 5_432,
        (port, _) => port,
    };
    Ok(DatabaseConfig {
        host: bare(&text("DB_HOST", "PGHOST", "localhost")).to_owned(),
        port,
        name: text("DB_NAME", "PGDATABASE", default_name),
        user: text("DB_USER", "PGUSER", "mastodon"),
        password: text("DB_PASS", "PGPASSWORD", ""),
        tls: tls_mode(environment.get("DB_SSLMODE").unwrap_or_default()),
        root_certificate: None,
        client_certificate: None,
        settings: Vec::new(),
        pool: 0,
        variable: "DB_HOST",
    })
}

/// The database, if nothing names it.
pub(super) fn default_name(mode: Mode) -> Option<&'static str> {
    match mode {
        Mode::Production => Some("mastodon_production"),
        Mode::Development => Some("mastodon_development"),
        Mode::Other => None,
    }
}

fn tls_mode(name: &str) -> TlsMode {
    match name {
        "" | "disable" => TlsMode::Off,
        "no-verify" => TlsMode::Unverified,
        _ => TlsMode::Verified,
    }
}

/// How the parameter `ssl` of a URL says that there is to be none.
fn is_no(ssl: &str) -> bool {
    matches!(ssl, "0" | "false")
}

/// Problems are told without the URL, which may contain a password.
fn from_url(text: &str, default_password: &str) -> Result<DatabaseConfig, String> {
    ensure_encoded(text)?;
    let url = Url::parse(text).or_else(|error| match error {
        // A user before no host at all, as with `?host=` and the folder of a unix socket, is no URL by the standard.
        ParseError::EmptyHost => Url::parse(&text.replacen("@/", "@localhost/", 1)),
        error => Err(error),
    });
    let url = url.map_err(no_url)?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(format!("{}:// is neither postgres:// nor postgresql://", url.scheme()));
    }
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let parameter = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let or = |part: String, default: &str| if part.is_empty() { default.to_owned() } else { part };
    let host = parameter("host").unwrap_or_else(|| decoded(url.host_str().unwrap_or_default()));
    let port = match parameter("port") {
        Some(port) => port.parse().map_err(|_| format!("{port:?} is no port"))?,
        None => url.port().unwrap_or(5_432),
    };
    let user = or(decoded(url.username()), "mastodon");
    let certificate = parameter("sslcert").zip(parameter("sslkey"));
    Ok(DatabaseConfig {
        host: or(bare(&host).to_owned(), "localhost"),
        port,
        name: or(decoded(url.path().trim_start_matches('/')), &user),
        user,
        password: or(decoded(url.password().unwrap_or_default()), default_password),
        tls: tls_mode(&parameter("sslmode").or_else(|| parameter("ssl").filter(|ssl| !is_no(ssl))).unwrap_or_default()),
        root_certificate: parameter("sslrootcert").map(PathBuf::from),
        client_certificate: certificate.map(|(certificate, key)| (certificate.into(), key.into())),
        settings: settings(&parameter("options").unwrap_or_default())?,
        pool: 0,
        variable: "DATABASE_URL",
    })
}

/// Reads `-c name=value` and `--name=value`, as PostgreSQL's client library passes them to the server.
fn settings(options: &str) -> Result<Vec<(String, String)>, String> {
    let mut words = options.split_ascii_whitespace();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c").filter(|rest| !rest.is_empty()))
        {
            Some(setting) => Some(setting),
            None if word == "-c" => words.next(),
            None => None,
        };
        let pair = setting.and_then(|setting| setting.split_once('='));
        let (name, value) = pair.ok_or_else(|| format!("options: {word:?} is not -c name=value"))?;
        settings.push((name.to_owned(), value.to_owned()));
    }
    Ok(settings)
}
