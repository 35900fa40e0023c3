//! WebSocket connections: how they open, what their messages mean and do, and how they end.

mod support;

#[path = "websocket/close.rs"]
mod close;
#[path = "websocket/compression.rs"]
mod compression;
#[path = "websocket/envelope.rs"]
mod envelope;
#[path = "websocket/frames.rs"]
mod frames;
#[path = "websocket/handshake.rs"]
mod handshake;
#[path = "websocket/messages.rs"]
mod messages;
#[path = "websocket/order.rs"]
mod order;
#[path = "websocket/query.rs"]
mod query;
#[path = "websocket/replies.rs"]
mod replies;
