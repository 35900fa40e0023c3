use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn node(name: &str) -> NodeId {
    name.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// As Kubernetes names the pods of a StatefulSet.
fn nodes(count: usize) -> Vec<NodeId> {
    (0..count).map(|number| node(&format!("flodgatt-{number}"))).collect()
}

/// Channels of all kinds, as a busy instance has them.
fn channels(count: u64) -> Vec<Channel> {
    let name = |number: u64| {
        let account = 109_000_000_000_000_000 + number * 7_919;
        match number % 5 {
            0 => format!("timeline:{account}"),
            1 => format!("timeline:{account}:notifications"),
            2 => format!("timeline:access_token:{number}"),
            3 => format!("timeline:system:{account}"),
            _ => format!("timeline:hashtag:tag{number}:local"),
        }
    };
    (0..count).map(|number| Channel::named(&name(number))).collect()
}

fn owners<'a>(ring: &'a Ring, channels: &[Channel]) -> Vec<&'a NodeId> {
    channels.iter().map(|channel| ring.owner(channel).unwrap()).collect()
}

/// How many channels the fullest node owns, against the mean.
fn fullest_to_mean(ring: &Ring, channels: &[Channel]) -> f64 {
    let mut counts = BTreeMap::<&NodeId, u32>::new();
    for owner in owners(ring, channels) {
        *counts.entry(owner).or_default() += 1;
    }
    assert_eq!(counts.len(), ring.nodes().len(), "every node has its share");
    let (fullest, all): (u32, u32) = (*counts.values().max().unwrap(), counts.values().sum());
    f64::from(fullest) * counts.len() as f64 / f64::from(all)
}

#[test]
fn an_empty_ring_names_nobody() {
    let (ring, channel) = (Ring::new([]), Channel::named("timeline:public"));
    assert_eq!((ring.holders(&channel), ring.owner(&channel), ring.standby(&channel)), (None, None, None));
}

#[test]
fn a_node_alone_owns_everything_and_has_no_standby() {
    let ring = Ring::new([node("a")]);
    for channel in channels(1_000) {
        assert_eq!((ring.owner(&channel), ring.standby(&channel)), (Some(&node("a")), None));
    }
}

#[test]
fn of_two_nodes_each_is_the_standby_of_the_other() {
    let ring = Ring::new([node("a"), node("b")]);
    for channel in channels(1_000) {
        let holders = ring.holders(&channel).unwrap();
        let standby = holders.standby.unwrap();
        assert!(holders.owner != standby && ring.nodes().contains(standby), "{holders:?}");
    }
}

#[test]
fn neither_the_order_of_the_nodes_nor_their_repetition_matters() {
    let (channels, nodes) = (channels(1_000), nodes(5));
    let ring = Ring::new(nodes.clone());
    let other = Ring::new(nodes.iter().rev().chain(&nodes).chain(&nodes[2..3]).cloned());
    assert_eq!(ring.nodes(), other.nodes());
    for channel in &channels {
        assert_eq!(ring.holders(channel), other.holders(channel));
    }
}

#[test]
fn places_go_into_the_ring_in_the_order_of_their_positions() {
    let nodes = nodes(20);
    let places = places(&nodes);
    assert!(places.is_sorted_by_key(|place| Pinned.hash_one(place)));
    assert_eq!(places.len(), 20 * usize::from(PLACES));
}

#[test]
fn the_fullest_of_3_to_20_nodes_has_no_more_than_a_tenth_above_the_mean() {
    let channels = channels(100_000);
    for count in 3..=20 {
        let ratio = fullest_to_mean(&Ring::new(nodes(count)), &channels);
        assert!(ratio <= 1.10, "{count} nodes: {ratio}");
    }
}

