//! Bad input of every kind: whatever clients and publishers send, the server stays up, nobody else is disturbed, nobody gets
//! what is another's, and the log says once what happened.

mod support;

#[path = "hostile/limits.rs"]
mod limits;
#[path = "hostile/messages.rs"]
mod messages;
#[path = "hostile/published.rs"]
mod published;
#[path = "hostile/siege.rs"]
mod siege;
#[path = "hostile/slow.rs"]
mod slow;
#[path = "hostile/statuses.rs"]
mod statuses;
#[path = "hostile/tokens.rs"]
mod tokens;
