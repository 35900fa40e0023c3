//! Keeps what this node receives equal to what its sessions watch.

mod presence;
mod reconcile;

use std::sync::Arc;

use crate::{hub::Hub, lifecycle::Lifecycle, upstream::Upstream};

/// Starts the tasks that turn local interest into subscriptions and `subscribed:` keys.
pub fn start(hub: &Arc<Hub>, upstream: &Arc<Upstream>, lifecycle: &Lifecycle) {
    let (own, reconciling) = (lifecycle.clone(), reconcile::run(Arc::clone(hub), Arc::clone(upstream)));
    lifecycle.spawn_essential("reconciler", async move {
        tokio::select! {
            () = reconciling => {}
            () = own.stopping() => {}
        }
    });
    let (own, renewing) = (lifecycle.clone(), presence::run(Arc::clone(hub), Arc::clone(upstream)));
    lifecycle.spawn_essential("key renewal", async move {
        tokio::select! {
            () = renewing => {}
            () = own.stopping() => {}
        }
    });
}
