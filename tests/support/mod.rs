//! What the integration tests stand on: a real Redis and a real PostgreSQL, the real program, and clients that show exactly
//! what came. Nothing here outlives the test process, and nothing waits for a time: everything waits for a condition, with a
//! deadline.
//!
//! ```ignore
//! mod support;
//! use support::*;
//!
//! #[tokio::test]
//! async fn a_muted_author_is_not_delivered() {
//!     let redis = Redis::start().await;                         // a Redis of its own
//!     let db = Database::create().await;                        // a database of its own in the cluster that all tests share
//!     let alice = db.person("alice").scopes("read:statuses").chosen_languages(&["en"]).await;
//!     let bob = db.account("bob@remote.example").await;
//!     db.mute_for(alice.account_id, bob.account_id, 3600.0).await;
//!     let server = Server::options(&redis, &db).env("DB_POOL", "2").start().await; // or Server::start(&redis, &db)
//!
//!     let mut ws = Ws::open(&server, "/api/v1/streaming?stream=public", &alice.token).await;
//!     let mut sse = Sse::open(&server, "/api/v1/streaming/public", &alice.token).await;
//!     redis.wait_for_subscribers("timeline:public", 1).await;   // nothing confirms a subscription; Redis shows it
//!     server.wait_for_metric("connected_channels", &[("type", "eventsource"), ("channel", "public")], 1.0).await;
//!
//!     redis.publish("timeline:public", update(&status(1, &bob))).await;
//!     ws.silent_until(&redis, "timeline:public").await;         // a marker is the next thing that comes
//!     redis.publish("timeline:public", update(&status(2, &alice).content("<p>hello</p>").spoiler("a"))).await;
//!     assert_eq!(ws.next_event().await.json()["id"], "2");
//!     assert_eq!(sse.next_event().await.event, "marker");
//!     redis.publish(&format!("timeline:access_token:{}", alice.token_id), r#"{"event":"kill"}"#).await;
//!     assert_eq!(ws.expect_close().await, None);                // a close frame without code
//!     assert!(server.terminate().await.success());
//! }
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `redis` | [`Redis`]: publish, subscribers, keys, kill, restart, pause, monitor; `sentinel`: master, replica, [`Sentinel`] |
//! | `postgres`, `database` | [`Postgres`]: the shared cluster, or one of its own; [`Database`]: Mastodon's tables, statements that servers ran |
//! | `people`, `relations` | rows: persons, accounts, tokens, roles; lists, blocks, mutes, domain blocks, filters, settings |
//! | `locks` | [`Lock`](locks::Lock): a table that nobody can read for a while, which makes look-ups slow |
//! | `server`, `logs` | [`Server`]: the program, its environment, log, metrics, memory, end |
//! | `proxy` | [`Proxy`]: connections that fall silent, are cut or refused |
//! | `network` | [`Network`]: hosts with a network of their own, where packets vanish |
//! | `cluster`, `mesh` | [`Cluster`]: several servers that act as one, with proxies between them and before Redis |
//! | `http`, `sse`, `websocket`, `frames`, `wire` | clients, from convenient down to single bytes |
//! | `stage`, `scene` | [`Stage`]: a server with all it needs, subscribed clients on [`Both`] transports; [`Scene`]: the same with Alice |
//! | `statuses` | [`status`], [`update`], [`event`](statuses::event): what Mastodon publishes |
//! | `eventually` | [`eventually`], [`within`]: waiting for a condition |
//! | `process` | processes and folders that end with the test process |

// Each test binary uses a part of this.
#![allow(dead_code, unused_imports)]

pub mod certificates;
pub mod cluster;
pub mod database;
pub mod eventually;
pub mod frames;
pub mod http;
pub mod installation;
pub mod locks;
pub mod logs;
pub mod mesh;
pub mod messages;
pub mod monitor;
pub mod network;
pub mod people;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod redis_options;
pub mod relations;
pub mod resp;
pub mod scene;
pub mod sentinel;
pub mod server;
pub mod server_options;
pub mod sse;
pub mod stage;
pub mod statuses;
pub mod websocket;
pub mod wire;

pub use cluster::{Cluster, ClusterOptions};
pub use database::Database;
pub use eventually::{eventually, eventually_within, within};
pub use frames::Frame;
pub use logs::LogLine;
pub use messages::Message;
pub use network::{Cable, Network};
pub use people::{Account, Person};
pub use postgres::Postgres;
pub use proxy::{Gate, Proxy};
pub use redis::Redis;
pub use redis_options::RedisOptions;
pub use scene::Scene;
pub use sentinel::{Sentinel, SentinelOptions};
pub use server::Server;
pub use server_options::{Ended, ServerOptions, Starting};
pub use sse::{Ending, Sse};
pub use stage::{Both, Stage};
pub use statuses::{event, status, update};
pub use websocket::Ws;
pub use wire::{Address, Wire};
