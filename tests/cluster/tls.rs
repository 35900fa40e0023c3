//! Nodes that believe each other's certificates only.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::support::process::Folder;
use crate::support::*;
use crate::{Audience, CHANNELS, Load, RATE, all_is_well};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Where peers are known to be in these tests, as in `CLUSTER_PEERS`.
const HOST: &str = "127.0.0.1";

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate's content, for a host.
fn certificate(host: &str) -> CertificateParams {
    CertificateParams::new([host.to_owned()]).unwrap()
}

/// The files of all nodes.
#[derive(Clone)]
struct Files(Rc<Folder>);

impl Files {
    fn new() -> Self {
        Self(Rc::new(Folder::new("certificates")))
    }

    fn path(&self, node: usize, what: &str) -> PathBuf {
        self.0.path().join(format!("{node}-{what}.pem"))
    }

    /// Whom a node believes from now on.
    fn believes(&self, node: usize, authorities: &[&Authority]) {
        let text: String = authorities.iter().map(|authority| authority.pem()).collect();
        fs::write(self.path(node, "authorities"), text).unwrap();
    }

    /// What a node shows from now on.
    fn shows(&self, node: usize, params: &CertificateParams, issuer: &Authority) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        fs::write(self.path(node, "certificate"), certificate.pem()).unwrap();
        fs::write(self.path(node, "key"), key.serialize_pem()).unwrap();
    }

    fn given_to(&self, node: usize, options: ServerOptions) -> ServerOptions {
        let path = |what| self.path(node, what).to_string_lossy().into_owned();
        options
            .env("CLUSTER_TLS_CERT", path("certificate"))
            .env("CLUSTER_TLS_KEY", path("key"))
            .env("CLUSTER_TLS_CA", path("authorities"))
    }
}

/// So many nodes with good certificates of one authority.
fn cluster(files: &Files, nodes: usize, authority: &Authority) -> ClusterOptions {
    for node in 0..nodes {
        files.believes(node, &[authority]);
        files.shows(node, &certificate(HOST), authority);
    }
    let files = files.clone();
    Cluster::of(nodes).each(move |node, options| files.given_to(node, options))
}

#[tokio::test]
async fn nodes_with_certificates_serve_everybody_and_the_death_of_one_loses_nothing() {
    let (files, authority) = (Files::new(), authority("authority"));
    let cluster = cluster(&files, 3, &authority).start().await;
    let victim = cluster.random_node();
    let edges = cluster.others(&[victim]);
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(1.0).await;
    let verdict = load.finish(&cluster, &audience, "with certificates").await;
    all_is_well(&cluster, &verdict).await;

    let load = Load::begin(&cluster, &mut audience, RATE);
    load.newcomers(&cluster, &mut audience, &edges).await;
    cluster.kill(victim);
    load.note(&format!("node {victim} is dead"));
    load.seconds(4.0).await;
    let verdict = load.finish(&cluster, &audience, "kill -9 with certificates").await;
    all_is_well(&cluster, &verdict).await;
}

/// Makes all links anew, one node after the other, and requires that they come back.
async fn link_anew(cluster: &Cluster, load: &Load) {
    for node in cluster.live() {
        for way in cluster.ways_of(node) {
            way.cut();
        }
        load.seconds(0.5).await;
        cluster.await_formed().await;
    }
}

#[tokio::test]
async fn an_authority_is_replaced_step_by_step_while_events_flow_and_the_old_one_counts_no_more() {
    let (files, old, new) = (Files::new(), authority("old"), authority("new"));
    // What an edge asked for over a link that ended is held for as long as the log is.
    let mut cluster = cluster(&files, 3, &old).env("CLUSTER_LOG_SECONDS", "10").start().await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(0.5).await;
    for node in 0..3 {
        files.believes(node, &[&old, &new]);
    }
    load.note("everybody believes both");
    link_anew(&cluster, &load).await;
    for node in 0..3 {
        files.shows(node, &certificate(HOST), &new);
    }
    load.note("everybody shows what the new one has signed");
    link_anew(&cluster, &load).await;
    for node in 0..3 {
        files.believes(node, &[&new]);
    }
    load.note("nobody believes the old one");
    link_anew(&cluster, &load).await;

    for (node, issuer) in [(3, &new), (4, &old)] {
        files.believes(node, &[&old, &new]);
        files.shows(node, &certificate(HOST), issuer);
    }
    let added = cluster.add().await;
    cluster.await_formed().await;
    load.note(&format!("node {added} with a new certificate has joined"));
    let (_, stranger) = cluster.begin_to_add(|options| options).await;
    let line = stranger.wait_for_log(|line| is_refusal(line, "does not believe who signed")).await;
    println!("  the node with an old one: {}", line.text);
    load.seconds(1.0).await;
    drop(stranger);
    let verdict = load.finish(&cluster, &audience, "authority replaced").await;
    all_is_well(&cluster, &verdict).await;
    for node in 0..3 {
        let read = |line: &LogLine| line.text.contains("read the certificates for links to other nodes again");
        let times = cluster.node(node).logs().into_iter().filter(read).count();
        assert!(times >= 3, "node {node} has read its files {times} times");
    }
}

/// Whether a line says to an operator that there is no link, with these words.
fn is_refusal(line: &LogLine, words: &str) -> bool {
    (line.text.contains("WARN") || line.text.contains("ERROR")) && line.text.contains(words)
}

#[tokio::test]
async fn a_node_with_a_certificate_that_is_no_good_gets_nothing_and_both_sides_are_told_why() {
    let (files, authority, stranger) = (Files::new(), authority("authority"), authority("a stranger"));
    let mut cluster = cluster(&files, 2, &authority).start().await;
    let mut audience = Audience::gather(&cluster, 50, &[0, 1]).await;
    let expired = || {
        let mut params = certificate(HOST);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        params
    };
    let cases = [
        ("for another host", certificate("elsewhere.example"), &authority, "is not valid for 127.0.0.1"),
        ("expired", expired(), &authority, "has expired"),
        ("signed by a stranger", certificate(HOST), &stranger, "signed by nobody in CLUSTER_TLS_CA"),
    ];
    for (number, (what, params, issuer, words)) in cases.into_iter().enumerate() {
        files.believes(2 + number, &[&authority]);
        files.shows(2 + number, &params, issuer);
        let load = Load::begin(&cluster, &mut audience, RATE);
        let (index, refused) = cluster.begin_to_add(|options| options).await;
        let there = cluster.node(0).wait_for_log(|line| is_refusal(line, words)).await;
        println!("  {what}, said there: {}", there.text);
        let here = refused.wait_for_log(|line| is_refusal(line, "no link")).await;
        println!("  {what}, said here: {}", here.text);
        load.seconds(1.0).await;
        load.finish(&cluster, &audience, what).await.is_clean();
        cluster.finish_adding(index, refused).await;
        for node in [0, 1, index] {
            let (expected, node) = (if node == index { 1.0 } else { 2.0 }, cluster.node(node));
            assert_eq!(node.metric("flodgatt_cluster_nodes", &[]).await, expected);
        }
        for problem in ["CLUSTER_BIND is of no use", "no link to a node"] {
            let said = cluster.node(0).logs().into_iter().filter(|line| line.text.contains(problem)).count();
            assert!(said <= 2 * (number + 1), "{said} times: {problem}");
        }
        cluster.kill(index);
    }
    cluster.nobody_panicked();
}
