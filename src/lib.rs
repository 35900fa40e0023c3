//! Flodgatt: a streaming server for Mastodon.
//!
//! The words of this crate, used for these things and no others:
//!
//! | word | meaning |
//! |---|---|
//! | stream | what a client names: `user`, `public:local`, `hashtag` with a tag, `list` with an id |
//! | channel | a Redis pub/sub topic without namespace: `timeline:public:local`, `timeline:42:notifications` |
//! | event | one message published on a channel: an event name and a payload |
//! | viewer | the account (with token, scopes, languages, role) behind a client connection |
//! | session | one client connection, WebSocket or server-sent events (SSE) |
//! | node | one running process; nodes form a cluster |
//! | cluster | the nodes that share the channels of one Redis, and relay events to each other |
//! | owner | the node that the ring names for a channel: it subscribes at Redis and relays |
//! | standby | the node that would own the channel if the owner were gone: it subscribes and keeps the log, and does not relay |
//! | edge | a node in its role of serving clients |
//! | link | the gRPC stream that an edge holds open to another node |
//! | log | the last seconds of events, in the memory of owner and standby (the *holders*) |
//! | tick | a mark that every node publishes regularly on one common Redis channel |
//! | position | the place of an event in its channel: the last tick before it, and its count in the channel since |
//!
//! Layers: a module imports only from modules that stand above it, and siblings do not know each other. Where names
//! stand in brackets, they are all that it imports beyond the first two layers. A test reads the imports and holds them
//! against this table.
//!
//! | layer | modules |
//! |---|---|
//! | vocabulary | `domain` |
//! | the process | `lifecycle`, `telemetry` |
//! | parts | `cluster`, `hub`, `upstream`, `store` |
//! | flow | `relay` (cluster, hub, upstream), `delivery` (hub, store, upstream), `session` (hub, store) |
//! | edges | `http` (hub, store, session, upstream) |
//! | configuration | `config` |
//! | wiring | `app` |
//! | programs | `commands`, `demo` |

// Stricter than what Cargo.toml asks of tests too.
#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::needless_pass_by_value)]
#![warn(clippy::redundant_closure_for_method_calls, clippy::too_many_lines)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod app;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod delivery;
pub mod demo;
pub mod domain;
pub mod http;
pub mod hub;
pub mod lifecycle;
pub mod relay;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod upstream;
