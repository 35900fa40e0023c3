mod cluster;
mod database;
mod redis;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    Environment::from_pairs(pairs.iter().copied())
}

/// The error of an environment that makes no sense.
fn error(pairs: &[(&str, &str)]) -> String {
    match Config::read(&environment(pairs)) {
        Ok(_) => panic!("{pairs:?} should not be valid"),
        Err(error) => error.to_string(),
    }
}

fn listen(pairs: &[(&str, &str)]) -> ListenAddress {
    listen_address(&environment(pairs)).unwrap()
}

fn tcp(host: &str, port: u16) -> ListenAddress {
    ListenAddress::Tcp(host.to_owned(), port)
}

#[test]
fn without_variables_it_listens_on_port_4000_of_loopback() {
    assert_eq!(listen(&[]), tcp("127.0.0.1", 4000));
}

#[test]
fn an_empty_bind_is_all_addresses_and_an_empty_port_the_default() {
    assert_eq!(listen(&[("BIND", ""), ("PORT", "")]), tcp("", 4000));
}

#[test]
fn an_ipv6_address_may_be_in_square_brackets() {
    for bind in ["[::1]", "::1"] {
        assert_eq!(listen(&[("BIND", bind), ("PORT", "0")]), tcp("::1", 0));
    }
}

#[test]
fn a_socket_counts_more_than_bind_and_port() {
    let variables = [("SOCKET", "/run/streaming.sock"), ("BIND", "::"), ("PORT", "5")];
    assert_eq!(listen(&variables), ListenAddress::Unix("/run/streaming.sock".into()));
    assert_eq!(listen(&[("SOCKET", ""), ("PORT", "5")]), tcp("127.0.0.1", 5));
}

#[test]
fn the_level_of_logs_depends_on_the_mode_unless_it_is_given() {
    for (pairs, level, json) in [
        (&[][..], LogLevel::Debug, false),
        (&[("NODE_ENV", "")], LogLevel::Debug, false),
        (&[("NODE_ENV", "development")], LogLevel::Debug, false),
        (&[("NODE_ENV", "production")], LogLevel::Info, true),
        (&[("NODE_ENV", "staging")], LogLevel::Info, false),
        (&[("NODE_ENV", "production"), ("LOG_LEVEL", "trace")], LogLevel::Trace, true),
        (&[("LOG_LEVEL", "debug")], LogLevel::Debug, false),
        (&[("LOG_LEVEL", "info")], LogLevel::Info, false),
        (&[("LOG_LEVEL", "warn")], LogLevel::Warn, false),
        (&[("LOG_LEVEL", "error")], LogLevel::Error, false),
        (&[("LOG_LEVEL", "fatal")], LogLevel::Error, false),
    ] {
        assert_eq!(log_config(&environment(pairs)).unwrap(), LogConfig { level, json }, "{pairs:?}");
    }
}

