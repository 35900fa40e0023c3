//! `flodgatt check` for a node of a cluster: its port, its permission to publish ticks, its certificates, and who answers.

use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::{CertificateParams, Issuer, KeyPair, date_time_ymd};
use rustix::process::Signal;

use crate::check::{check, line};
use crate::support::certificates;
use crate::support::process::{Folder, free_port};
use crate::support::*;

const SECRET: &str = "correct-horse-battery-staple";

/// A Redis and a database, and a node that runs there.
struct Scene {
    redis: Redis,
    database: Database,
    port: u16,
}

impl Scene {
    async fn start() -> Self {
        Self { redis: Redis::start().await, database: Database::create().await, port: free_port() }
    }

    /// What the node that runs is told.
    fn node(&self) -> ServerOptions {
        let address = format!("127.0.0.1:{}", self.port);
        let options = Server::options(&self.redis, &self.database).env("CLUSTER_BIND", &address);
        options.env("CLUSTER_NODE_ID", "first").env("CLUSTER_SECRET", SECRET).env("CLUSTER_PEERS", &address)
    }

    /// What another node is told.
    fn other(&self) -> ServerOptions {
        self.node().env("CLUSTER_BIND", "127.0.0.1:0").env("CLUSTER_NODE_ID", "second")
    }
}

#[tokio::test]
async fn the_nodes_that_answer_are_told_and_one_that_does_not_is_no_failure() {
    let scene = Scene::start().await;
    let node = scene.node().start().await;
    let nobody = free_port();
    let peers = format!("localhost:{},127.0.0.1:{nobody},nobody.invalid:4500", scene.port);
    let ended = check(scene.other().env("CLUSTER_PEERS", peers)).await;
    assert!(ended.status.success(), "{}", ended.text());
    line(&ended, "cluster", "node second of the cluster flodgatt, with a secret, and nothing encrypted");
    line(&ended, "listen", "for other nodes on 127.0.0.1:");
    line(&ended, "ok", "ticks may be published on timeline:flodgatt:flodgatt; nodes that listen there: 1");
    let version = env!("CARGO_PKG_VERSION");
    let found = format!("node first at 127.0.0.1:{0} (localhost:{0}): version {version}", scene.port);
    line(&ended, "ok", &found);
    line(&ended, "warning", &format!("no node answers at 127.0.0.1:{nobody}: "));
    line(&ended, "warning", "CLUSTER_PEERS: nobody.invalid:4500 cannot be looked up");
    assert!(!ended.text().contains(SECRET));
    // Nobody was disturbed by it.
    assert!(node.logs().iter().all(|line| line.level() != "WARN" && line.level() != "ERROR"));
    node.wait_for_metric("flodgatt_cluster_nodes", &[], 1.0).await;
}

#[tokio::test]
async fn beside_the_node_itself_everything_is_well() {
    let scene = Scene::start().await;
    let _node = scene.node().start().await;
    let ended = check(scene.node()).await;
    assert!(ended.status.success(), "{}", ended.text());
    line(&ended, "hint", "CLUSTER_BIND");
    line(&ended, "ok", "this node, which runs");
}

#[tokio::test]
async fn who_is_set_up_differently_fails_with_the_variable() {
    let scene = Scene::start().await;
    let _node = scene.node().start().await;
    for (name, value) in [
        ("CLUSTER_SECRET", "another-one-of-sixteen-letters"),
        ("CLUSTER_SECRET", ""),
        ("CLUSTER_NAME", "elsewhere"),
        ("CLUSTER_NODE_ID", "first"),
    ] {
        let ended = check(scene.other().env(name, value)).await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
        assert!(line(&ended, "failed", &format!("127.0.0.1:{}", scene.port)).contains(name), "{}", ended.text());
    }
}

#[tokio::test]
async fn a_user_of_redis_who_may_not_publish_ticks_fails_and_the_rule_that_is_told_is_enough() {
    let scene = Scene::start().await;
    let rule = "ACL SETUSER narrow reset on >pw &timeline:* ~subscribed:* +subscribe +unsubscribe +set +ping";
    scene.redis.command(&rule.split(' ').collect::<Vec<_>>()).await;
    let options = || scene.node().env("REDIS_USER", "narrow").env("REDIS_PASSWORD", "pw");
    let ended = check(options()).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
    let failed = line(&ended, "failed", "no ticks could be published on timeline:flodgatt:flodgatt: ");
    assert!(failed.contains("the user narrow") && failed.ends_with("(REDIS_USER)"), "{failed}");
    let (_, rule) = failed.split_once("; ").unwrap();
    let (rule, _) = rule.split_once(" would").unwrap();
    scene.redis.command(&rule.split(' ').collect::<Vec<_>>()).await;
    let ended = check(options()).await;
    assert!(ended.status.success(), "{}", ended.text());
    let node = options().start().await;
    node.wait_for_metric("flodgatt_cluster_nodes", &[], 1.0).await;
    // A node alone needs no such permission.
    scene.redis.command(&["ACL", "SETUSER", "narrow", "-publish"]).await;
    let alone = check(options().without("CLUSTER_BIND")).await;
    assert!(alone.status.success(), "{}", alone.text());
}

