//! RTMP: both ends of a connection without sockets or clocks, and a thin shell on tokio.
//!
//! | what | where | specification |
//! |---|---|---|
//! | handshake, lenient | [`handshake`] | RTMP 1.0, 5.2 |
//! | chunks, both ways | [`chunk`], [`wire`] | RTMP 1.0, 5.3 and 5.4 |
//! | control messages, commands | [`message`], [`command`] | RTMP 1.0, 7 |
//! | the server's end | [`Session`] | RTMP 1.0, 7.2 |
//! | the client's end: publish, pull | [`client`] | RTMP 1.0, 7.2 |
//! | negotiation of codecs, reconnect requests | [`caps`] | Enhanced RTMP v2 |
//! | sockets, TLS, callbacks (feature `tokio`) | `net`, `handler`, `tls` | |
//!
//! What real encoders and players do otherwise than written is in `tests/captures/README.md`.
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//! use bytes::BytesMut;
//! use weir_rtmp::{Config, Event, PublishRefusal, Session};
//!
//! let mut session = Session::new(Arc::new(Config::default()), Instant::now());
//! let mut input = BytesMut::new(); // what the socket has brought
//! session.handle_input(Instant::now(), &mut input)?;
//! while let Some(event) = session.poll_event() {
//!     match event {
//!         Event::Connect(_) => session.accept_connect(),
//!         Event::Publish(publish) if publish.params.get("token") == Some("secret") => {
//!             session.accept_publish(publish.stream_id);
//!         }
//!         Event::Publish(publish) => session.reject_publish(
//!             publish.stream_id,
//!             PublishRefusal::Unauthorized,
//!             "wrong token: append ?token=... to the stream key",
//!         ),
//!         Event::Tag { tag, .. } => println!("{:?} at {} ms", tag.kind, tag.dts),
//!         _ => {}
//!     }
//! }
//! while let Some(_bytes) = session.poll_output() { /* to the socket */ }
//! # Ok::<(), weir_rtmp::Error>(())
//! ```

pub mod caps;
pub mod chunk;
pub mod client;
pub mod command;
mod config;
#[cfg(feature = "tokio")]
pub mod handler;
pub mod handshake;
pub mod message;
#[cfg(feature = "tokio")]
pub mod net;
pub mod session;
#[cfg(feature = "tokio")]
pub mod tls;
mod url;
pub mod wire;

pub use config::{Config, Enhanced};
pub use session::{
    Connect, Error, Event, FcPublish, Params, Play, PlayRefusal, Publish, PublishKind,
    PublishRefusal, Session, Timeout, stream_path,
};
pub use url::{RTMP_PORT, RTMPS_PORT, Url, UrlError};
