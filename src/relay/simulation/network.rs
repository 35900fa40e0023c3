//! The same with everything that a node runs in a cluster: hub, router, ticks and gRPC links, on the simulated network of
//! `turmoil`. Only TCP and Redis are played. Connections are lost in it as they really are: what is dropped is not sent
//! again, so that its connection says nothing more until the other end asks whether it is still there; what is held
//! arrives in the end.
//!
//! From the seed follow what is done and when, what is published, how long each message takes and which one is dropped,
//! incarnations and pauses between calls. Not so the order in which the standard library's hash maps are read and in
//! which tokio asks the branches of a `select!`; runs of one seed are alike, not equal. Who wants to see a failure again
//! tries its seed some times: `FLODGATT_SEED=7 FLODGATT_SEEDS=1 FLODGATT_TRIES=20`. What was done is printed.

mod cluster;
mod host;
mod redis;
mod scenarios;
mod verdict;