#[tokio::test]
async fn an_address_that_is_not_this_machines_fails() {
    let scene = Scene::start().await;
    let ended = check(scene.node().env("CLUSTER_BIND", "192.0.2.1:4500")).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
    line(&ended, "failed", "cannot listen for other nodes on 192.0.2.1:4500 (CLUSTER_BIND)");
}

#[tokio::test]
async fn listening_on_loopback_for_nodes_that_are_elsewhere_is_a_warning() {
    let scene = Scene::start().await;
    let words = "CLUSTER_BIND: only this machine can connect to 127.0.0.1:";
    let ended = check(scene.node().env("CLUSTER_PEERS", "192.0.2.1:4500")).await;
    line(&ended, "warning", words);
    let ended = check(scene.node().env("CLUSTER_PEERS", "localhost:1")).await;
    assert!(!ended.text().contains(words), "{}", ended.text());
}

#[tokio::test]
async fn a_secret_that_could_be_guessed_and_a_variable_that_is_none_are_warnings() {
    let scene = Scene::start().await;
    let slip = scene.node().env("CLUSTER_PEER", "127.0.0.1:4500");
    let ended = check(slip.env("CLUSTER_SECRET", "aaaaaaaaaaaaaaaab")).await;
    assert!(ended.status.success(), "{}", ended.text());
    line(&ended, "warning", "CLUSTER_SECRET has 2 different characters");
    line(&ended, "warning", "CLUSTER_PEER is no variable of this program: is CLUSTER_PEERS meant?");
    assert!(!ended.text().contains("aaab"));
    assert!(!check(scene.node()).await.text().contains("CLUSTER_SECRET has"));
}

fn with_certificates(options: ServerOptions, folder: &Path) -> ServerOptions {
    let files = [certificates::certificate_file(folder), certificates::key_file(folder), certificates::ca_file(folder)];
    let names = ["CLUSTER_TLS_CERT", "CLUSTER_TLS_KEY", "CLUSTER_TLS_CA"];
    options.envs(names.into_iter().zip(files.map(|file| file.to_string_lossy().into_owned())))
}

#[tokio::test]
async fn nodes_with_good_certificates_answer_each_other() {
    let (scene, folder) = (Scene::start().await, Folder::new("tls"));
    certificates::write_into(folder.path());
    let peers = format!("localhost:{}", scene.port);
    let _node = with_certificates(scene.node().env("CLUSTER_PEERS", &peers), folder.path()).start().await;
    let other = || with_certificates(scene.other().env("CLUSTER_PEERS", &peers), folder.path());
    let ended = check(other()).await;
    assert!(ended.status.success(), "{}", ended.text());
    line(&ended, "cluster", "with certificates and a secret");
    line(&ended, "ok", "node first at ");
    // Another authority.
    let strangers = Folder::new("tls");
    certificates::write_into(strangers.path());
    let ended = check(with_certificates(other(), strangers.path())).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
    assert!(line(&ended, "failed", "TLS").contains("CLUSTER_TLS_CA"), "{}", ended.text());
    // No certificates at all: nothing that could be understood comes back.
    let plain = check(scene.other()).await;
    assert_eq!(plain.status.code(), Some(1), "{}", plain.text());
    let words = "CLUSTER_TLS_CERT is not set here and is set there, or what answers there is no node";
    line(&plain, "failed", words);
}

#[tokio::test]
async fn the_certificates_that_the_readme_makes_are_good() {
    let (scene, folder) = (Scene::start().await, Folder::new("tls"));
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = readme.split("```").filter_map(|block| block.strip_prefix("sh\n"));
    let recipe: String = blocks.filter(|block| block.contains("openssl req")).collect();
    let recipe = recipe.replace("10.0.0.1", "127.0.0.1");
    let made = Command::new("/bin/sh").args(["-ec", &recipe]).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let with = |options: ServerOptions| {
        let files = ["127.0.0.1.pem", "127.0.0.1.key", "ca.pem"].map(|name| folder.path().join(name));
        let names = ["CLUSTER_TLS_CERT", "CLUSTER_TLS_KEY", "CLUSTER_TLS_CA"];
        options.envs(names.into_iter().zip(files.map(|file| file.to_string_lossy().into_owned())))
    };
    let _node = with(scene.node()).start().await;
    let ended = check(with(scene.other())).await;
    assert!(ended.status.success(), "{}", ended.text());
    line(&ended, "ok", "node first at ");
}

#[tokio::test]
async fn a_node_without_certificates_is_told_from_one_with() {
    let (scene, folder) = (Scene::start().await, Folder::new("tls"));
    certificates::write_into(folder.path());
    let _node = scene.node().start().await;
    let ended = check(with_certificates(scene.other(), folder.path())).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
    line(&ended, "failed", "something answers there that is no node of a cluster, or one without CLUSTER_TLS_CERT");
}

