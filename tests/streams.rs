//! Which channels a stream means, which parameters it takes, and what is kept at Redis for it.

mod support;

#[path = "streams/channels.rs"]
mod channels;
#[path = "streams/keys.rs"]
mod keys;
#[path = "streams/local_only.rs"]
mod local_only;
#[path = "streams/parameters.rs"]
mod parameters;
#[path = "streams/redis.rs"]
mod redis;
#[path = "streams/tags.rs"]
mod tags;
