//! The end of a connection that asks: it plays a stream, or publishes one.
//!
//! [`Session`] is the core: bytes and instants in, bytes and [`Event`]s out. Over a socket it is
//! driven by `net::Client` (feature "tokio").
//!
//! ```
//! # use weir_rtmp as rtmp;
//! use std::{sync::Arc, time::Instant};
//! use rtmp::{Url, client};
//!
//! let url = Url::parse("rtmp://localhost/live/cam")?;
//! let config = Arc::new(client::Config::default());
//! let mut session = client::Session::new(config, &url, client::Intent::pull(), Instant::now());
//! let hello = session.poll_output().unwrap();
//! assert_eq!(hello.len(), 1537); // C0 and C1
//! # Ok::<(), rtmp::UrlError>(())
//! ```

mod commands;
mod session;

use std::fmt;
use std::time::Duration;

use amf::Object;
use flv::Tag;

use crate::caps::Caps;
use crate::{chunk, handshake};

pub use session::Session;

/// How a client introduces itself, and what it puts up with.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// `flashVer` of `connect`. Some servers want to read "FMLE" in a publisher's.
    pub flash_ver: String,
    /// `swfUrl` of `connect`, if any.
    pub swf_url: Option<String>,
    /// `pageUrl` of `connect`, if any.
    pub page_url: Option<String>,
    /// `tcUrl` of `connect`, in place of the one the URL yields.
    pub tc_url: Option<String>,
    /// More properties of the `connect` object, such as a token.
    pub extra: Object,
    /// What Enhanced RTMP announcement goes out; `None` is a client of old.
    pub caps: Option<Caps>,
    /// The buffer a player says it has; servers that burst at the start go by it.
    pub buffer_length: Duration,
    /// Size of the chunks we send.
    pub chunk_size: u32,
    /// How often we ask for acknowledgements, in bytes.
    pub window_ack: u32,
    /// Bounds of what the server may send.
    pub limits: chunk::Limits,
    /// Most tags in one aggregate message.
    pub max_aggregate: usize,
    /// Most bytes of answers (pings, acknowledgements) that may wait to be taken.
    pub max_pending_output: usize,
    /// The handshake must end within this.
    pub handshake_timeout: Duration,
    /// The longest silence of a server that we wait for: for its answer, or for media. Once
    /// publishing, a server may be silent for ever.
    pub read_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            flash_ver: concat!(
                "FMLE/3.0 (compatible; weir ",
                env!("CARGO_PKG_VERSION"),
                ")"
            )
            .to_owned(),
            swf_url: None,
            page_url: None,
            tc_url: None,
            extra: Object::new(),
            caps: Some(Caps::announcement()),
            buffer_length: Duration::from_secs(1),
            chunk_size: 65_536,
            window_ack: 2_500_000,
            limits: chunk::Limits::default(),
            max_aggregate: 4096,
            max_pending_output: 1 << 20,
            handshake_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is added to `connect` may be a token, and URLs may hold one.
        let keys: Vec<_> = self.extra.iter().map(|(key, _)| key).collect();
        f.debug_struct("Config")
            .field("flash_ver", &self.flash_ver)
            .field("extra", &keys)
            .field("caps", &self.caps)
            .field("chunk_size", &self.chunk_size)
            .field("limits", &self.limits)
            .field("read_timeout", &self.read_timeout)
            .finish_non_exhaustive()
    }
}

/// What a client connects for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Play the stream.
    Pull {
        /// Where to begin.
        start: Start,
        /// Send `FCSubscribe` first, as some content delivery networks demand.
        subscribe: bool,
    },
    /// Publish the stream.
    Publish,
}

impl Intent {
    /// Play, live if there is a live stream, without more ado.
    #[must_use]
    pub fn pull() -> Self {
        Self::Pull {
            start: Start::Any,
            subscribe: false,
        }
    }
}

/// Where `play` begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// Live, else what is recorded under the name.
    #[default]
    Any,
    /// Live and nothing else.
    Live,
    /// Recorded, from here on.
    At(Duration),
}

/// What a client learns.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is over.
    HandshakeDone,
    /// `connect` was accepted.
    Connected {
        /// What the server says about Enhanced RTMP; empty if nothing.
        caps: Caps,
    },
    /// The server begins to send the stream.
    Playing,
    /// The server takes the stream: tags may be sent.
    Publishing,
    /// A piece of the stream.
    Tag(Tag),
    /// The server says something about the stream.
    Status(Status),
    /// No media for the moment.
    StreamDry,
    /// The stream has ended. A server may send [`Playing`](Event::Playing) again when it is back.
    StreamEnded,
    /// The server asks us to connect anew, if possible without a gap.
    ReconnectRequest {
        /// Where to; the same place if missing.
        tc_url: Option<String>,
        /// Why.
        description: String,
    },
    /// The server refuses; the connection is of no more use.
    Rejected(Rejection),
    /// The server has received so many of our bytes.
    Acknowledged {
        /// The count, modulo 2^32.
        bytes: u32,
    },
    /// The server ends the connection by its own words.
    Closed,
}

/// What a server reports about a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// `status`, `warning` or `error`.
    pub level: String,
    /// Such as `NetStream.Play.Reset`.
    pub code: String,
    /// For people.
    pub description: String,
}

/// Why a server refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct Rejection {
    /// Such as `NetConnection.Connect.Rejected`.
    pub code: String,
    /// For people.
    pub description: String,
    /// Where the server sends us instead.
    pub redirect: Option<String>,
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server does not speak RTMP.
    #[error(transparent)]
    Handshake(#[from] handshake::Error),
    /// The server's chunks cannot be read, or exceed a limit.
    #[error(transparent)]
    Chunk(#[from] chunk::Error),
    /// The server makes us answer more than it takes.
    #[error("more than {0} bytes of answers are waiting")]
    TooMuchOutput(usize),
    /// The server was silent for too long.
    #[error("the server was silent for too long while {0}")]
    Timeout(Phase),
}

/// What a client was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The handshake.
    Handshake,
    /// The answer to `connect`.
    Connect,
    /// A stream, or its acceptance.
    Stream,
    /// Media.
    Media,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "shaking hands",
            Self::Connect => "connecting",
            Self::Stream => "asking for the stream",
            Self::Media => "waiting for media",
        })
    }
}
