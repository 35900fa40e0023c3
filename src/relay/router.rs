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
use crate::{cluster::NodeId, hub::Hub, telemetry::Reminder};

/// How often channels are looked at that wait for time to pass.
const SETTLE: Duration = Duration::from_millis(100);

/// How often silent nodes are looked for.
const REVIEW: Duration = Duration::from_secs(1);

/// If the review comes later than this, the process could not run, and silence says nothing about others.
const ASLEEP: Duration = Duration::from_secs(2);

/// Bytes of notices that this node's holder hands to its edge at once.
const PORTION: usize = 256 * 1024;

/// Orders that are placed at once with this node's holder.
const ORDERS: usize = 1_000;

/// Runs for ever.
pub(super) async fn run(hub: Arc<Hub>, mut edge: Edge, mut letters: mpsc::Receiver<Letter>) {
    let mut interest = Plan::default();
    let (mut settle, mut review) = (tokio::time::interval(SETTLE), tokio::time::interval(REVIEW));
    settle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    review.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reviewed = Instant::now();
    loop {
        tokio::select! {
            letter = letters.recv() => match letter {
                Some(letter) => open(&mut edge, letter),
                None => return,
            },
            changed = hub.interest_changes() => {
                let wanted = interest.changed(changed, Instant::now(), |channel| hub.is_watched(channel));
                edge.want(wanted, Instant::now());
            }
            () = interest.next_departure() => {
                edge.leave(&interest.departures(Instant::now(), |channel| hub.is_watched(channel)));
            }
            _ = settle.tick() => edge.settle(Instant::now()),
            _ = review.tick() => {
                if reviewed.elapsed() > ASLEEP {
                    edge.has_slept(Instant::now());
                }
                reviewed = Instant::now();
                edge.review(reviewed);
            }
        }
    }
}

fn open(edge: &mut Edge, letter: Letter) {
    let now = Instant::now();
    match letter {
        Letter::Open { link, node, orders } => edge.opened(link, &node, orders, now),
        Letter::Notices { link, notices } => edge.heard(link, notices, now),
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
                lane.order(link.orders.take(ORDERS).await);
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
