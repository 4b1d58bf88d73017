//! Compiles the `.proto` files, without any program of the system.

use std::error::Error;

/// Relative to this crate, as are their imports.
const FILES: &[&str] = &["relay/v1/relay.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure()
        // Media stays a slice of the buffer it was received in.
        .bytes(".weir.relay.v1")
        // Few tags have one, and each would carry the room for it.
        .boxed(".weir.relay.v1.Tag.cut")
        .codec_path("crate::codec::Codec")
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
