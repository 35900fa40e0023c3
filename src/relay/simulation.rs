//! Whole clusters in one thread, in simulated time: the cores of several nodes, a Redis that shows all of them one order,
//! and links that delay, stall and break. Everything follows from a seed, so that a failure can be had again.
//! In [`network`] the same with the tasks and the gRPC links of a node.

mod network;
mod node;
mod received;
pub(super) mod record;
mod rule;
mod scenarios;
mod verdict;
mod wire;
mod world;
