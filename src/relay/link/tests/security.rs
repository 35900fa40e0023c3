//! Who is let in.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use super::{
    super::{
        credential::Credential,
        proto::{self, edge_message},
        transport::{Attentive, Heard},
    },
    hostile::{Edge, greeting},
    strange_holders::holder_that_proves,
    support::{Log, Node, Plan, plan},
};
use crate::cluster::TlsFiles;

fn with_secret(node: &str, secret: &str) -> Plan {
    let mut plan = plan(node);
    plan.config.secret = Some(secret.parse().unwrap());
    plan
}

#[tokio::test]
async fn nodes_that_know_the_secret_are_linked() {
    let (mut a, mut b) = (
        Node::start(with_secret("a", "correct-horse-battery")).await,
        Node::start(with_secret("b", "correct-horse-battery")).await,
    );
    a.finds(&[b.address]);
    a.is_linked_to(&["b"]).await;
    b.is_linked_to(&["a"]).await;
}

#[tokio::test]
async fn a_node_with_another_secret_or_none_gets_no_link_and_is_told_the_variable() {
    for other in [with_secret("a", "correct-horse-batterz"), plan("a")] {
        let (log, _logging) = Log::start();
        let b = Node::start(with_secret("b", "correct-horse-battery")).await;
        let a = Node::start(other).await;
        a.finds(&[b.address]);
        log.says(&["WARN", "no link to a node", "CLUSTER_SECRET"]).await;
        log.says(&["WARN", "CLUSTER_BIND is of no use", "CLUSTER_SECRET"]).await;
        assert!(a.linked.borrow().is_empty() && b.linked.borrow().is_empty());
        assert_eq!(log.count(&["correct-horse"]), 0);
    }
}

#[tokio::test]
async fn who_does_not_know_the_secret_learns_nothing() {
    let b = Node::start(with_secret("b", "correct-horse-battery")).await;
    for given in [None, Some(&b""[..]), Some(b"correct-horse-battery"), Some(&[0; 33])] {
        let stream = TcpStream::connect(b.address).await.unwrap();
        let status = Edge::challenges(stream, given).await.err().expect("it is refused");
        is_refused_without_a_word(&status);
    }
    for proof in ["", "correct-horse-battery", "01234567890123456789012345678901"] {
        let stream = TcpStream::connect(b.address).await.unwrap();
        let (mut edge, said) = Edge::challenges(stream, Some(&[7; 32])).await.unwrap();
        assert_eq!(said.map(|value| value.len()), [32, 32]);
        let greeting = proto::Greeting { proof: proof.as_bytes().to_vec().into(), ..greeting() };
        edge.says(edge_message::Kind::Greeting(greeting)).await;
        is_refused_without_a_word(&edge.is_closed().await.expect("there is a reason"));
    }
}

fn is_refused_without_a_word(status: &Status) {
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "no valid credential"));
    assert!(status.details().is_empty());
}

/// It may be a stranger at an address that was a node's.
#[tokio::test]
async fn a_holder_that_does_not_know_the_secret_learns_nothing_and_gets_no_link() {
    // A proof that was good in another call.
    let other: Credential = Credential::new(&"correct-horse-battery".parse().unwrap(), "test".parse().unwrap());
    let (challenges, proof) = other.answer(&other.challenge()).unwrap();
    let replayed = [challenges.of_holder().to_vec(), proof.as_ref().to_vec()];
    for proof in [[Vec::new(), Vec::new()], [vec![1; 32], vec![2; 32]], replayed] {
        let (log, _logging) = Log::start();
        let (address, received) = holder_that_proves(proof).await;
        let mut known = Node::start(with_secret("known", "correct-horse-battery")).await;
        let a = Node::start(with_secret("a-node", "correct-horse-battery")).await;
        a.finds(&[known.address, address]);
        known.is_linked_to(&["a-node"]).await;
        log.says(&["WARN", "no link to a node", "CLUSTER_SECRET"]).await;
        let received = String::from_utf8_lossy(&received.lock()).into_owned();
        assert!(received.contains("PRI * HTTP/2.0"));
        for word in ["correct-horse", "known", "a-node", &known.address.to_string()] {
            assert!(!received.contains(word), "{word} was told");
        }
        assert_eq!(a.linked.borrow().keys().map(ToString::to_string).collect::<Vec<_>>(), ["known"]);
    }
}