#[test]
fn compression_is_on_unless_it_is_switched_off() {
    for (pairs, is_on) in [
        (&[][..], true),
        (&[("WS_COMPRESSION", "")], true),
        (&[("WS_COMPRESSION", "on")], true),
        (&[("WS_COMPRESSION", "off")], false),
    ] {
        assert_eq!(Config::read(&environment(pairs)).unwrap().compression, is_on, "{pairs:?}");
    }
    assert_eq!(error(&[("WS_COMPRESSION", "no")]), r#"WS_COMPRESSION: "no" is neither on nor off"#);
}

#[test]
fn an_unknown_level_is_an_error() {
    let error = log_config(&environment(&[("LOG_LEVEL", "loud")])).unwrap_err().to_string();
    assert_eq!(error, r#"LOG_LEVEL: "loud" is none of trace, debug, info, warn, error, fatal"#);
}

#[test]
fn each_number_that_is_none_is_an_error_that_names_its_variable() {
    let sentinels = [("REDIS_SENTINELS", "a"), ("REDIS_SENTINEL_MASTER", "m")];
    for variable in ["PORT", "DB_PORT", "DB_POOL", "REDIS_PORT", "REDIS_DB", "PGPORT", "REDIS_SENTINEL_PORT"] {
        for value in ["x", "-1", "4294967296", "1.5", "0x10", "4000 4001"] {
            let more = if variable.contains("SENTINEL") { &sentinels[..] } else { &[] };
            let error = error(&[&[(variable, value)], more].concat());
            assert!(error.starts_with(&format!("{variable}: ")), "{error}");
        }
    }
}

#[test]
fn a_port_is_no_more_than_65535() {
    for variable in ["PORT", "DB_PORT", "REDIS_PORT"] {
        assert!(error(&[(variable, "65536")]).starts_with(variable));
    }
}

#[test]
fn what_is_no_port_is_told_with_the_range() {
    for value in ["65536", "-1", "http"] {
        let expected = format!("PORT: {value:?} is no port: a whole number up to 65535");
        assert_eq!(error(&[("PORT", value)]), expected);
    }
    assert_eq!(error(&[("DB_POOL", "x")]), r#"DB_POOL: "x" is not a whole number from 1 on"#);
    assert_eq!(error(&[("REDIS_DB", "x")]), r#"REDIS_DB: "x" is not a whole number from 0 on"#);
    assert_eq!(error(&[("DB_POOL", "4294967296")]), r#"DB_POOL: "4294967296" is too large"#);
}

#[test]
fn a_path_in_port_belongs_into_socket() {
    let error = error(&[("PORT", "/run/streaming.sock")]);
    assert!(error.starts_with("PORT: ") && error.contains("SOCKET"), "{error}");
    assert_eq!(
        listen(&[("PORT", "/run/a.sock"), ("SOCKET", "/run/b.sock")]),
        ListenAddress::Unix("/run/b.sock".into())
    );
}

#[test]
fn a_bind_that_can_be_no_address_is_an_error_that_says_what_can() {
    for value in ["http://127.0.0.1", "127.0.0.1:4000", "[::1]:4000", "/run/streaming.sock", "a b", "*", "ü"] {
        let error = error(&[("BIND", value)]);
        assert!(error.starts_with(&format!("BIND: {value:?} is no address")) && error.contains("IPv6"), "{error}");
    }
    for value in ["127.0.0.1", "::", "[::1]", "fe80::1%eth0", "localhost", "node-1.example", "streaming_1"] {
        assert!(listen_address(&environment(&[("BIND", value)])).is_ok(), "{value}");
    }
}

fn in_force(pairs: &[(&str, &str)], name: &str) -> Option<String> {
    let variable = VARIABLES.iter().find(|variable| variable.name == name).unwrap();
    default_in_force(&environment(pairs), variable)
}

#[test]
fn the_default_in_force_is_that_of_the_mode() {
    for (mode, database, level) in [
        ("production", Some("mastodon_production"), "info"),
        ("development", Some("mastodon_development"), "debug"),
        ("staging", None, "info"),
    ] {
        let pairs = [("NODE_ENV", mode)];
        assert_eq!(in_force(&pairs, "DB_NAME").as_deref(), database);
        assert_eq!(in_force(&pairs, "LOG_LEVEL").as_deref(), Some(level));
    }
}

#[test]
fn what_concerns_sentinels_has_a_default_only_where_there_are_some() {
    let variables = ["REDIS_SENTINEL_PORT", "REDIS_SENTINEL_USERNAME", "REDIS_SENTINEL_PASSWORD"];
    assert_eq!(variables.map(|name| in_force(&[("REDIS_USER", "u")], name)), [None, None, None]);
    let with_sentinels = variables.map(|name| in_force(&[("REDIS_USER", "u"), ("REDIS_SENTINELS", "a")], name));
    assert_eq!(with_sentinels, [Some("26379".into()), Some("(that of REDIS_USER)".into()), None]);
}

#[test]
fn proxies_are_addresses_and_networks() {
    let config = Config::read(&environment(&[("TRUSTED_PROXY_IP", "192.0.2.1, 2001:db8::/32 10.0.0.0/8")])).unwrap();
    let proxies = TrustedProxies::parse("192.0.2.1 2001:db8::/32 10.0.0.0/8").unwrap();
    assert_eq!(config.trusted_proxies, proxies);
    assert_eq!(Config::read(&environment(&[])).unwrap().trusted_proxies, TrustedProxies::default());
    assert!(error(&[("TRUSTED_PROXY_IP", "10.0.0.1 proxy")]).starts_with("TRUSTED_PROXY_IP: \"proxy\""));
}

#[test]
fn a_variable_of_the_process_counts_more_than_the_file() {
    let folder = std::env::temp_dir().join(format!("flodgatt-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(".env"), "PORT=1\nBIND=::1\nREDIS_DB=5").unwrap();
    std::fs::write(folder.join(".env.production"), "PORT=2").unwrap();
    let read = |pairs: &[(&str, &str)]| environment(pairs).with_file(&folder).unwrap();
    let developing = read(&[("PORT", "3"), ("REDIS_DB", "")]);
    let production = read(&[("NODE_ENV", "production")]);
    let other = read(&[("NODE_ENV", "staging")]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((developing.given("PORT"), developing.given("BIND")), (Some("3"), Some("::1")));
    assert_eq!(developing.given("REDIS_DB"), Some(""), "an empty variable exists");
    assert_eq!(developing.origin("PORT"), Some(&Origin::Process));
    assert_eq!(developing.origin("BIND"), Some(&Origin::File(folder.join(".env"))));
    assert_eq!((production.given("PORT"), production.given("BIND")), (Some("2"), None));
    assert_eq!(other.given("PORT"), Some("1"));
    let unread = Some(folder.join(".env.production"));
    assert_eq!(
        [&developing, &other, &production].map(|one| one.unread().map(Into::into)),
        [unread.clone(), unread, None]
    );
}

#[test]
fn a_missing_file_is_fine() {
    let environment = environment(&[]).with_file(std::path::Path::new("/nowhere")).unwrap();
    assert_eq!(environment.file(), None);
}

/// Every variable read anywhere in this module is in the list for operators, but for those of libpq.
#[test]
fn every_variable_that_is_read_is_told() {
    let sources = [
        include_str!("../config.rs"),
        include_str!("cluster.rs"),
        include_str!("database.rs"),
        include_str!("redis.rs"),
    ]
    .concat();
    let words = sources.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    let is_name = |word: &&str| {
        word.contains('_') && !word.starts_with('_') && !word.ends_with('_')
            || ["PORT", "BIND", "SOCKET"].contains(word)
    };
    let missing: Vec<&str> =
        words.filter(is_name).filter(|name| !VARIABLES.iter().any(|variable| variable.name == *name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_holds_a_password_is_secret() {
    for variable in VARIABLES {
        let holds = ["PASSWORD", "PASS", "_URL", "SECRET"].iter().any(|end| variable.name.ends_with(end));
        assert_eq!(variable.secret, holds, "{}", variable.name);
    }
}

#[test]
fn a_password_with_special_characters_that_are_not_encoded_is_told_as_that() {
    for (variable, url) in [
        ("DATABASE_URL", "postgres://me:p/1@db.example/mastodon"),
        ("DATABASE_URL", "postgres://me:1#2@db.example/mastodon"),
        ("REDIS_URL", "rediss://me:p@s/s@redis.example"),
    ] {
        let error = error(&[(variable, url)]);
        assert!(error.starts_with(variable) && error.contains("percent-encoded (%2F"), "{error}");
    }
    for (variable, url) in [
        ("DATABASE_URL", "postgres://me:p%2F@ss@db.example/mastodon?application=a@b"),
        ("REDIS_URL", "redis://redis.example/0?password=p@ss"),
        ("REDIS_URL", "unix:///run/redis@main.sock"),
    ] {
        assert!(Config::read(&environment(&[(variable, url)])).is_ok(), "{url}");
    }
}
