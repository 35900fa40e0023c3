//! The task that keeps what this node takes from the cluster equal to what its sessions watch.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use super::{
    door::{Door, Letter, NoEdge},
    edge::Edge,
    holding::{Holding, Lane},
    reconcile::Plan,
};
use crate::{cluster::NodeId, domain::Channel, hub::Hub, telemetry::Reminder};

/// How often channels are looked at that wait for time to pass.
const SETTLE: Duration = Duration::from_millis(100);

/// How often silent nodes are looked for.
const REVIEW: Duration = Duration::from_secs(1);

/// If nothing was due for longer than this, the process could not run, and silence says nothing about others.
const ASLEEP: Duration = Duration::from_secs(2);

/// Bytes of notices that this node's holder hands to its edge at once.
const PORTION: usize = 256 * 1024;

/// Orders that are placed at once with this node's holder.
const ORDERS: usize = 1_000;

/// Runs for ever.
pub(super) async fn run(hub: Arc<Hub>, holding: Arc<Holding>, mut edge: Edge, mut letters: mpsc::Receiver<Letter>) {
    let mut interest = Plan::default();
    let (mut settle, mut review) = (tokio::time::interval(SETTLE), tokio::time::interval(REVIEW));
    settle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    review.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut ran, mut had_heir) = (Instant::now(), true);
    loop {
        let due = tokio::select! {
            letter = letters.recv() => match letter {
                Some(letter) => Due::Letter(letter),
                None => return,
            },
            changed = hub.interest_changes() => Due::Interest(changed),
            () = interest.next_departure() => Due::Departure,
            _ = settle.tick() => Due::Settle,
            _ = review.tick() => Due::Review,
        };
        let now = Instant::now();
        // Before anything is done: whatever is late is late for this reason.
        if now - ran > ASLEEP {
            edge.has_slept(now);
        }
        ran = now;
        match due {
            Due::Letter(letter) => open(&mut edge, letter),
            Due::Interest(changed) => {
                edge.want(interest.changed(changed, now, |channel| hub.is_watched(channel)), now);
            }
            Due::Departure => edge.leave(&interest.departures(now, |channel| hub.is_watched(channel))),
            Due::Settle => edge.settle(now),
            Due::Review => edge.review(now),
        }
        let has_heir = edge.has_heir(now);
        if has_heir != std::mem::replace(&mut had_heir, has_heir) {
            holding.has_heir(has_heir);
        }
    }
}

/// What is to be done next.
enum Due {
    Letter(Letter),
    Interest(Vec<Channel>),
    Departure,
    Settle,
    Review,
}

fn open(edge: &mut Edge, letter: Letter) {
    let now = Instant::now();
    match letter {
        Letter::Open { link, node, orders } => edge.opened(link, &node, orders, now),
        Letter::Notices { link, mut notices, said } => {
            notices.iter_mut().for_each(|notice| notice.grow_older(now - said));
            edge.heard(link, notices, now);
        }
        Letter::Closed { link } => edge.closed(link, now),
    }
}

/// The link of this node to itself: runs until the node stops.
pub(super) async fn own_link(node: NodeId, holding: Arc<Holding>, door: Door) {
    let mut reminder = Reminder::default();
    loop {
        let Ok(link) = door.open(node.clone()).await else { return };
        let lane = holding.greeted(true);
        let orders = async {
            loop {
                lane.order(link.orders.take(ORDERS).await).expect("an edge has one ask for each channel");
            }
        };
        tokio::select! {
            heard = hear(&lane, &link) => if heard.is_err() {
                return;
            },
            () = orders => {}
        }
        if reminder.is_due("slow") {
            tracing::warn!("the sessions of this node did not keep up with its events; taking them from the log");
        }
        link.close().await;
    }
}

/// Carries what the holder says until the edge has not kept up, or is no more.
async fn hear(lane: &Lane, link: &super::door::OpenLink) -> Result<(), NoEdge> {
    while let Ok(notices) = lane.notices(PORTION).await {
        link.hear(notices).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
