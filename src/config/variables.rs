//! What operators can set: the text of `--help`, of the README's table, and of `flodgatt check`.

use std::collections::BTreeMap;

use super::{Environment, Mode, database, mode};

/// An environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its default, in words; empty for none.
    pub default: &'static str,
    /// What it means, with unit.
    pub meaning: &'static str,
    /// Whether its value must not be shown.
    pub secret: bool,
}

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning, secret: false }
}

const fn secret(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning, secret: true }
}

/// All variables that the server reads.
#[rustfmt::skip]
pub const VARIABLES: &[Variable] = &[
    variable("NODE_ENV", "development", "production or development: which dotenv file, database and log level; other values need DATABASE_URL"),
    variable("BIND", "127.0.0.1", "address to listen on; empty for all; IPv6 may be in square brackets"),
    variable("PORT", "4000", "port to listen on; 0 for any that is free"),
    variable("SOCKET", "", "unix socket to listen on instead, with mode 0666"),
    variable("LOG_LEVEL", "info; debug in development", "trace, debug, info, warn, error or fatal"),
    variable("TRUSTED_PROXY_IP", "loopback and private networks", "addresses and networks, separated by commas or spaces, whose X-Forwarded-For is believed"),
    variable("WS_COMPRESSION", "on", "on or off: whether WebSockets are compressed (permessage-deflate) for clients that offer it"),
    secret("DATABASE_URL", "", "postgres://user:password@host:port/name?sslmode=…; replaces the DB_ variables but DB_POOL, and DB_PASS if it has no password"),
    variable("DB_HOST", "localhost", "host of PostgreSQL; a path is the folder of its unix socket"),
    variable("DB_PORT", "5432", "port of PostgreSQL"),
    variable("DB_USER", "mastodon", "role at PostgreSQL"),
    secret("DB_PASS", "", "its password"),
    variable("DB_NAME", "mastodon_production; mastodon_development", "database"),
    variable("DB_SSLMODE", "disable", "disable: no TLS; no-verify: TLS with any certificate; anything else: TLS with a valid one"),
    variable("DB_POOL", "10", "connections to PostgreSQL at most"),
    secret("REDIS_URL", "", "redis://, rediss:// (TLS) or unix://; if set, the other REDIS_ variables but REDIS_NAMESPACE do not count"),
    variable("REDIS_HOST", "127.0.0.1", "host of Redis"),
    variable("REDIS_PORT", "6379", "port of Redis"),
    variable("REDIS_DB", "0", "number of the database at Redis"),
    variable("REDIS_USER", "", "user at Redis"),
    secret("REDIS_PASSWORD", "", "password at Redis"),
    variable("REDIS_NAMESPACE", "", "prefix of channels and keys, for Mastodon up to 4.3"),
    variable("REDIS_SENTINELS", "", "host[:port] of each Sentinel, separated by commas; they say where Redis is"),
    variable("REDIS_SENTINEL_MASTER", "", "name under which the Sentinels know the master"),
    variable("REDIS_SENTINEL_PORT", "26379", "port of Sentinels that are given without one"),
    variable("REDIS_SENTINEL_USERNAME", "REDIS_USER", "user at the Sentinels"),
    secret("REDIS_SENTINEL_PASSWORD", "REDIS_PASSWORD", "password at the Sentinels"),
    variable("CLUSTER_BIND", "", "host:port to listen on for other nodes; without it this node is alone, and no other CLUSTER_ variable counts"),
    variable("CLUSTER_PEERS", "", "host:port of other nodes, separated by commas; a name stands for all its addresses, and is looked up again every 3 seconds"),
    variable("CLUSTER_ADVERTISE", "CLUSTER_BIND, if it is one address", "host:port under which other nodes reach this one"),
    variable("CLUSTER_NODE_ID", "name of the host", "name of this node, which no other node of the cluster may have"),
    variable("CLUSTER_NAME", "flodgatt", "name of the cluster, to tell those on one Redis apart: letters, digits, dots, dashes and underscores"),
    secret("CLUSTER_SECRET", "", "at least 16 characters that all nodes of the cluster know; without it or TLS, CLUSTER_BIND must be loopback"),
    variable("CLUSTER_TLS_CERT", "", "file with this node's certificate (PEM), for TLS between nodes, as server and client, valid for a host in the CLUSTER_PEERS of the others; needs the next two; read again when they change"),
    variable("CLUSTER_TLS_KEY", "", "file with its private key (PEM)"),
    variable("CLUSTER_TLS_CA", "", "file with the certificates (PEM) of those who may certify nodes"),
    variable("CLUSTER_LOG_SECONDS", "60", "for how many seconds (5 to 3600) events are kept, to be sent again when a node was lost"),
    variable("CLUSTER_LOG_MEGABYTES", "256", "how many megabytes of them are kept at most"),
];

