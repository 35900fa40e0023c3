//! What the page is told of the nodes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    super::traffic::{NUMBER_EVENT, NUMBER_PAUSE, NUMBERED},
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
    /// The nodes, and the channels that somebody watches: how many events they had of late, who is to hold them by the ring,
    /// and who is subscribed.
    pub fn view(&self) -> Value {
        let lately: BTreeMap<Channel, u64> = self.traffic.lately().into_iter().collect();
        let state = self.state.lock();
        let subscribed = state.subscribed();
        let wanted: BTreeSet<&Channel> = subscribed.values().flatten().collect();
        let channels = wanted.iter().map(|&channel| {
            let holders = state.ring.holders(channel);
            let subscribed: Vec<&str> =
                subscribed.iter().filter(|(_, at)| at.contains(channel)).map(|(node, _)| node.as_str()).collect();
            json!({
                "channel": channel.as_str(),
                "events": lately.get(channel).copied().unwrap_or_default(),
                "owner": holders.map(|holders| holders.owner.as_str()),
                "standby": holders.and_then(|holders| holders.standby).map(NodeId::as_str),
                "subscribed": subscribed,
            })
        });
        let lists: Vec<String> = NUMBERED.map(|list| list.to_string()).collect();
        // Each list gets one in turn.
        let beat = NUMBER_PAUSE * u32::try_from(lists.len()).unwrap_or(u32::MAX);
        json!({
            "nodes": state.nodes.iter().map(|node| state.tell(node, &subscribed)).collect::<Vec<_>>(),
            "channels": channels.collect::<Vec<_>>(),
            "numbers": { "event": NUMBER_EVENT, "lists": lists, "beat_milliseconds": beat.as_millis() },
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
            "ended_seconds_ago": node.life.ended().map(|at| at.elapsed().as_secs()),
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
            Self::Killed(_) => "killed",
            Self::Left(_) => "left",
        }
    }
}
