//! The page for Prometheus: the Node server's names and labels, and counts that are right at every moment.

mod support;

#[path = "metrics/channels.rs"]
mod channels;
#[path = "metrics/counts.rs"]
mod counts;
#[path = "metrics/database.rs"]
mod database;
#[path = "metrics/page.rs"]
mod page;

const TYPES: [&str; 2] = ["websocket", "eventsource"];

/// Every value of the label `channel`.
const CHANNELS: [&str; 13] = [
    "system",
    "user",
    "user:notification",
    "list",
    "direct",
    "public",
    "public:media",
    "public:local",
    "public:local:media",
    "public:remote",
    "public:remote:media",
    "hashtag",
    "hashtag:local",
];
