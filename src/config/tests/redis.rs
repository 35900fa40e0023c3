use super::*;
use crate::upstream::RedisAddress;

fn read(pairs: &[(&str, &str)]) -> RedisConfig {
    Config::read(&environment(pairs)).unwrap_or_else(|error| panic!("{error}")).redis
}

fn url(url: &str) -> RedisConfig {
    read(&[("REDIS_URL", url)])
}

fn tcp(host: &str, port: u16) -> RedisAddress {
    RedisAddress::Tcp(host.to_owned(), port)
}

#[test]
fn without_variables_redis_is_local() {
    let config = read(&[]);
    assert_eq!(config.address, tcp("127.0.0.1", 6379));
    assert_eq!((config.database, config.username, config.password), (0, None, None));
    assert_eq!((config.tls, config.namespace, config.variable), (false, None, "REDIS_HOST"));
}

#[test]
fn parts_say_where_redis_is() {
    let config = read(&[
        ("REDIS_HOST", "[::1]"),
        ("REDIS_PORT", "6380"),
        ("REDIS_DB", "3"),
        ("REDIS_USER", "streaming"),
        ("REDIS_PASSWORD", "p@ss word"),
        ("REDIS_NAMESPACE", "social"),
    ]);
    assert_eq!((config.address, config.database), (tcp("::1", 6380), 3));
    assert_eq!((config.username.as_deref(), config.password.as_deref()), (Some("streaming"), Some("p@ss word")));
    assert_eq!(config.namespace.as_deref(), Some("social"));
}

#[test]
fn empty_variables_count_as_missing() {
    let names = ["REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_USER", "REDIS_PASSWORD"];
    let more = ["REDIS_NAMESPACE", "REDIS_SENTINELS", "REDIS_SENTINEL_MASTER"];
    let empty: Vec<(&str, &str)> = names.into_iter().chain(more).map(|name| (name, "")).collect();
    assert!(read(&empty) == read(&[]));
}

#[test]
fn a_url_is_the_only_source_but_for_the_namespace() {
    let config = read(&[
        ("REDIS_URL", "redis://redis.example"),
        ("REDIS_HOST", "other"),
        ("REDIS_PORT", "no port"),
        ("REDIS_DB", "9"),
        ("REDIS_USER", "other"),
        ("REDIS_PASSWORD", "other"),
        ("REDIS_SENTINELS", "other"),
        ("REDIS_NAMESPACE", "social"),
    ]);
    assert_eq!((config.address, config.database), (tcp("redis.example", 6379), 0));
    assert_eq!((config.username, config.password), (None, None));
    assert_eq!((config.namespace.as_deref(), config.variable), (Some("social"), "REDIS_URL"));
}

#[test]
fn a_url_says_everything() {
    let config = url("rediss://str%40ming:p%2Fss%20word@redis.example:6380/4");
    assert_eq!((config.address, config.database, config.tls), (tcp("redis.example", 6380), 4, true));
    assert_eq!((config.username.as_deref(), config.password.as_deref()), (Some("str@ming"), Some("p/ss word")));
    let config = url("redis://:secret@[::1]");
    assert_eq!((config.address, config.tls), (tcp("::1", 6379), false));
    assert_eq!((config.username, config.password.as_deref()), (None, Some("secret")));
}

#[test]
fn a_url_may_name_a_unix_socket() {
    let config = url("unix:///run/redis/redis%20a.sock?db=2");
    assert_eq!((config.address, config.database), (RedisAddress::Unix("/run/redis/redis a.sock".into()), 2));
    assert_eq!(url("unix:///run/a.sock").database, 0);
    assert_eq!(url("unix:///run/a.sock?password=secret").password.as_deref(), Some("secret"));
}

#[test]
fn a_url_that_says_nothing_usable_is_an_error_without_its_password() {
    for url in [
        "redis.example:6379",
        "http://:secret@redis.example",
        "redis://:secret@redis.example:port",
        "redis://:secret@redis.example/name",
        "redis://:secret@redis.example/1000",
        "unix:///run/a.sock?db=x",
        "unix://:secret@",
    ] {
        let error = error(&[("REDIS_URL", url)]);
        assert!(error.starts_with("REDIS_URL: ") && !error.contains("secret"), "{error}");
    }
}

fn sentinels(pairs: &[(&str, &str)]) -> (Vec<(String, u16)>, Option<String>, Option<String>) {
    let config = read(&[&[("REDIS_SENTINEL_MASTER", "mastodon")], pairs].concat());
    let RedisAddress::Sentinel { hosts, master, username, password } = config.address else {
        panic!("{} is no sentinel", config.address)
    };
    assert_eq!((master.as_str(), config.variable), ("mastodon", "REDIS_SENTINELS"));
    (hosts, username, password)
}

#[test]
fn sentinels_are_hosts_with_or_without_port() {
    let (hosts, ..) = sentinels(&[("REDIS_SENTINELS", "one:1, two ,[::1]:3,::1,[::2],")]);
    let expected = [("one", 1), ("two", 26379), ("::1", 3), ("::1", 26379), ("::2", 26379)];
    assert_eq!(hosts, expected.map(|(host, port)| (host.to_owned(), port)));
    let (hosts, ..) = sentinels(&[("REDIS_SENTINELS", "one"), ("REDIS_SENTINEL_PORT", "5000")]);
    assert_eq!(hosts, [("one".to_owned(), 5000)]);
}

#[test]
fn sentinels_have_the_credentials_of_redis_unless_they_have_their_own() {
    let some = |text: &str| Some(text.to_owned());
    let redis = [("REDIS_SENTINELS", "a"), ("REDIS_USER", "user"), ("REDIS_PASSWORD", "secret")];
    let own = [("REDIS_SENTINEL_USERNAME", "watcher"), ("REDIS_SENTINEL_PASSWORD", "other")];
    let (_, username, password) = sentinels(&redis);
    assert_eq!((username, password), (some("user"), some("secret")));
    let (_, username, password) = sentinels(&[&redis[..], &own].concat());
    assert_eq!((username, password), (some("watcher"), some("other")));
}

#[test]
fn sentinels_that_make_no_sense_are_an_error() {
    assert!(error(&[("REDIS_SENTINELS", "a")]).starts_with("REDIS_SENTINEL_MASTER: "));
    for list in [",", "a:b", "a:70000", "a:"] {
        let error = error(&[("REDIS_SENTINELS", list), ("REDIS_SENTINEL_MASTER", "m")]);
        assert!(error.starts_with("REDIS_SENTINELS: "), "{list}: {error}");
    }
}
