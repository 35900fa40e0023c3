//! What Mastodon publishes, and what clients get of it on both transports.

mod support;

#[path = "events/kinds.rs"]
mod kinds;
#[path = "events/malformed.rs"]
mod malformed;
#[path = "events/order.rs"]
mod order;
#[path = "events/payloads.rs"]
mod payloads;
