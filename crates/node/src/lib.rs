//! The actors of a node and their supervision; the one place where crates meet.
//!
//! ```text
//! Node                             node.rs
//! ├── Listener, one per endpoint   listener.rs     restarted with back-off, and a budget that gives up
//! ├── RelayServer                  relay_server.rs likewise; in a cluster, for the other nodes
//! ├── Keeper                       keeper.rs       likewise; this node's place in the directory
//! ├── Connection, one per peer     connection.rs   never restarted: the peer comes back
//! └── Stream, one per key          stream.rs       never restarted: its publisher or next player comes back
//!     ├── Pull                     pull.rs         when another node has it; restarted while it is wanted
//!     ├── Packager                 hls/packager.rs while somebody asks over HLS; restarted: it resumes at the oldest listed segment
//!     └── Subscriber, one per player   subscriber.rs
//! ```
//!
//! Mailboxes carry control, the ring of a stream carries media. A connection's pump puts an
//! encoder's tags into the ring (`connection/rtmp/publishing.rs`); players are written by groups
//! (`fanout.rs`) and, while they join or lag, each by a pump of its own (`catch_up.rs`). Requests over
//! HLS pass no mailbox: they read what the packager of the stream shows (`hls/stage.rs`).

mod admission;
mod auth;
mod burst;
mod catch_up;
mod chance;
mod cluster;
pub mod config;
mod connection;
mod context;
mod fanout;
mod format;
mod gate;
mod handle;
mod headroom;
pub mod hls;
mod keeper;
mod listener;
mod locate;
mod membership;
mod metrics;
mod node;
mod pace;
mod peer;
mod publishers;
mod pull;
mod pump;
mod relay_server;
mod seat;
pub mod status;
mod stream;
mod subscriber;
#[cfg(test)]
mod tests;
mod transport;
mod trust;
mod warm;
pub mod watch;
mod websocket;

pub use config::Config;
pub use handle::{Health, Node, StartError};
pub use watch::Watch;
