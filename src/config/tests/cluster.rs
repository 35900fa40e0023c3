use std::time::Duration;

use super::*;
use crate::cluster::{NodeId, TlsFiles};

const SECRET: &str = "correct-horse-battery";

fn read(pairs: &[(&str, &str)]) -> Option<ClusterConfig> {
    Config::read(&environment(pairs)).unwrap_or_else(|error| panic!("{error}")).cluster
}

/// With a node that listens on loopback.
fn local(pairs: &[(&str, &str)]) -> ClusterConfig {
    read(&[&[("CLUSTER_BIND", "127.0.0.1:4500")], pairs].concat()).unwrap()
}

fn local_error(pairs: &[(&str, &str)]) -> String {
    error(&[&[("CLUSTER_BIND", "127.0.0.1:4500")], pairs].concat())
}

#[test]
fn without_an_address_to_listen_on_a_node_is_alone_and_nothing_else_counts() {
    let nonsense = [
        ("CLUSTER_PEERS", "nonsense"),
        ("CLUSTER_ADVERTISE", "nonsense"),
        ("CLUSTER_NODE_ID", "non sense"),
        ("CLUSTER_NAME", "non sense"),
        ("CLUSTER_SECRET", "short"),
        ("CLUSTER_TLS_KEY", "alone"),
        ("CLUSTER_LOG_SECONDS", "0"),
        ("CLUSTER_LOG_MEGABYTES", "x"),
    ];
    assert_eq!(read(&[]), None);
    assert_eq!(read(&nonsense), None);
    assert_eq!(read(&[&[("CLUSTER_BIND", "")], &nonsense[..]].concat()), None);
    for pair in nonsense {
        assert!(local_error(&[pair]).starts_with("CLUSTER_"), "{pair:?} is nonsense");
    }
}

#[test]
fn an_address_on_loopback_is_enough() {
    let config = local(&[]);
    assert_eq!(config.bind.to_string(), "127.0.0.1:4500");
    assert_eq!(config.advertise, Some(config.bind.clone()));
    assert_eq!((config.peers.len(), config.secret, config.tls), (0, None, None));
    assert_eq!((config.node, config.name.as_str()), (NodeId::of_host().unwrap(), "flodgatt"));
    assert_eq!((config.log_seconds, config.log_bytes), (Duration::from_secs(60), 256_000_000));
}

#[test]
fn empty_variables_of_the_cluster_count_as_missing() {
    let names = VARIABLES.iter().map(|variable| variable.name).filter(|name| name.starts_with("CLUSTER_"));
    let empty: Vec<(&str, &str)> = names.filter(|name| *name != "CLUSTER_BIND").map(|name| (name, "")).collect();
    assert_eq!(empty.len(), 10);
    assert_eq!(local(&empty), local(&[]));
}

#[test]
fn everything_can_be_set() {
    let config = read(&[
        ("CLUSTER_BIND", " 0.0.0.0:4500 "),
        ("CLUSTER_PEERS", "nodes:4500, 192.0.2.1:4501 ,[2001:db8::1]:4502,,nodes:4500"),
        ("CLUSTER_ADVERTISE", "node-1.example:4510"),
        ("CLUSTER_NODE_ID", "node-1"),
        ("CLUSTER_NAME", "Mastodon_2"),
        ("CLUSTER_SECRET", SECRET),
        ("CLUSTER_TLS_CERT", "/tls/tls.crt"),
        ("CLUSTER_TLS_KEY", "/tls/tls.key"),
        ("CLUSTER_TLS_CA", "/tls/ca.crt"),
        ("CLUSTER_LOG_SECONDS", "5"),
        ("CLUSTER_LOG_MEGABYTES", "1"),
    ])
    .unwrap();
    let peers: Vec<String> = config.peers.iter().map(ToString::to_string).collect();
    assert_eq!(config.bind.to_string(), "0.0.0.0:4500");
    assert_eq!(peers, ["nodes:4500", "192.0.2.1:4501", "[2001:db8::1]:4502"]);
    assert_eq!(config.advertise.unwrap().to_string(), "node-1.example:4510");
    assert_eq!((config.node.as_str(), config.name.as_str()), ("node-1", "Mastodon_2"));
    assert!(config.secret.unwrap().expose() == SECRET);
    let files = ["/tls/tls.crt", "/tls/tls.key", "/tls/ca.crt"].map(PathBuf::from);
    let [certificate, key, authorities] = files;
    assert_eq!(config.tls, Some(TlsFiles { certificate, key, authorities }));
    assert_eq!((config.log_seconds, config.log_bytes), (Duration::from_secs(5), 1_000_000));
}

