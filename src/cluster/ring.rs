//! Which node owns a channel, and which one stands by.
//!
//! The same on every node, for the same nodes, whatever the version and the machine: what is hashed are bytes, with a
//! fixed key. A change of this file that moves channels would make nodes of two versions disagree during an upgrade; a
//! test pins where 1,000 channels are.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, Hash, Hasher},
};

use consistent_hash_ring::RingBuilder;
use siphasher::sip::SipHasher13;

use super::NodeId;
use crate::domain::Channel;

/// How many places on the ring a node has. With 1,024, the fullest of 3 to 20 nodes carries a few hundredths more than the
/// mean; half as many would be too uneven, twice as many cost twice the time to build.
const PLACES: u16 = 1_024;

/// Consistent hashing of channels over nodes: when a node comes or goes, only what it takes or had is moved.
pub struct Ring {
    nodes: Vec<NodeId>,
    places: consistent_hash_ring::Ring<Place, Pinned>,
}

/// Who is to hold a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holders<'a> {
    /// Who subscribes and relays.
    pub owner: &'a NodeId,
    /// Who subscribes and keeps the log: the owner in the ring without the owner. `None` if there is only one node.
    pub standby: Option<&'a NodeId>,
}

impl Ring {
    /// The ring of these nodes, in any order; repeated ones count once.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let nodes: BTreeSet<NodeId> = nodes.into_iter().collect();
        let nodes: Vec<NodeId> = nodes.into_iter().collect();
        // In the order of their positions each goes to the end of the crate's list. In any other, most of the list would
        // be moved for each of them.
        let places = RingBuilder::new(Pinned).vnodes(1).nodes_iter(places(&nodes)).build();
        Self { nodes, places }
    }

    /// Its nodes, in the order of their names.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Who is to hold the channel; `None` if there are no nodes.
    pub fn holders(&self, channel: &Channel) -> Option<Holders<'_>> {
        let place = self.places.try_get(Bytes(channel.as_str().as_bytes()))?;
        let node = |number: u16| &self.nodes[usize::from(number)];
        let standby = (place.standby != place.owner).then(|| node(place.standby));
        Some(Holders { owner: node(place.owner), standby })
    }

    /// Who is to subscribe to the channel and relay it; `None` if there are no nodes.
    pub fn owner(&self, channel: &Channel) -> Option<&NodeId> {
        self.holders(channel).map(|holders| holders.owner)
    }

    /// Who is to keep the channel's log besides: the owner in the ring without the owner. `None` with fewer than two nodes.
    pub fn standby(&self, channel: &Channel) -> Option<&NodeId> {
        self.holders(channel).and_then(|holders| holders.standby)
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ring").field(&self.nodes).finish()
    }
}

/// A place of a node on the ring: it owns the channels between the place before and this one.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    seed: u64,
    owner: u16,
    /// Whose is the next place that is not the owner's: these channels go there when the owner is gone. The owner itself
    /// if there is no other node.
    standby: u16,
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.seed.to_le_bytes());
    }
}

/// The places of all nodes in the order of their positions, at most one at a position.
fn places(nodes: &[NodeId]) -> Vec<Place> {
    let numbered = (0..u16::MAX).zip(nodes);
    let mut places: Vec<(u64, Place)> = numbered
        .flat_map(|(owner, node)| {
            (0..PLACES).map(move |number| Place { seed: seed(node, number), owner, standby: owner })
        })
        .map(|place| (Pinned.hash_one(&place), place))
        .collect();
    places.sort_unstable_by_key(|(position, place)| (*position, place.owner));
    // Backwards, and twice around, as the last place is followed by the first.
    let mut after: Option<(u16, u16)> = None;
    for index in (0..places.len()).rev().chain((0..places.len()).rev()) {
        let place = &mut places[index].1;
        if let Some((owner, standby)) = after {
            place.standby = if owner == place.owner { standby } else { owner };
        }
        after = Some((place.owner, place.standby));
    }
    // Of places that hash alike the first counts; the next one is behind it, as its standby.
    places.dedup_by_key(|(position, _)| *position);
    places.into_iter().map(|(_, place)| place).collect()
}

/// What the position of a node's place is made from. Names have no NUL in them.
fn seed(node: &NodeId, number: u16) -> u64 {
    let mut hasher = Pinned.build_hasher();
    hasher.write(node.as_str().as_bytes());
    hasher.write(&[0]);
    hasher.write(&number.to_le_bytes());
    hasher.finish()
}

/// Hashed as they are: how `str` and slices hash themselves is up to the standard library.
struct Bytes<'a>(&'a [u8]);

impl Hash for Bytes<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}

/// SipHash-1-3 with a key that never changes.
#[derive(Clone)]
struct Pinned;

impl BuildHasher for Pinned {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(b"flodgatt ring v1")
    }
}

#[cfg(test)]
mod tests;
