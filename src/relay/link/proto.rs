//! What is generated from `proto/flodgatt/relay/v1/relay.proto`.
#![allow(missing_docs, unused_qualifications)]
#![allow(clippy::all, clippy::implicit_clone, clippy::needless_pass_by_value, clippy::too_many_lines)]

include!(concat!(env!("OUT_DIR"), "/flodgatt.relay.v1.rs"));
