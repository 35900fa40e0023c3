//! A simulated link.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::super::{
    door::{LinkId, Orders},
    edge::Edge,
    holder::{EdgeKey, Holder},
    message::{Notice, Order},
};
use crate::cluster::NodeId;

/// How long a silent peer goes unnoticed.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// One link from an edge to a holder.
pub(super) struct Wire {
    pub link: LinkId,
    /// Who the edge is to the holder.
    pub key: EdgeKey,
    orders: Arc<Orders>,
    to_edge: VecDeque<(Instant, Vec<Notice>)>,
    to_holder: VecDeque<(Instant, Vec<(u64, Order)>)>,
    /// Since when nothing has passed, if nothing can.
    pub stalled: Option<Instant>,
    /// Whether it has ended for good, though not both ends know it yet.
    pub is_dead: bool,
    pub edge_told: bool,
    pub holder_told: bool,
}

impl Wire {
    pub(super) fn open(link: LinkId, edge: &mut Edge, id: &NodeId, holder: &mut Holder, now: Instant) -> Self {
        let orders = Arc::<Orders>::default();
        edge.opened(link, id, Arc::clone(&orders), now);
        let (key, _) = holder.greeted(false);
        let (to_edge, to_holder) = (VecDeque::new(), VecDeque::new());
        Self {
            link,
            key,
            orders,
            to_edge,
            to_holder,
            stalled: None,
            is_dead: false,
            edge_told: false,
            holder_told: false,
        }
    }

    /// The holder's end: what it says goes on its way, and orders that arrived are taken.
    pub(super) fn at_holder(&mut self, holder: &mut Holder, now: Instant, delay: Duration) {
        while let Some((_, orders)) = self.to_holder.pop_front_if(|(at, _)| *at <= now) {
            for (ask, order) in orders {
                holder.order(self.key, ask, order).expect("an edge has one ask for each channel");
            }
        }
        let notices = holder.take_notices(self.key, 64 * 1024, now).expect("the outlet never fills here");
        if !notices.is_empty() {
            let at = self.to_edge.back().map_or(now + delay, |(last, _)| (now + delay).max(*last));
            self.to_edge.push_back((at, notices));
        }
    }

    /// The edge's end: notices that arrived are heard, and its orders go on their way.
    pub(super) fn at_edge(&mut self, edge: &mut Edge, now: Instant, delay: Duration) {
        while let Some((_, notices)) = self.to_edge.pop_front_if(|(at, _)| *at <= now) {
            edge.heard(self.link, notices, now);
        }
        let orders = self.orders.take_now(1_000);
        if !orders.is_empty() {
            let at = self.to_holder.back().map_or(now + delay, |(last, _)| (now + delay).max(*last));
            self.to_holder.push_back((at, orders));
        }
    }

    pub(super) fn closed_at_holder(&self, holder: &mut Holder, now: Instant) {
        holder.lost(self.key, now);
    }
}
