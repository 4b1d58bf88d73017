//! Sockets around the cores: a server with callbacks, and a client.
//!
//! One task per connection. It reads, asks its session, writes everything that is pending in one
//! vectored call, and sleeps. TLS is a matter of the stream underneath.

mod client;
mod connection;
mod link;
mod peer;
mod player;
mod publisher;
mod queue;
mod server;

pub use client::{Client, ClientError, ClientOptions, Puller};
pub use peer::{Peer, Publication};
pub use player::{Overflow, Player, Sent};
pub use publisher::{Publisher, TrySendError};
pub use queue::{Closed, QueueLimits};
pub use server::{Server, ServerOptions};
