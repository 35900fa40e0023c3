//! Makes Rust of what the nodes say to each other. Needs no `protoc`.

use std::error::Error;

const PROTO: &str = "proto/flodgatt/relay/v1/relay.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::relay::link::codec::BoundedCodec")
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
