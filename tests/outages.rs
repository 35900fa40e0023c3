//! Redis and PostgreSQL go away, fall silent, and come back: at start and while clients are connected.

mod support;

#[path = "outages/burst.rs"]
mod burst;
#[path = "outages/newcomers.rs"]
mod newcomers;
#[path = "outages/pool.rs"]
mod pool;
#[path = "outages/postgres.rs"]
mod postgres;
#[path = "outages/redis.rs"]
mod redis;
#[path = "outages/start.rs"]
mod start;
