//! What every parser must keep, whatever bytes it reads.
//!
//! A harness takes any bytes and panics where a promise is broken: that what was decoded
//! survives the round trip, that memory stays in proportion to the input, that bytes mean the
//! same in one piece and in many. [`TARGETS`] lists them all. `cargo test` replays `corpus/` and
//! `regressions/` through them; the fuzzer (see README.md) looks for new inputs.

mod amf0;
mod amf3;
mod weight;

pub use amf0::amf0;
pub use amf3::amf3;

/// A harness: it returns if all is well with the parser.
pub type Harness = fn(&[u8]);

/// Every harness by the name of its target, which is also that of its folders.
pub const TARGETS: &[(&str, Harness)] = &[("amf0", amf0), ("amf3", amf3)];