#[tokio::test]
async fn a_node_with_a_secret_leaves_its_own_address_alone() {
    let (log, _logging) = Log::start();
    let mut a = Node::start(with_secret("a", "correct-horse-battery")).await;
    let b = Node::start(with_secret("b", "correct-horse-battery")).await;
    a.finds(&[a.address, b.address]);
    a.is_linked_to(&["b"]).await;
    log.says(&["the address of this node itself"]).await;
    assert_eq!(log.count(&["WARN"]), 0);
}

#[tokio::test]
async fn changed_certificates_are_read_once_however_many_connect() {
    let (log, _logging) = Log::start();
    let (folder, ca) = (Folder::new(), authority());
    let files = write(&folder.0, "b", "nodes.example", &ca, &ca.pem());
    let tls = Arc::new(super::super::Tls::load(&files, ["nodes.example"].into_iter()).unwrap());
    write(&folder.0, "b", "nodes.example", &ca, &ca.pem());
    let accepts = (0..100).map(|_| {
        let (tls, (near, far)) = (Arc::clone(&tls), tokio::io::duplex(64));
        drop(near);
        async move { drop(tls.accept(Attentive::new(Box::new(far), Heard::now())).await) }
    });
    futures_util::future::join_all(accepts).await;
    assert_eq!(log.count(&["INFO", "read the certificates"]), 1);
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("flodgatt-links-{:x}", fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes what a node of this host has, replacing what is there.
fn write(folder: &Path, node: &str, host: &str, issuer: &Issuer<'_, KeyPair>, believed: &str) -> TlsFiles {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let file = |what: &str, content: &str| {
        let (path, new) = (folder.join(format!("{node}-{what}.pem")), folder.join(format!("{node}-{what}.new")));
        fs::write(&new, content).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    };
    TlsFiles {
        certificate: file("certificate", &certificate.pem()),
        key: file("key", &key.serialize_pem()),
        authorities: file("authorities", believed),
    }
}

fn with_tls(node: &str, files: TlsFiles) -> Plan {
    let mut plan = plan(node);
    plan.config.peers = vec!["nodes.example:1".parse().unwrap()];
    plan.config.tls = Some(files);
    plan
}

#[tokio::test]
async fn nodes_with_good_certificates_are_linked_in_both_directions() {
    let (folder, ca) = (Folder::new(), authority());
    let files = |node| write(&folder.0, node, "nodes.example", &ca, &ca.pem());
    let (mut a, mut b) = (Node::start(with_tls("a", files("a"))).await, Node::start(with_tls("b", files("b"))).await);
    a.finds_as("nodes.example", &[b.address]);
    a.is_linked_to(&["b"]).await;
    b.is_linked_to(&["a"]).await;
}

#[tokio::test]
async fn a_holder_whose_certificate_is_for_another_host_or_by_another_authority_gets_no_link() {
    let (folder, ca, stranger) = (Folder::new(), authority(), authority());
    let a = Node::start(with_tls("a", write(&folder.0, "a", "nodes.example", &ca, &ca.pem()))).await;
    let other_host = "its certificate is not valid for nodes.example, but for elsewhere.example";
    let other_issuer = "its certificate is signed by nobody in CLUSTER_TLS_CA here";
    let cases = [("b", "elsewhere.example", &ca, other_host), ("c", "nodes.example", &stranger, other_issuer)];
    for (node, host, issuer, words) in cases {
        let (log, _logging) = Log::start();
        let other = Node::start(with_tls(node, write(&folder.0, node, host, issuer, &ca.pem()))).await;
        a.finds_as("nodes.example", &[other.address]);
        log.says(&["WARN", "no link to a node", words]).await;
        assert!(a.linked.borrow().is_empty());
    }
}

#[tokio::test]
async fn an_edge_whose_certificate_is_for_another_host_or_by_another_authority_is_not_let_in() {
    let (folder, ca, stranger) = (Folder::new(), authority(), authority());
    let b = Node::start(with_tls("b", write(&folder.0, "b", "nodes.example", &ca, &ca.pem()))).await;
    for (node, host, issuer) in [("a", "elsewhere.example", &ca), ("c", "nodes.example", &stranger)] {
        let (log, _logging) = Log::start();
        let other = Node::start(with_tls(node, write(&folder.0, node, host, issuer, &ca.pem()))).await;
        other.finds_as("nodes.example", &[b.address]);
        log.says(&["WARN", "CLUSTER_BIND is of no use", "TLS: its certificate"]).await;
        // The node itself is told as well.
        log.says(&["WARN", "no link to a node", "this node's certificate"]).await;
        assert!(other.linked.borrow().is_empty() && b.linked.borrow().is_empty());
    }
}

/// It is the same at each attempt, however long ago the certificate has expired by then: else it would be logged each time.
#[tokio::test]
async fn an_expired_certificate_is_told_once() {
    let (log, _logging) = Log::start();
    let (folder, ca) = (Folder::new(), authority());
    let a = Node::start(with_tls("a", write(&folder.0, "a", "nodes.example", &ca, &ca.pem()))).await;
    let expired = write(&folder.0, "b", "nodes.example", &ca, &ca.pem());
    let (key, mut params) =
        (KeyPair::generate().unwrap(), CertificateParams::new(["nodes.example".to_owned()]).unwrap());
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    fs::write(&expired.certificate, params.signed_by(&key, &ca).unwrap().pem()).unwrap();
    fs::write(&expired.key, key.serialize_pem()).unwrap();
    let b = Node::start(with_tls("b", expired)).await;
    a.finds_as("nodes.example", &[b.address]);
    a.has_closed("refused", 2).await;
    assert_eq!(log.count(&["WARN", "no link to a node", "TLS: its certificate has expired"]), 1);
    assert!(a.linked.borrow().is_empty() && b.linked.borrow().is_empty());
}

#[tokio::test]
async fn who_speaks_without_tls_is_not_let_in() {
    let (log, _logging) = Log::start();
    let (folder, ca) = (Folder::new(), authority());
    let b = Node::start(with_tls("b", write(&folder.0, "b", "nodes.example", &ca, &ca.pem()))).await;
    let a = Node::start(plan("a")).await;
    a.finds(&[b.address]);
    log.says(&["WARN", "CLUSTER_BIND is of no use", "it does not speak TLS"]).await;
    assert!(a.linked.borrow().is_empty());
}

#[tokio::test]
async fn renewed_certificates_count_without_a_restart() {
    let (log, _logging) = Log::start();
    let (folder, old, new) = (Folder::new(), authority(), authority());
    let mut a = Node::start(with_tls("a", write(&folder.0, "a", "nodes.example", &new, &new.pem()))).await;
    let mut b = Node::start(with_tls("b", write(&folder.0, "b", "nodes.example", &old, &old.pem()))).await;
    a.finds_as("nodes.example", &[b.address]);
    log.says(&["WARN", "no link to a node"]).await;
    write(&folder.0, "b", "nodes.example", &new, &new.pem());
    a.is_linked_to(&["b"]).await;
    b.is_linked_to(&["a"]).await;
    log.says(&["INFO", "read the certificates"]).await;
}

#[tokio::test]
async fn certificates_that_became_rubbish_leave_those_before_in_force() {
    let (log, _logging) = Log::start();
    let (folder, ca) = (Folder::new(), authority());
    let files = |node| write(&folder.0, node, "nodes.example", &ca, &ca.pem());
    let of_b = files("b");
    let (mut a, b) = (Node::start(with_tls("a", files("a"))).await, Node::start(with_tls("b", of_b.clone())).await);
    fs::write(&of_b.certificate, "rubbish").unwrap();
    a.finds_as("nodes.example", &[b.address]);
    a.is_linked_to(&["b"]).await;
    log.says(&["WARN", "CLUSTER_TLS_CERT", "those read before"]).await;
}

#[test]
fn certificates_that_cannot_be_used_are_told_with_the_variable() {
    let (folder, ca) = (Folder::new(), authority());
    let good = write(&folder.0, "a", "nodes.example", &ca, &ca.pem());
    let other = write(&folder.0, "b", "nodes.example", &ca, &ca.pem());
    let empty = folder.0.join("empty.pem");
    fs::write(&empty, "").unwrap();
    let missing = folder.0.join("missing.pem");
    for (files, variable) in [
        (TlsFiles { certificate: missing.clone(), ..good.clone() }, "CLUSTER_TLS_CERT"),
        (TlsFiles { certificate: empty.clone(), ..good.clone() }, "CLUSTER_TLS_CERT"),
        (TlsFiles { key: missing.clone(), ..good.clone() }, "CLUSTER_TLS_KEY"),
        (TlsFiles { key: good.certificate.clone(), ..good.clone() }, "CLUSTER_TLS_KEY"),
        (TlsFiles { key: other.key, ..good.clone() }, "CLUSTER_TLS_KEY"),
        (TlsFiles { authorities: missing, ..good.clone() }, "CLUSTER_TLS_CA"),
        (TlsFiles { authorities: empty, ..good.clone() }, "CLUSTER_TLS_CA"),
    ] {
        let problem = super::super::Tls::load(&files, std::iter::empty()).err().expect("it cannot be used").to_string();
        assert!(problem.starts_with(variable), "{problem}");
    }
}