#[test]
fn a_join_moves_little_more_than_its_fair_share_and_only_to_the_new_node() {
    let channels = channels(100_000);
    let mut before = Ring::new(nodes(1));
    for count in 2..=20 {
        let after = Ring::new(nodes(count));
        let new = &nodes(count)[count - 1];
        let (was, is) = (owners(&before, &channels), owners(&after, &channels));
        let moved: Vec<_> = was.iter().zip(&is).filter(|(was, is)| was != is).collect();
        assert!(moved.iter().all(|(_, is)| **is == new), "{count} nodes: channels moved between old nodes");
        let fair_share = channels.len() as f64 / count as f64;
        let ratio = moved.len() as f64 / fair_share;
        assert!((0.9..=1.1).contains(&ratio), "{count} nodes: {ratio} of the fair share moved");
        before = after;
    }
}

#[test]
fn what_stands_by_for_one_node_is_spread_over_the_others() {
    let (channels, ring) = (channels(100_000), Ring::new(nodes(10)));
    let mut counts = BTreeMap::<&NodeId, u32>::new();
    for holders in channels.iter().filter_map(|channel| ring.holders(channel)) {
        if *holders.owner == ring.nodes()[0] {
            *counts.entry(holders.standby.unwrap()).or_default() += 1;
        }
    }
    let (fullest, all): (u32, u32) = (*counts.values().max().unwrap(), counts.values().sum());
    assert_eq!(counts.len(), 9);
    assert!(f64::from(fullest) * 9.0 / f64::from(all) < 1.5, "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn without_its_owner_a_channel_belongs_to_its_standby(
        names in prop::collection::btree_set("[!-~]{1,128}", 1..9),
        channels in prop::collection::vec("\\PC{0,40}", 1..60),
    ) {
        let nodes: Vec<NodeId> = names.iter().map(|name| node(name)).collect();
        let ring = Ring::new(nodes.clone());
        let without: BTreeMap<&NodeId, Ring> =
            nodes.iter().map(|gone| (gone, Ring::new(nodes.iter().filter(|one| *one != gone).cloned()))).collect();
        for channel in channels.iter().map(|name| Channel::named(name)) {
            let owner = ring.owner(&channel).unwrap();
            prop_assert_eq!(ring.standby(&channel), without[owner].owner(&channel));
            // And whoever else goes, the owner stays.
            for (gone, without) in without.iter().filter(|(gone, _)| **gone != owner) {
                prop_assert_eq!(without.owner(&channel), Some(owner), "{} gone", gone);
            }
        }
    }
}

/// Who holds 1,000 channels in a ring of five, in groups of a hundred: FNV-1a over the numbers of owners and standbys.
fn fingerprints(ring: &Ring) -> Vec<u32> {
    let number = |node: &NodeId| (0..).zip(ring.nodes()).find(|(_, one)| *one == node).unwrap().0;
    let fold = |all: u32, number: u32| (all ^ number).wrapping_mul(16_777_619);
    let groups = channels(1_000);
    let groups = groups.chunks(100).map(|group| group.iter().filter_map(|channel| ring.holders(channel)));
    groups
        .map(|group| {
            group.fold(2_166_136_261, |all, holders| {
                fold(fold(all, number(holders.owner)), number(holders.standby.unwrap()))
            })
        })
        .collect()
}

/// Nodes of different versions must agree. If this fails, channels would move in an upgrade: do not change the figures
/// without a way for both versions to live side by side.
#[test]
fn no_release_moves_channels() {
    let ring = Ring::new(nodes(5));
    let holders = |name: &str| {
        let holders = ring.holders(&Channel::named(name)).unwrap();
        format!("{} and {}", holders.owner, holders.standby.unwrap()).replace("flodgatt-", "")
    };
    let named =
        ["timeline:public", "timeline:public:local", "timeline:1", "timeline:1:notifications", "timeline:hashtag:ä"];
    let expected = ["2 and 1", "3 and 4", "1 and 2", "2 and 1", "2 and 0"];
    assert_eq!(named.map(holders), expected);
    assert_eq!(
        fingerprints(&ring),
        [
            3962323820, 257220765, 4078392228, 2412649086, 2796096501, 2551506362, 438558209, 3010711877, 1870316214,
            2928668189
        ]
    );
}
