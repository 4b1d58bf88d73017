//! Runs nodes as real processes, for tests from end to end.
//!
//! A [`Node`] is the `weir` program on ports of its own, with its [`log`](Node::log) and its
//! [HTTP answers](Node::get) at hand, and ends with its guard. The tests are in `tests/`: `rtmp` is
//! part of `cargo test`; `prove` takes longer, and runs when ignored tests are asked for.

mod binary;
mod http;
mod log;
mod node;

pub use binary::weir;
pub use http::Answer;
pub use log::Log;
pub use node::{Node, Options};
