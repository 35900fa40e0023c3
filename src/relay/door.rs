//! How links reach the edge of this node: what they hear goes into its mailbox, what it orders waits for them.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::message::{Notice, Order};
use crate::cluster::NodeId;

/// Letters that may wait for the edge; a link that finds it full waits, and then so does the node at its other end.
const MAILBOX: usize = 64;

/// A number for each link that was ever open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LinkId(pub u64);

/// What an edge hears of its links.
#[derive(Debug)]
pub(super) enum Letter {
    /// There is a link to a node.
    Open { link: LinkId, node: NodeId, orders: Arc<Orders> },
    /// A node has said this at that time.
    Notices { link: LinkId, notices: Vec<Notice>, said: Instant },
    /// The link is no more.
    Closed { link: LinkId },
}

/// Where links are announced.
#[derive(Clone, Debug)]
pub(super) struct Door {
    mailbox: mpsc::Sender<Letter>,
    links_ever: Arc<Mutex<u64>>,
}

/// One open link, as the task sees it that serves it.
#[derive(Debug)]
pub(super) struct OpenLink {
    id: LinkId,
    mailbox: mpsc::Sender<Letter>,
    /// What the edge wants to be sent.
    pub orders: Arc<Orders>,
}

/// Orders that wait to be sent: of several for one ask, the last.
#[derive(Debug, Default)]
pub(super) struct Orders {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    orders: BTreeMap<u64, Order>,
    /// The asks from this number on were not heard of yet by the node.
    unheard: u64,
}

/// The edge is no more: the node stops.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node stops")]
pub(super) struct NoEdge;

/// A door, and the mailbox behind it.
pub(super) fn door() -> (Door, mpsc::Receiver<Letter>) {
    let (mailbox, letters) = mpsc::channel(MAILBOX);
    (Door { mailbox, links_ever: Arc::default() }, letters)
}

impl Door {
    /// A node has welcomed this one.
    pub(super) async fn open(&self, node: NodeId) -> Result<OpenLink, NoEdge> {
        let id = {
            let mut links = self.links_ever.lock();
            *links += 1;
            LinkId(*links)
        };
        let orders = Arc::<Orders>::default();
        let letter = Letter::Open { link: id, node, orders: Arc::clone(&orders) };
        self.mailbox.send(letter).await.map_err(|_| NoEdge)?;
        Ok(OpenLink { id, mailbox: self.mailbox.clone(), orders })
    }
}

impl OpenLink {
    /// The node says this.
    pub(super) async fn hear(&self, notices: Vec<Notice>) -> Result<(), NoEdge> {
        self.mailbox.send(Letter::Notices { link: self.id, notices, said: Instant::now() }).await.map_err(|_| NoEdge)
    }

    /// The link has ended.
    pub(super) async fn close(self) {
        let _ = self.mailbox.send(Letter::Closed { link: self.id }).await;
    }
}

impl Orders {
    /// Puts an order, in place of what still waits for the same ask. Asks are numbered in the order in which they are made.
    pub(super) fn put(&self, ask: u64, order: Order) {
        let mut waiting = self.waiting.lock();
        if order == Order::Release && ask >= waiting.unheard {
            // The node need not hear of what came and went while it did not listen.
            waiting.orders.remove(&ask);
        } else {
            waiting.orders.insert(ask, order);
            self.filled.notify_one();
        }
    }

    /// Waits for orders, and takes up to so many.
    pub(super) async fn take(&self, most: usize) -> Vec<(u64, Order)> {
        loop {
            let taken = self.take_now(most);
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    /// Takes up to so many orders, if there are any.
    pub(super) fn take_now(&self, most: usize) -> Vec<(u64, Order)> {
        let mut waiting = self.waiting.lock();
        let taken: Vec<_> = std::iter::from_fn(|| waiting.orders.pop_first()).take(most).collect();
        if let Some((last, _)) = taken.last() {
            waiting.unheard = waiting.unheard.max(last + 1);
        }
        if !waiting.orders.is_empty() {
            self.filled.notify_one();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Channel;

    #[test]
    fn what_came_and_went_while_the_node_did_not_listen_is_not_kept() {
        let orders = Orders::default();
        orders.put(1, Order::Hold(Channel::named("timeline:1")));
        assert_eq!(orders.take_now(9).len(), 1);
        for ask in 2..1_000 {
            orders.put(ask, Order::Hold(Channel::named("timeline:1")));
            orders.put(ask, Order::Release);
        }
        orders.put(1, Order::Release);
        assert_eq!(orders.take_now(9), [(1, Order::Release)]);
    }
}