#[test]
fn peers_are_told_the_address_to_listen_on_only_if_it_is_one() {
    for (bind, advertised) in [
        ("192.0.2.1:4500", Some("192.0.2.1:4500")),
        ("node.example:4500", Some("node.example:4500")),
        ("[2001:db8::1]:4500", Some("[2001:db8::1]:4500")),
        ("0.0.0.0:4500", None),
        ("[::]:4500", None),
        ("192.0.2.1:0", None),
    ] {
        let config = read(&[("CLUSTER_BIND", bind), ("CLUSTER_SECRET", SECRET)]).unwrap();
        assert_eq!(config.advertise.map(|address| address.to_string()).as_deref(), advertised, "{bind}");
    }
}

#[test]
fn an_address_that_nobody_can_connect_to_is_an_error() {
    for variable in ["CLUSTER_PEERS", "CLUSTER_ADVERTISE"] {
        for address in ["0.0.0.0:4500", "[::]:4500", "node:0"] {
            let error = local_error(&[(variable, address)]);
            assert!(error.starts_with(&format!("{variable}: nobody can connect to {address}; ")), "{error}");
        }
    }
}

#[test]
fn an_address_that_is_none_is_an_error_that_names_its_variable() {
    for variable in ["CLUSTER_BIND", "CLUSTER_PEERS", "CLUSTER_ADVERTISE"] {
        for address in ["node", "::1:4500", "node:65536", ":4500", "http://node:4500"] {
            let error = local_error(&[(variable, address)]);
            assert!(error.starts_with(&format!("{variable}: {address:?}")), "{error}");
        }
    }
    assert!(local_error(&[("CLUSTER_PEERS", "good:4500,bad")]).starts_with("CLUSTER_PEERS: \"bad\" has no port"));
}

#[test]
fn an_address_is_refused_in_words_that_say_what_to_write() {
    for (variable, text, words) in [
        ("CLUSTER_PEERS", "127.0.0.1:4601 127.0.0.1:4602", "separate entries by commas"),
        ("CLUSTER_PEERS", "a:4601;b:4602", "separate entries by commas"),
        ("CLUSTER_PEERS", "http://127.0.0.1:4601", "without http://"),
        ("CLUSTER_ADVERTISE", "4619", "host:port is needed"),
    ] {
        let error = local_error(&[(variable, text)]);
        assert!(error.starts_with(variable) && error.contains(words), "{error}");
    }
    assert!(error(&[("CLUSTER_BIND", "4619")]).contains("host:port is needed, such as 127.0.0.1:4619"));
}

#[test]
fn clients_and_nodes_cannot_be_awaited_at_one_address() {
    for (bind, host, port) in [
        ("127.0.0.1:4000", None, None),
        ("localhost:4000", None, None),
        ("127.0.0.1:4100", Some(""), Some("4100")),
        ("127.0.0.1:4100", Some("0.0.0.0"), Some("4100")),
        ("[::1]:4100", Some("[::1]"), Some("4100")),
    ] {
        let mut pairs = vec![("CLUSTER_BIND", bind)];
        pairs.extend(host.map(|host| ("BIND", host)));
        pairs.extend(port.map(|port| ("PORT", port)));
        let error = error(&pairs);
        assert!(error.starts_with("CLUSTER_BIND: clients connect there already (BIND, PORT)"), "{error}");
    }
    assert!(read(&[("CLUSTER_BIND", "127.0.0.2:4000")]).is_some());
    assert!(read(&[("CLUSTER_BIND", "127.0.0.1:0"), ("PORT", "0")]).is_some());
}

