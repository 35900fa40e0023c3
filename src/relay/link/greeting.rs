//! What two nodes say first: who they are, and whom they know.

use std::net::{IpAddr, SocketAddr};

use super::{
    proto::{self, refusal::Reason},
    wire::Malformed,
};
use crate::cluster::{Incarnation, NodeId, PeerAddress};

/// Nodes that count in one message.
pub(super) const MOST_MEMBERS: usize = 1_024;

/// Nodes that count in a greeting, which is not to be large: who is welcomed hears of all.
pub(super) const MOST_GREETED: usize = 64;

/// Bytes of a version that are read.
const LONGEST_VERSION: usize = 128;

/// Bytes of a refusal's text that are read.
const LONGEST_TEXT: usize = 512;

/// A process of a node, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Member {
    pub node: NodeId,
    pub incarnation: Incarnation,
    /// `None` if it cannot be reached but by links that are there.
    pub address: Option<PeerAddress>,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Introduction {
    pub sender: Member,
    pub cluster: String,
    pub version: String,
    pub members: Vec<Member>,
}

/// Why one node does not want a link with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub reason: Reason,
    pub text: String,
}

impl Refusal {
    pub(super) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

pub(super) fn member(member: &Member) -> proto::Member {
    proto::Member {
        node: member.node.to_string(),
        incarnation: member.incarnation.0,
        address: member.address.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

pub(super) fn members(all: &[Member]) -> proto::Members {
    proto::Members { members: all.iter().map(member).collect() }
}

pub(super) fn refusal(refusal: &Refusal) -> proto::Refusal {
    proto::Refusal { reason: refusal.reason.into(), text: refusal.text.clone() }
}

fn read_member(member: &proto::Member) -> Result<Member, Malformed> {
    let node = member.node.parse().map_err(|_| Malformed::new("member.node", "is no name of a node"))?;
    let address = match member.address.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| Malformed::new("member.address", "is no address"))?),
    };
    if member.incarnation == 0 {
        return Err(Malformed::new("member.incarnation", "is 0"));
    }
    Ok(Member { node, incarnation: Incarnation(member.incarnation), address })
}

/// The nodes that a peer knows, as far as they can be reached.
pub(super) fn read_members(members: &proto::Members) -> Result<Vec<Member>, Malformed> {
    let read = members.members.iter().take(MOST_MEMBERS).map(read_member);
    let is_reachable = |member: &Member| member.address.as_ref().is_some_and(PeerAddress::is_concrete);
    read.filter(|read| read.as_ref().map_or(true, is_reachable)).collect()
}

/// A greeting, from a node at this address.
pub(super) fn read_greeting(greeting: proto::Greeting, from: IpAddr) -> Result<Introduction, Malformed> {
    let sender = greeting.sender.ok_or(Malformed::new("greeting.sender", "is missing"))?;
    let mut sender = read_member(&sender)?;
    if sender.address.is_none() {
        let port =
            u16::try_from(greeting.port).map_err(|_| Malformed::new("greeting.port", "is not between 0 and 65535"))?;
        sender.address = Some(SocketAddr::new(from, port).into());
    }
    sender.address = sender.address.filter(PeerAddress::is_concrete);
    introduction(sender, greeting.cluster, greeting.version, greeting.members, "greeting.cluster")
}

/// The answer of the node at this address.
pub(super) fn read_welcome(welcome: proto::Welcome) -> Result<Introduction, Malformed> {
    let sender = welcome.sender.ok_or(Malformed::new("welcome.sender", "is missing"))?;
    introduction(read_member(&sender)?, welcome.cluster, welcome.version, welcome.members, "welcome.cluster")
}

fn introduction(
    sender: Member,
    cluster: String,
    version: String,
    members: Option<proto::Members>,
    field: &'static str,
) -> Result<Introduction, Malformed> {
    // As long as the name of a node may be: what the name of a cluster may be is for the configuration to say.
    if cluster.len() > NodeId::MAX_LENGTH {
        return Err(Malformed::new(field, "is too long"));
    }
    let members = read_members(&members.unwrap_or_default())?;
    Ok(Introduction { sender, cluster, version: start_of(version, LONGEST_VERSION), members })
}

pub(super) fn read_refusal(refusal: proto::Refusal) -> Refusal {
    Refusal { reason: refusal.reason(), text: start_of(refusal.text, LONGEST_TEXT) }
}

fn start_of(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}