#[tokio::test]
async fn certificates_that_others_would_not_believe_fail_with_the_variable() {
    let (scene, folder) = (Scene::start().await, Folder::new("tls"));
    certificates::write_into(folder.path());
    let fails = async |options: ServerOptions, words: &[&str]| {
        let ended = check(options).await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
        let failed = line(&ended, "failed", words[0]);
        assert!(words.iter().all(|word| failed.contains(word)), "{words:?}: {failed}");
    };
    let options = || with_certificates(scene.node(), folder.path());
    let elsewhere = options().env("CLUSTER_PEERS", "127.0.0.9:4500");
    fails(elsewhere, &["CLUSTER_TLS_CERT", "not valid for any host in CLUSTER_PEERS"]).await;
    fails(options().env("CLUSTER_TLS_KEY", "/nowhere/key.pem"), &["CLUSTER_TLS_KEY", "/nowhere/key.pem"]).await;
    let authority = certificates::ca_file(folder.path());
    fails(options().env("CLUSTER_TLS_CERT", authority.to_string_lossy()), &["CLUSTER_TLS_KEY"]).await;
    // By an authority of its own, and out of date.
    let key = KeyPair::generate().unwrap();
    let mut old = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    old.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = old.self_signed(&key).unwrap();
    let issuer = Issuer::from_params(&old, &key);
    let mut expired = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    expired.not_after = date_time_ymd(2020, 1, 1);
    let own = KeyPair::generate().unwrap();
    let expired = expired.signed_by(&own, &issuer).unwrap();
    fs::write(certificates::ca_file(folder.path()), authority.pem()).unwrap();
    fs::write(certificates::certificate_file(folder.path()), expired.pem()).unwrap();
    fs::write(certificates::key_file(folder.path()), own.serialize_pem()).unwrap();
    fails(options(), &["CLUSTER_TLS_CERT", "expired"]).await;
    // The server starts, as it serves its own clients, and says the same.
    let node = options().start().await;
    let is_told = |line: &LogLine| line.level() == "WARN" && line.message().starts_with("CLUSTER_TLS_CERT");
    assert!(node.wait_for_log(is_told).await.message().contains("expired"));
}

#[tokio::test]
async fn something_else_at_a_peers_address_is_told_as_such() {
    let scene = Scene::start().await;
    let ports = [free_port(), scene.redis.port()];
    let _other = Server::options(&scene.redis, &scene.database).env("PORT", ports[0].to_string()).start().await;
    let peers = ports.map(|port| format!("127.0.0.1:{port}"));
    let ended = check(scene.other().env("CLUSTER_PEERS", peers.join(","))).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
    for peer in peers {
        assert!(line(&ended, "failed", &format!("no link to {peer}")).ends_with("what answers there is no node"));
    }
}

#[tokio::test]
async fn a_peer_that_hangs_is_a_warning_as_one_that_is_away() {
    let scene = Scene::start().await;
    let node = scene.node().start().await;
    node.signal(Signal::STOP);
    let ended = check(scene.other()).await;
    assert!(ended.status.success(), "{}", ended.text());
    line(&ended, "warning", &format!("no node answers at 127.0.0.1:{}", scene.port));
}

#[tokio::test]
async fn an_address_for_nodes_that_something_else_has_taken_fails() {
    let scene = Scene::start().await;
    let redis = format!("127.0.0.1:{}", scene.redis.port());
    let ended = check(scene.node().env("CLUSTER_BIND", &redis)).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
    line(&ended, "failed", &format!("{redis} (CLUSTER_BIND), as something else does: something answers there"));
    let _node = scene.node().start().await;
    let ended = check(scene.node().env("CLUSTER_NODE_ID", "second")).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
    line(&ended, "failed", "(CLUSTER_BIND), as something else does: it is the node first");
}

#[tokio::test]
async fn peers_that_are_this_node_alone_are_told_as_such() {
    let scene = Scene::start().await;
    let (own, words) = (format!("127.0.0.1:{}: this node itself", scene.port), "nobody else: name the others");
    let everywhere = format!("0.0.0.0:{}", scene.port);
    for bind in [&format!("127.0.0.1:{}", scene.port), &everywhere] {
        let ended = check(scene.node().env("CLUSTER_BIND", bind)).await;
        assert!(ended.status.success(), "{}", ended.text());
        line(&ended, "ok", &own);
        line(&ended, "hint", words);
    }
    let others = format!("127.0.0.1:{},127.0.0.1:{}", scene.port, free_port());
    let ended = check(scene.node().env("CLUSTER_PEERS", others)).await;
    line(&ended, "ok", &own);
    assert!(!ended.text().contains(words), "{}", ended.text());
}

#[tokio::test]
async fn where_others_are_told_to_call_is_shown() {
    let scene = Scene::start().await;
    line(&check(scene.node()).await, "cluster", &format!("others are told to call 127.0.0.1:{}", scene.port));
    // An address of nobody (RFC 5737).
    let ended = check(scene.node().env("CLUSTER_ADVERTISE", "192.0.2.1:4509")).await;
    assert!(ended.status.success(), "{}", ended.text());
    line(
        &ended,
        "hint",
        "others are told to call 192.0.2.1:4509 (CLUSTER_ADVERTISE), which is no address of this machine",
    );
    line(&check(scene.other()).await, "hint", "CLUSTER_BIND: port 0 stands for another port at each start");
}
