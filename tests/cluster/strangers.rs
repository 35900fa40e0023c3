//! Those who come to the port for peers and do not belong there.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

use crate::support::{self, *};
use crate::{Audience, Load, RATE, all_is_well};

const CHANNELS: usize = 50;

/// Runs a load under two nodes while a third process with these options tries to join; requires that it says why it may
/// not, in a line that names these words, or that one of the two does, and that nobody is disturbed.
async fn is_refused(what: &str, words: &[&str], options: impl FnOnce(ServerOptions) -> ServerOptions) {
    is_refused_by(Cluster::of(2), what, words, options).await;
}

async fn is_refused_by(
    cluster: ClusterOptions,
    what: &str,
    words: &[&str],
    options: impl FnOnce(ServerOptions) -> ServerOptions,
) {
    let mut cluster = cluster.start().await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    load.seconds(0.5).await;
    let (_, stranger) = cluster.begin_to_add(options).await;
    let line = eventually("a line that says why", || async {
        let logs = [stranger.logs(), cluster.node(0).logs(), cluster.node(1).logs()].concat();
        logs.into_iter().find(|line| {
            let is_serious = line.text.contains("WARN") || line.text.contains("ERROR");
            is_serious && words.iter().all(|word| line.text.contains(word))
        })
    })
    .await;
    println!("  {}", line.text);
    load.seconds(2.0).await;
    let verdict = load.finish(&cluster, &audience, what).await;
    verdict.is_clean();
    // It serves its own clients, alone, until it ends; nobody else has a link to it.
    cluster.await_formed().await;
    drop(stranger);
    all_is_well(&cluster, &verdict).await;
}

#[tokio::test]
async fn a_node_with_the_id_of_another_is_refused_and_the_other_goes_on() {
    is_refused("same id", &["node-0", "CLUSTER_NODE_ID"], |options| options.env("CLUSTER_NODE_ID", "node-0")).await;
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused() {
    is_refused("another cluster", &["CLUSTER_NAME"], |options| options.env("CLUSTER_NAME", "elsewhere")).await;
}

const SECRET: &str = "a-secret-of-more-than-thirty-two-characters";

#[tokio::test]
async fn a_node_with_another_secret_is_refused() {
    let cluster = Cluster::of(2).env("CLUSTER_SECRET", SECRET);
    let other = format!("{SECRET}-and-another-one");
    is_refused_by(cluster, "another secret", &["secret"], |options| options.env("CLUSTER_SECRET", other)).await;
}

#[tokio::test]
async fn a_node_without_the_secret_is_refused() {
    let cluster = Cluster::of(2).env("CLUSTER_SECRET", SECRET);
    is_refused_by(cluster, "no secret", &["secret"], |options| options.without("CLUSTER_SECRET")).await;
}

#[tokio::test]
async fn peers_that_are_not_there_and_names_that_mean_nothing_disturb_nobody() {
    let mut cluster = Cluster::start(2).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    let nobody = support::process::free_port();
    let peers = format!("nowhere.invalid:4500,127.0.0.1:{nobody},{}", cluster.seeds().join(","));
    let (added, starting) = cluster.begin_to_add(|options| options.env("CLUSTER_PEERS", peers)).await;
    cluster.finish_adding(added, starting).await;
    cluster.await_formed().await;
    load.seconds(2.0).await;
    let verdict = load.finish(&cluster, &audience, "useless peers").await;
    all_is_well(&cluster, &verdict).await;
}

#[tokio::test]
async fn rubbish_sent_to_the_port_for_peers_disturbs_nobody() {
    let cluster = Cluster::start(3).await;
    let mut audience = Audience::gather(&cluster, CHANNELS, &[0, 1, 2]).await;
    let load = Load::begin(&cluster, &mut audience, RATE);
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut idle = Vec::new();
    for round in 0..10 {
        load.further(25).await;
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(10_000).collect();
        let rubbish: [Vec<u8>; 8] = [
            b"".to_vec(),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            noise.clone(),
            // A frame that is longer than any may be; frames of kinds that do not exist; headers that are no headers.
            [PREFACE, b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"].concat(),
            [PREFACE, &noise].concat(),
            [PREFACE, b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff"].concat(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            vec![b'A'; 1 << 20],
        ];
        for bytes in rubbish {
            let mut wire = Wire::open(Address::parse(&format!("127.0.0.1:{}", cluster.peer_port(round % 3)))).await;
            let _ = wire.try_send(&bytes).await;
            idle.push(wire);
        }
    }
    load.seconds(1.0).await;
    drop(idle);
    let verdict = load.finish(&cluster, &audience, "rubbish for peers").await;
    all_is_well(&cluster, &verdict).await;
}

/// Keeps many connections open that say nothing, and opens each again as soon as it is cut.
fn flood(from: &'static str, port: u16) -> tokio::task::JoinSet<()> {
    let idle = move || async move {
        loop {
            let socket = TcpSocket::new_v4().expect("there are sockets");
            socket.bind(SocketAddr::new(from.parse().expect("it is an address"), 0)).expect("all of 127/8 is here");
            if let Ok(mut stream) = socket.connect(([127, 0, 0, 1], port).into()).await {
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
            tokio::task::yield_now().await;
        }
    };
    (0..400).map(|_| idle()).collect()
}

#[tokio::test]
async fn idle_connections_from_one_address_keep_no_new_node_out() {
    let mut cluster = Cluster::start(2).await;
    let flood = flood("127.0.0.2", cluster.peer_port(0));
    eventually("a full house", || async {
        cluster.node(0).logs().into_iter().find(|line| line.text.contains("have not yet greeted"))
    })
    .await;
    cluster.add().await;
    cluster.await_formed().await;
    drop(flood);
    cluster.nobody_panicked();
}
