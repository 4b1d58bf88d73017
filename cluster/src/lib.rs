//! Runs nodes as real processes, for tests from end to end.
//!
//! A [`Node`] is the `weir` program on ports of its own, with its [`log`](Node::log) and its
//! [HTTP answers](Node::get) at hand, and ends with its guard. A [`Cluster`] is several of them
//! around an [`Etcd`] and behind a [`Balancer`], in a [`Network`] whose cables can be cut;
//! [`Encoder`]s publish to it, [`Viewer`]s play from it, and each remembers what went through its
//! hands; an [`HlsViewer`] does so over HLS. The tests are in `tests/`: `rtmp` and `runner` are part of `cargo test`; `prove` takes
//! longer, and runs when ignored tests are asked for. The command `weir-cluster` shows a cluster
//! to a person.

mod balancer;
mod binary;
mod builder;
mod cluster;
mod encoder;
mod etcd;
mod hls;
mod http;
mod log;
mod net;
mod node;
mod options;
mod process;
mod service;
mod viewer;

pub use balancer::Balancer;
pub use binary::{try_weir, weir};
pub use builder::Builder;
pub use cluster::{Cluster, Side};
pub use encoder::{Encoder, EncoderOptions, FfmpegEncoder, Sent};
pub use etcd::{Etcd, KeyValue, Snapshot};
pub use hls::{HlsSeen, HlsViewer};
pub use http::{Answer, Loaded, load};
pub use log::Log;
pub use net::{Link, Network, Place, Traffic, Unavailable};
pub use node::{Node, sum};
pub use options::Options;
pub use process::find;
pub use viewer::{Frame, Seen, Viewer, ViewerOptions};
