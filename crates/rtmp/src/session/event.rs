use std::fmt;
use std::time::Duration;

use amf::Object;
use flv::Tag;

use super::names::{Params, Short};
use crate::caps::Caps;

/// What happened on a connection, in order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is complete.
    HandshakeDone,
    /// Asks for [`accept_connect`](super::Session::accept_connect) or one of its opposites.
    /// What the client sends meanwhile waits.
    Connect(Box<Connect>),
    /// An encoder wants a name freed that it may hold from before; already answered.
    ReleaseStream(Box<FcPublish>),
    /// An encoder is about to publish; already answered, so that
    /// [`reject_fc_publish`](super::Session::reject_fc_publish) is all there is to say.
    FcPublish(Box<FcPublish>),
    /// A message stream was made.
    CreateStream {
        /// Its number.
        stream_id: u32,
    },
    /// Asks for [`accept_publish`](super::Session::accept_publish) or
    /// [`reject_publish`](super::Session::reject_publish). What the client sends on its message
    /// stream meanwhile waits, media and commands.
    Publish(Box<Publish>),
    /// Asks for [`accept_play`](super::Session::accept_play) or
    /// [`reject_play`](super::Session::reject_play). What the client sends on its message stream
    /// meanwhile waits: another play, or a pause, is told when this is answered.
    Play(Box<Play>),
    /// The peer ended a publish, by a command or by going away. Exactly one follows every
    /// [`Publish`] that was neither rejected nor ended from this side.
    PublishEnded {
        /// Of which stream.
        stream_id: u32,
    },
    /// The same for a play.
    PlayEnded {
        /// Of which stream.
        stream_id: u32,
    },
    /// A player pauses or goes on; already answered.
    Pause {
        /// Of which stream.
        stream_id: u32,
        /// Pauses, or goes on.
        paused: bool,
        /// Where the player stands.
        at_ms: u32,
    },
    /// A player wants audio, or does not.
    ReceiveAudio {
        /// Of which stream.
        stream_id: u32,
        /// Wants it.
        on: bool,
    },
    /// A player wants video, or does not.
    ReceiveVideo {
        /// Of which stream.
        stream_id: u32,
        /// Wants it.
        on: bool,
    },
    /// A player wants to be elsewhere; already answered, as a live stream has no elsewhere.
    Seek {
        /// Of which stream.
        stream_id: u32,
        /// Where to.
        to_ms: u32,
    },
    /// How much a player buffers.
    BufferLength {
        /// Of which stream, 0 for all.
        stream_id: u32,
        /// How much.
        millis: u32,
    },
    /// Media or data of a publish that was accepted.
    Tag {
        /// Of which stream.
        stream_id: u32,
        /// As sent, `@setDataFrame` included.
        tag: Tag,
    },
    /// So many bytes of ours have arrived, modulo 2^32.
    Acknowledged {
        /// As the peer counts.
        bytes: u32,
    },
    /// Our newest ping was answered.
    Pong {
        /// After how long.
        round_trip: Duration,
    },
    /// The session itself has refused something, by a limit or a setting of its
    /// [`Config`](crate::Config); already answered.
    Refused {
        /// `connect`, `publish` or `play`.
        request: &'static str,
        /// What the peer was told.
        why: &'static str,
    },
    /// A deadline has passed; the session is closing.
    TimedOut(Timeout),
    /// The connection is gone.
    PeerClosed,
}

impl Event {
    /// Whether the peer asks for something with it.
    pub(super) fn is_request(&self) -> bool {
        matches!(
            self,
            Self::Connect(_)
                | Self::ReleaseStream(_)
                | Self::FcPublish(_)
                | Self::CreateStream { .. }
                | Self::Publish(_)
                | Self::Play(_)
                | Self::Pause { .. }
                | Self::ReceiveAudio { .. }
                | Self::ReceiveVideo { .. }
                | Self::Seek { .. }
        )
    }
}

/// Which deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Timeout {
    /// The handshake did not end.
    #[error("no complete handshake in time")]
    Handshake,
    /// No `connect` came.
    #[error("no connect in time")]
    Connect,
    /// A publisher sent no media.
    #[error("the publisher sent nothing for too long")]
    Publisher,
    /// Neither input nor media moved.
    #[error("nothing moved for too long")]
    Idle,
    /// No answer to pings, nor anything else.
    #[error("pings were not answered")]
    Ping,
}

