//! What the page is told of the nodes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    super::traffic::{NUMBER_EVENT, NUMBERED},
    Life, Node, Nodes, State,
};
use crate::{
    cluster::{ClusterName, Holders, NodeId},
    domain::Channel,
    upstream::Upstream,
};

/// At which channels each node that runs is subscribed.
type Subscribed<'a> = BTreeMap<&'a NodeId, BTreeSet<Channel>>;

impl Nodes {
    /// The nodes, and the channels on which something flowed lately: who is to hold them by the ring, and who is subscribed.
    pub fn view(&self) -> Value {
        let lately = self.traffic.lately();
        let state = self.state.lock();
        let subscribed = state.subscribed();
        let channels = lately.iter().filter_map(|(channel, events)| {
            let holders = state.ring.holders(channel);
            let subscribed: Vec<&str> =
                subscribed.iter().filter(|(_, at)| at.contains(channel)).map(|(node, _)| node.as_str()).collect();
            let value = json!({
                "channel": channel.as_str(),
                "events": events,
                "owner": holders.map(|holders| holders.owner.as_str()),
                "standby": holders.and_then(|holders| holders.standby).map(NodeId::as_str),
                "subscribed": subscribed,
            });
            // What nobody watches any more does not flow.
            (!subscribed.is_empty()).then_some(value)
        });
        json!({
            "nodes": state.nodes.iter().map(|node| state.tell(node, &subscribed)).collect::<Vec<_>>(),
            "channels": channels.collect::<Vec<_>>(),
            "numbers": { "event": NUMBER_EVENT, "lists": NUMBERED.map(|list| list.to_string()).collect::<Vec<_>>() },
            "most": super::MOST,
        })
    }
}

impl State {
    /// But for the channel of the ticks, which is every node's.
    fn subscribed(&self) -> Subscribed<'_> {
        let ticks = Channel::named(&format!("timeline:flodgatt:{}", ClusterName::default()));
        let running = self.nodes.iter().filter_map(|node| Some((&node.id, node.running()?)));
        let channels = running.map(|(id, running)| match &*running.server.upstream {
            Upstream::Embedded(bus) => (id, bus.channels().into_iter().filter(|one| *one != ticks).collect()),
            Upstream::Redis(_) => (id, BTreeSet::new()),
        });
        channels.collect()
    }

    fn tell(&self, node: &Node, subscribed: &Subscribed<'_>) -> Value {
        let wanted: BTreeSet<&Channel> = subscribed.values().flatten().collect();
        let held = |is_held: fn(Holders<'_>, &NodeId) -> bool| {
            wanted.iter().filter(|one| self.ring.holders(one).is_some_and(|all| is_held(all, &node.id))).count()
        };
        json!({
            "name": node.id.as_str(),
            "port": node.port,
            "state": node.life.label(),
            "clients": node.running().map_or(0, |running| running.server.sessions()),
            "owned": held(|holders, id| holders.owner == id),
            "standby": held(|holders, id| holders.standby == Some(id)),
            "share": self.shares.get(&node.id).copied().unwrap_or_default(),
        })
    }
}

impl Life {
    fn label(&self) -> &'static str {
        match self {
            Self::Runs(_) => "runs",
            Self::Leaves => "leaves",
            Self::Killed => "killed",
            Self::Left => "left",
        }
    }
}
