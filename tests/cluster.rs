//! Several nodes act as one: every client gets every event once and in order, whatever happens to the nodes.
//!
//! Each scenario runs once in the ordinary suite. `FLODGATT_CLUSTER_RUNS` says how often, each time with other victims and
//! moments; `FLODGATT_CLUSTER_LONG` turns on what takes minutes; `FLODGATT_CLUSTER_LOGS` names a folder for the logs of all
//! nodes. What the clients saw is printed (`-- --nocapture`), one line for each run.

mod support;

#[path = "cluster/attendance.rs"]
mod attendance;
#[path = "cluster/audience.rs"]
mod audience;
#[path = "cluster/change.rs"]
mod change;
#[path = "cluster/crash.rs"]
mod crash;
#[path = "cluster/known.rs"]
mod known;
#[path = "cluster/leave.rs"]
mod leave;
#[path = "cluster/load.rs"]
mod load;
#[path = "cluster/mute.rs"]
mod mute;
#[path = "cluster/namespaces.rs"]
mod namespaces;
#[path = "cluster/partition.rs"]
mod partition;
#[path = "cluster/redis.rs"]
mod redis;
#[path = "cluster/stopped.rs"]
mod stopped;
#[path = "cluster/strangers.rs"]
mod strangers;
#[path = "cluster/tls.rs"]
mod tls;
#[path = "cluster/undisturbed.rs"]
mod undisturbed;
#[path = "cluster/verdict.rs"]
mod verdict;

use audience::Audience;
use load::{CHANNELS, Load, RATE};
use support::Cluster;
use verdict::Verdict;

/// How often each scenario is run.
fn runs() -> usize {
    std::env::var("FLODGATT_CLUSTER_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Whether scenarios that take minutes are run.
fn long() -> bool {
    std::env::var_os("FLODGATT_CLUSTER_LONG").is_some()
}

/// Requires that everybody got everything once and in order, that no node thinks otherwise, and that the cluster comes to
/// rest: all know each other, and Redis serves each channel to owner and standby and nobody else.
async fn all_is_well(cluster: &Cluster, verdict: &Verdict) {
    cluster.nobody_panicked();
    verdict.is_clean();
    cluster.await_formed().await;
    cluster.await_settled().await;
    cluster.knows_of_no_gap().await;
    cluster.nobody_panicked();
}