/// What a client said when it connected.
#[derive(Clone, PartialEq)]
pub struct Connect {
    /// The app, without query and outer slashes; `live` if there was none.
    pub app: String,
    /// Parameters of app, `tcUrl` and the rest of the object.
    pub params: Params,
    /// Where the client thinks it is.
    pub tc_url: String,
    /// Which program it is.
    pub flash_ver: String,
    /// The page's player, or what clients put there.
    pub swf_url: String,
    /// The page.
    pub page_url: String,
    /// 0 or 3; we answer in AMF0 either way.
    pub object_encoding: f64,
    /// Everything it said.
    pub object: Object,
    /// What it announced of Enhanced RTMP.
    pub caps: Caps,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("app", &self.app)
            .field("params", &self.params)
            .field("flash_ver", &self.flash_ver)
            .field("caps", &self.caps)
            .finish_non_exhaustive()
    }
}

/// An encoder's early word about the stream it will publish.
#[derive(Clone, PartialEq, Eq)]
pub struct FcPublish {
    /// The app.
    pub app: String,
    /// The name, cleaned as that of [`Publish`].
    pub name: String,
    /// Parameters of the name, then those of `connect`.
    pub params: Params,
}

impl fmt::Debug for FcPublish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("FcPublish");
        shown
            .field("app", &self.app)
            .field("name", &Short(&self.name))
            .field("params", &self.params)
            .finish()
    }
}

/// A request to publish.
#[derive(Clone, PartialEq, Eq)]
pub struct Publish {
    /// The message stream.
    pub stream_id: u32,
    /// The app.
    pub app: String,
    /// The name without query and outer slashes. An empty one becomes `default`; where the app
    /// holds a name already (`live/cam`), it stays empty, and the stream is the app's path.
    /// [`stream_path`](super::stream_path) joins both.
    pub name: String,
    /// Parameters of the name, then those of `connect`.
    pub params: Params,
    /// What for.
    pub kind: PublishKind,
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("stream_id", &self.stream_id)
            .field("app", &self.app)
            .field("name", &Short(&self.name))
            .field("params", &self.params)
            .field("kind", &self.kind)
            .finish()
    }
}

/// What a publisher wants done with its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PublishKind {
    /// Live only.
    #[default]
    Live,
    /// Recorded as a new file.
    Record,
    /// Recorded at the end of the old one.
    Append,
}

/// A request to play.
#[derive(Clone, PartialEq)]
pub struct Play {
    /// The message stream.
    pub stream_id: u32,
    /// The app.
    pub app: String,
    /// The name without query and outer slashes. An empty one becomes `default`; where the app
    /// holds a name already (`live/cam`), it stays empty, and the stream is the app's path.
    /// [`stream_path`](super::stream_path) joins both.
    pub name: String,
    /// Parameters of the name, then those of `connect`.
    pub params: Params,
    /// -2 live or else recorded, -1 live, 0 and above recorded from there; clients send seconds
    /// and milliseconds alike.
    pub start: f64,
    /// How much, -1 for all.
    pub duration: f64,
    /// Whether what played before is dropped.
    pub reset: bool,
}

impl fmt::Debug for Play {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Play")
            .field("stream_id", &self.stream_id)
            .field("app", &self.app)
            .field("name", &Short(&self.name))
            .field("params", &self.params)
            .field("start", &self.start)
            .field("reset", &self.reset)
            .finish_non_exhaustive()
    }
}

/// Why a publish is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishRefusal {
    /// No or the wrong credentials.
    Unauthorized,
    /// Occupied, invalid, over a limit.
    BadName,
}

impl PublishRefusal {
    /// The status code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unauthorized => "NetStream.Publish.Unauthorized",
            Self::BadName => "NetStream.Publish.BadName",
        }
    }

    /// The same in a code that librtmp knows, so OBS: it logs the description of few.
    pub(super) fn known_code(self) -> Option<&'static str> {
        match self {
            Self::Unauthorized => Some("NetStream.Publish.Denied"),
            Self::BadName => None,
        }
    }
}

/// Why a play is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlayRefusal {
    /// No or the wrong credentials.
    Unauthorized,
    /// There is no such stream.
    StreamNotFound,
    /// Over a limit, or trouble of ours.
    Failed,
}

impl PlayRefusal {
    /// The status code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unauthorized => "NetStream.Play.Unauthorized",
            Self::StreamNotFound => "NetStream.Play.StreamNotFound",
            Self::Failed => "NetStream.Play.Failed",
        }
    }
}