#[test]
fn a_variable_with_a_slip_of_the_pen_is_told_with_the_one_that_is_meant() {
    let told = unknown_variables(&environment(&[
        ("CLUSTER_PEER", "a:1"),
        ("CLUSTER_BINDD", "a:1"),
        ("CLUSTER_NODEID", ""),
        ("CLUSTER_PEERS", "a:1"),
        ("OTHER", "x"),
    ]));
    let words = |unknown: &str, meant: &str| format!("{unknown} is no variable of this program: is {meant} meant?");
    assert_eq!(
        told,
        [
            words("CLUSTER_BINDD", "CLUSTER_BIND"),
            words("CLUSTER_NODEID", "CLUSTER_NODE_ID"),
            words("CLUSTER_PEER", "CLUSTER_PEERS")
        ]
    );
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_are_no_slips() {
    let of_services = [
        ("CLUSTER_SERVICE_HOST", "10.0.0.1"),
        ("CLUSTER_SERVICE_PORT", "80"),
        ("CLUSTER_SERVICE_PORT_HTTP", "80"),
        ("CLUSTER_PORT", "tcp://10.0.0.1:80"),
        ("CLUSTER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("CLUSTER_LOG_SERVICE_HOST", "10.0.0.2"),
        ("CLUSTER_LOG_PORT", "tcp://10.0.0.2:80"),
    ];
    assert_eq!(unknown_variables(&environment(&of_services)), [""; 0]);
    let slip = unknown_variables(&environment(&[("CLUSTER_PORT", "4500")]));
    assert_eq!(slip.len(), 1, "{slip:?}");
}

#[test]
fn beyond_loopback_a_secret_or_tls_is_needed() {
    for bind in ["0.0.0.0:4500", "[::]:4500", "192.0.2.1:4500", "node.example:4500"] {
        let error = error(&[("CLUSTER_BIND", bind)]);
        assert!(error.starts_with(&format!("CLUSTER_BIND: {bind} can be reached by others")), "{error}");
        assert!(error.contains("CLUSTER_SECRET") && error.contains("CLUSTER_TLS_CERT"), "{error}");
        let tls =
            [("CLUSTER_PEERS", "node:1"), ("CLUSTER_TLS_CERT", "a"), ("CLUSTER_TLS_KEY", "b"), ("CLUSTER_TLS_CA", "c")];
        assert!(read(&[&[("CLUSTER_BIND", bind)], &tls[..]].concat()).is_some());
        assert!(read(&[("CLUSTER_BIND", bind), ("CLUSTER_SECRET", SECRET)]).is_some());
    }
    for bind in ["127.0.0.1:0", "[::1]:4500", "localhost:4500"] {
        assert!(read(&[("CLUSTER_BIND", bind)]).is_some(), "{bind}");
    }
}

#[test]
fn a_secret_that_could_be_guessed_is_an_error_that_does_not_tell_it() {
    for secret in ["fifteen-letters", "not all of this is visible", "ünfortunately-ünsendable"] {
        let error = local_error(&[("CLUSTER_SECRET", secret)]);
        assert!(error.starts_with("CLUSTER_SECRET: ") && !error.contains(secret), "{error}");
    }
    assert!(!format!("{:?}", local(&[("CLUSTER_SECRET", SECRET)])).contains(SECRET));
}

#[test]
fn one_file_of_tls_without_the_others_is_an_error_that_names_the_missing_one() {
    let all = ["CLUSTER_TLS_CERT", "CLUSTER_TLS_KEY", "CLUSTER_TLS_CA"];
    for missing in all {
        let given: Vec<_> = all.into_iter().filter(|name| *name != missing).map(|name| (name, "/file")).collect();
        let [one, other] = [given[0].0, given[1].0];
        assert_eq!(local_error(&given), format!("{missing}: is missing, and {one} with {other} needs it"));
    }
    assert_eq!(
        local_error(&[("CLUSTER_TLS_CERT", "/file")]),
        "CLUSTER_TLS_KEY: is missing, and CLUSTER_TLS_CERT needs it"
    );
}

#[test]
fn certificates_without_a_peer_for_which_one_could_be_valid_are_an_error() {
    let tls = [("CLUSTER_TLS_CERT", "a"), ("CLUSTER_TLS_KEY", "b"), ("CLUSTER_TLS_CA", "c")];
    for peers in ["", " , ", "no-.name-:4500"] {
        let error = local_error(&[&[("CLUSTER_PEERS", peers)], &tls[..]].concat());
        assert!(error.starts_with("CLUSTER_PEERS: with certificates"), "{error}");
    }
    for peers in ["nodes:4500", "192.0.2.1:4500", "[::1]:4500", "no-.name-:1,my_service.:4500"] {
        let config = local(&[&[("CLUSTER_PEERS", peers)], &tls[..]].concat());
        assert!(config.tls.is_some());
    }
}

#[test]
fn names_have_their_rules() {
    assert!(local_error(&[("CLUSTER_NODE_ID", "a b")]).starts_with("CLUSTER_NODE_ID: \"a b\""));
    assert!(local_error(&[("CLUSTER_NAME", "a:b")]).starts_with("CLUSTER_NAME: "));
}

#[test]
fn the_log_has_its_bounds() {
    for (variable, values) in [("CLUSTER_LOG_SECONDS", ["4", "3601"]), ("CLUSTER_LOG_MEGABYTES", ["0", "1000001"])] {
        for value in values {
            assert!(local_error(&[(variable, value)]).starts_with(&format!("{variable}: {value} is not between")));
        }
        assert!(local_error(&[(variable, "1.5")]).starts_with(&format!("{variable}: ")));
    }
    assert_eq!(local(&[("CLUSTER_LOG_SECONDS", "3600")]).log_seconds, Duration::from_secs(3_600));
    assert_eq!(local(&[("CLUSTER_LOG_MEGABYTES", "1000000")]).log_bytes, 1_000_000_000_000);
}

#[test]
fn what_is_set_for_a_node_alone_has_no_effect() {
    let (alone, member) = (environment(&[]), environment(&[("CLUSTER_BIND", "127.0.0.1:4500")]));
    assert_eq!(useless_without(&alone, "CLUSTER_PEERS"), Some("CLUSTER_BIND"));
    assert_eq!(useless_without(&alone, "CLUSTER_BIND"), None);
    assert_eq!(useless_without(&alone, "REDIS_HOST"), None);
    assert_eq!(useless_without(&member, "CLUSTER_PEERS"), None);
}
