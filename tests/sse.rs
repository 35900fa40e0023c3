//! Event streams (SSE): what their bytes are, heartbeats, and clients that go away.

mod support;

#[path = "sse/events.rs"]
mod events;
#[path = "sse/heartbeat.rs"]
mod heartbeat;
#[path = "sse/leaving.rs"]
mod leaving;

use support::*;

/// The type of a session in metrics.
const KIND: (&str, &str) = ("type", "eventsource");

/// A stream of an account's home feed, opened by a person of its own, and the channel of that feed.
async fn home(stage: &Stage) -> (Sse, String) {
    let viewer = stage.db.person(&format!("viewer{:x}", fastrand::u64(..))).await;
    let channel = format!("timeline:{}", viewer.account_id);
    let stream = Sse::open(&stage.server, "/api/v1/streaming/user", &viewer.token).await;
    stage.redis.wait_for_subscribers(&channel, 1).await;
    (stream, channel)
}
