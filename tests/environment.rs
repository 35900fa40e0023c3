//! That each environment variable takes effect in the real program.

mod support;

#[path = "environment/database.rs"]
mod database;
#[path = "environment/database_tls.rs"]
mod database_tls;
#[path = "environment/errors.rs"]
mod errors;
#[path = "environment/files.rs"]
mod files;
#[path = "environment/listening.rs"]
mod listening;
#[path = "environment/logging.rs"]
mod logging;
#[path = "environment/pgbouncer.rs"]
mod pgbouncer;
#[path = "environment/redis.rs"]
mod redis;
#[path = "environment/refusals_of_postgresql.rs"]
mod refusals_of_postgresql;
#[path = "environment/refusals_of_redis.rs"]
mod refusals_of_redis;
#[path = "environment/sentinel.rs"]
mod sentinel;

use support::*;

/// That events come through: a person watches notifications, one is published, and it arrives.
async fn delivers(server: &Server, redis: &Redis, person: &Person) {
    delivers_in_namespace(server, redis, person, "").await;
}

async fn delivers_in_namespace(server: &Server, redis: &Redis, person: &Person, prefix: &str) {
    let mut ws = Ws::open(server, "/api/v1/streaming?stream=user:notification", &person.token).await;
    let channel = format!("{prefix}timeline:{}:notifications", person.account_id);
    redis.wait_for_subscribers(&channel, 1).await;
    redis.publish(&channel, event("notification", "7")).await;
    let got = ws.next_event().await;
    assert_eq!((got.event.as_str(), got.payload), ("notification", Some("7".into())));
}

/// What `flodgatt check` says in an environment: it reads the same configuration as the server and is done sooner.
async fn check(options: ServerOptions) -> Ended {
    options.argument("check").run_to_end().await
}
