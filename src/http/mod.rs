//! The public listener: WebSocket, server-sent events, authentication, errors, health, metrics.

mod answer;
mod client_address;
mod compression;
mod connection;
mod credentials;
mod event_source;
mod handshake;
mod listener;
mod pages;
mod query;
mod route;
mod service;
mod web_socket;

pub use client_address::TrustedProxies;
pub use listener::{BoundListener, ListenAddress, ListenError};
pub use pages::Pages;
pub use service::{Parts, Service};
