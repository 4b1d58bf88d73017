//! What nodes say to each other: the `.proto` files of this folder, compiled.
//!
//! The files are the specification, their comments included. Who needs more than their bare messages finds it in
//! the crate that speaks them: `relay` for [`relay::v1`].

mod bound;
pub mod codec;

pub use bound::Bounded;

/// How many tags a message may hold.
pub const MAX_TAGS: usize = 1 << 16;

/// Tags between origin and edge, and what any node may ask of another.
pub mod relay {
    /// Version 1: see `relay/v1/relay.proto`.
    #[allow(missing_docs, clippy::all, rustdoc::all)]
    pub mod v1 {
        tonic::include_proto!("weir.relay.v1");
    }
}
