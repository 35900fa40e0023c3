//! Nodes on hosts of their own, with cables that are cut: whole packets vanish, those that make connections too, and nobody
//! is told. A proxy can only fall silent; it goes on to take connections and to say that it has received something.

use std::rc::Rc;

use crate::partition::{cut_off_from, three_nodes, without_peers};
use crate::support::*;

/// Three hosts; none, and a line that says so, where there can be no such thing.
async fn three_hosts() -> Option<Rc<Network>> {
    if let Some(lack) = Network::lacks() {
        println!("left out, as there can be no network namespaces here: {lack}");
        return None;
    }
    Some(Rc::new(Network::of(3).await))
}

#[tokio::test]
async fn a_node_whose_cable_to_its_peers_is_cut_misses_at_most_what_it_counts_and_the_others_nothing() {
    let Some(network) = three_hosts().await else { return };
    let (cut, mend) =
        (|_: &Cluster, host| network.cut(host, Cable::Peers), |_: &Cluster, host| network.mend(host, Cable::Peers));
    without_peers(three_nodes().on(&network), "cable to the peers cut", 12.0, cut, mend).await;
}

#[tokio::test]
async fn a_node_whose_cable_to_redis_is_cut_is_passed_over_and_nobody_misses_anything() {
    let Some(network) = three_hosts().await else { return };
    let (cut, mend) =
        (|_: &Cluster, host| network.cut(host, Cable::Hub), |_: &Cluster, host| network.mend(host, Cable::Hub));
    cut_off_from(three_nodes().on(&network), "redis by a cut cable", 10.0, cut, mend).await;
}

/// It has no holder but itself, and not even that: it comes back to the logs of the others.
#[tokio::test]
async fn the_clients_of_a_node_all_of_whose_cables_are_cut_get_everything_afterwards() {
    let Some(network) = three_hosts().await else { return };
    let (cut, mend) = (
        |_: &Cluster, host| [Cable::Peers, Cable::Hub].into_iter().for_each(|cable| network.cut(host, cable)),
        |_: &Cluster, host| [Cable::Peers, Cable::Hub].into_iter().for_each(|cable| network.mend(host, cable)),
    );
    cut_off_from(three_nodes().on(&network), "everything by cut cables", 10.0, cut, mend).await;
}
