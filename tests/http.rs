//! HTTP on the main listener: paths, methods, the headers that every answer bears, errors, connections.

mod support;

#[path = "http/connections.rs"]
mod connections;
#[path = "http/cors.rs"]
mod cors;
#[path = "http/errors.rs"]
mod errors;
#[path = "http/flags.rs"]
mod flags;
#[path = "http/methods.rs"]
mod methods;
#[path = "http/paths.rs"]
mod paths;
#[path = "http/request_id.rs"]
mod request_id;
