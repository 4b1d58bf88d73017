//! Tags between origin and edge, over gRPC, and what nodes ask of each other beside.
//!
//! An origin runs a [`Server`], which is driven by a [`Source`]: the node behind it, that lends the relay its
//! streams. An edge has a [`Client`], pulls a stream and gets [`Event`]s: what the tags belong to, the tags as their
//! origin marked them, and how it ended. What lies on the wire is written in `proto/relay/v1/relay.proto`.
//!
//! # What it promises
//!
//! - Nobody is served, and nobody believed, who does not prove to be a node of the cluster: [`Auth`].
//! - Every tag arrives once and in order, or the pull ends. After a broken connection it goes on where
//!   [`Subscribe::resume`] says, or begins anew and says so.
//! - A batch is what has gathered while the one before was on its way: no timer adds to the latency, and a slow
//!   connection gets larger batches. A pull that falls behind its ring ends with [`End::Lagged`].
//! - A stream that is not read does not hold up another on the same connection, and there are few connections.
//! - A peer that dies without a word is noticed after [`Tuning::ping_interval`] and [`Tuning::ping_timeout`].
//! - Payloads are slices of the received buffer. One of up to a KiB that came with four times as much is copied out,
//!   so that sound does not keep the pictures beside it in memory; and so is configuration, which lives as long as
//!   the stream.
//! - Nobody here tries again. Errors say whether that makes sense.
//!
//! ```
//! use std::sync::Arc;
//!
//! use futures::FutureExt;
//! use futures::future::BoxFuture;
//! use media::{Epoch, Limits, Ring, StreamKey};
//! use tokio::net::TcpListener;
//! use tokio::sync::watch;
//! use weir_relay as relay;
//! use relay::{Auth, Caller, Client, Event, Feed, Member, Notice, Peer, Refusal, Server, Subscribe, Tuning};
//!
//! /// A node with one stream.
//! struct Node(Ring, watch::Sender<Notice>);
//!
//! impl relay::Source for Node {
//!     fn subscribe(&self, _: Caller, _: Subscribe) -> BoxFuture<'_, Result<Feed, Refusal>> {
//!         let feed = Feed {
//!             ring: self.0.clone(),
//!             describe: Arc::new(|_epoch| relay::About::default()),
//!             changes: watch::channel(()).1,
//!             notices: self.1.subscribe(),
//!             viewers: Box::new(|viewers| println!("{} watch", viewers.total())),
//!             guard: Box::new(()),
//!         };
//!         async { Ok(feed) }.boxed()
//!     }
//! #   fn release(&self, _: Caller, _: relay::Release) -> BoxFuture<'_, Result<relay::Released, Refusal>> {
//! #       async { Ok(relay::Released::default()) }.boxed()
//! #   }
//! #   fn locate(&self, _: StreamKey) -> BoxFuture<'_, Option<String>> { async { None }.boxed() }
//! #   fn status(&self, _: relay::Query) -> BoxFuture<'_, Result<String, Refusal>> {
//! #       async { Ok(String::new()) }.boxed()
//! #   }
//! #   fn act(&self, _: Caller, _: relay::Action) -> BoxFuture<'_, Result<String, Refusal>> {
//! #       async { Ok(String::new()) }.boxed()
//! #   }
//!     // … and what else nodes ask.
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let ring = Ring::new(Limits::default());
//! let mut publisher = ring.begin(Epoch::new(1, 1), 0);
//! let keyframe = flv::Tag::new(flv::Kind::Video, 40, (&[0x12, 0, 0, 0x84][..]).into());
//! publisher.push(keyframe, 0)?;
//!
//! let auth = Auth::secret("what all nodes know")?;
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let origin = Peer::new("origin", listener.local_addr()?.to_string())?;
//! let node = Arc::new(Node(ring, watch::Sender::default()));
//! let server = Server::new(Member::new("default", "origin")?, auth.clone(), Tuning::default(), node);
//! tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
//!
//! let client = Client::new(Member::new("default", "edge")?, auth, Tuning::default());
//! let key = StreamKey::parse("live/camera")?;
//! let (described, mut pulling) = client.pull(&origin, Subscribe::new(key)).await?;
//! assert_eq!(described.description.epoch, Epoch::new(1, 1));
//! let Event::Tags(tags) = pulling.next().await? else { panic!() };
//! assert_eq!(tags[0].tag.dts, 40);
//! assert_eq!(pulling.next().await?, Event::CaughtUp);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod ask;
mod auth;
mod client;
mod clock;
mod config;
mod error;
mod headers;
mod member;
mod metrics;
mod pull;
mod refusal;
mod seldom;
mod server;
mod source;
mod tuning;
mod wire;

pub use ask::{Action, CarryOn, Pong, Query, Release, Released, WarmUntil};
pub use auth::{Auth, AuthError, TlsFiles};
pub use client::{Client, Described, Event, Pulling};
pub use config::{Config, ConfigKey, ConfigProblem, Secret, TlsConfig};
pub use error::{Error, NotAdmitted};
pub use member::{Member, NameError, Peer};
pub use pull::{About, Backfill, Bandwidth, End, Hls, Numbering, Position, Subscribe, Viewers};
pub use refusal::{Refusal, RefusalCode};
pub use server::Server;
pub use source::{Caller, Feed, Notice, Source};
pub use tuning::Tuning;

#[cfg(test)]
mod tests;