/// The value that counts for a variable that is not set, or empty; none if none does.
pub fn default_in_force(environment: &Environment, variable: &Variable) -> Option<String> {
    let (mode, no_sentinels) = (mode(environment), environment.get("REDIS_SENTINELS").is_none());
    let default = match variable.name {
        "LOG_LEVEL" if mode == Mode::Development => "debug",
        "LOG_LEVEL" => "info",
        "DB_NAME" => database::default_name(mode)?,
        name if name.starts_with("REDIS_SENTINEL_") && no_sentinels => return None,
        "REDIS_SENTINEL_USERNAME" | "REDIS_SENTINEL_PASSWORD" => {
            return environment.get(variable.default).map(|_| format!("(that of {})", variable.default));
        }
        _ => variable.default,
    };
    Some(default).filter(|default| !default.is_empty()).map(str::to_owned)
}

/// Which variable counts in place of this one, if one does.
pub fn replaced_by(environment: &Environment, name: &str) -> Option<&'static str> {
    let if_set = |variable: &'static str| environment.get(variable).map(|_| variable);
    match name {
        "REDIS_URL" | "REDIS_NAMESPACE" | "DATABASE_URL" | "DB_POOL" | "DB_PASS" => None,
        "BIND" | "PORT" => if_set("SOCKET"),
        "REDIS_HOST" | "REDIS_PORT" => if_set("REDIS_URL").or_else(|| if_set("REDIS_SENTINELS")),
        _ if name.starts_with("REDIS_") => if_set("REDIS_URL"),
        _ if name.starts_with("DB_") => if_set("DATABASE_URL"),
        _ => None,
    }
}

/// Which variable this one is of no use without, if that one is not set.
pub fn useless_without(environment: &Environment, name: &str) -> Option<&'static str> {
    let is_set = |name: &str| environment.get(name).is_some();
    if name.starts_with("REDIS_SENTINEL_") && is_set(name) && !is_set("REDIS_SENTINELS") && !is_set("REDIS_URL") {
        return Some("REDIS_SENTINELS");
    }
    let of_cluster = name.starts_with("CLUSTER_") && name != "CLUSTER_BIND";
    (of_cluster && !is_set("CLUSTER_BIND")).then_some("CLUSTER_BIND")
}

/// What to say of variables that are set and of no use, as another one is not set.
pub fn ignored_variables(environment: &Environment) -> Vec<String> {
    let mut ignored: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in VARIABLES.iter().map(|variable| variable.name).filter(|name| environment.get(name).is_some()) {
        if let Some(other) = useless_without(environment, name) {
            ignored.entry(other).or_default().push(name);
        }
    }
    ignored.iter().map(|(other, names)| format!("ignored {}, as {other} is not set", names.join(", "))).collect()
}

/// The variable of PostgreSQL's client library that counts in place of this one, which is not set: in development only.
pub fn libpq(environment: &Environment, name: &str) -> Option<&'static str> {
    let variable = match name {
        "DB_HOST" => "PGHOST",
        "DB_PORT" => "PGPORT",
        "DB_USER" => "PGUSER",
        "DB_PASS" => "PGPASSWORD",
        "DB_NAME" => "PGDATABASE",
        _ => return None,
    };
    let counts = mode(environment) == Mode::Development && environment.get("DATABASE_URL").is_none();
    environment.get(variable).filter(|_| counts && environment.get(name).is_none()).map(|_| variable)
}

/// What to say of variables that begin as those of a cluster do and are none of them.
pub fn unknown_variables(environment: &Environment) -> Vec<String> {
    let known = || VARIABLES.iter().map(|variable| variable.name).filter(|name| name.starts_with("CLUSTER_"));
    let ours = environment.names().filter(|name| name.starts_with("CLUSTER_") && !is_of_a_service(environment, name));
    let unknown = ours.filter(|name| known().all(|one| one != *name));
    let told = unknown.filter_map(|name| {
        let meant = known().min_by_key(|known| distance(name, known))?;
        Some(format!("{name} is no variable of this program: is {meant} meant?"))
    });
    told.collect()
}

/// Whether Kubernetes sets this variable, for a Service whose name begins with "cluster" (Kubernetes documentation,
/// "Service", "Environment variables").
fn is_of_a_service(environment: &Environment, name: &str) -> bool {
    let mut services = environment.names().filter_map(|name| name.strip_suffix("_SERVICE_HOST"));
    services.any(|service| {
        let rest = name.strip_prefix(service);
        rest.is_some_and(|rest| rest.starts_with("_SERVICE_") || rest.starts_with("_PORT"))
    })
}

/// How many bytes have to be put in, taken out or replaced to make one text of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, byte) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, another) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(byte != another);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
