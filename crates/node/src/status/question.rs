//! What can be asked of a cluster and ordered, and what there is to say to it.

use std::time::SystemTime;

use media::StreamKey;
use serde::{Deserialize, Serialize};

use super::{Found, Nodes, Streams, Subscribers, Timestamp, Why};

/// What is asked of any node, about the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// All nodes.
    Nodes,
    /// All streams.
    Streams,
    /// One stream.
    Stream(StreamKey),
    /// Who watches a stream.
    Subscribers(StreamKey),
    /// Why a stream is as it is.
    Why(StreamKey),
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To [`Question::Nodes`].
    Nodes(Nodes),
    /// To [`Question::Streams`].
    Streams(Streams),
    /// To [`Question::Stream`].
    Stream(Box<Found>),
    /// To [`Question::Subscribers`].
    Subscribers(Subscribers),
    /// To [`Question::Why`].
    Why(Box<Why>),
}

/// What is ordered of any node; whoever it concerns does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Disconnects the publisher of a stream.
    Stop(StreamKey),
    /// Disconnects a viewer.
    Disconnect {
        /// Of this stream.
        key: StreamKey,
        /// The [`id`](super::Subscriber::id) of the viewer.
        subscriber: String,
    },
    /// Has the node of this name leave.
    Drain(String),
    /// Has a stream pulled before anybody watches.
    Warm {
        /// The stream.
        key: StreamKey,
        /// By so many edges; by none, it is no longer kept.
        edges: usize,
        /// How long.
        until: Until,
    },
}

/// How long a stream is kept warm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// Until told otherwise.
    #[default]
    Stopped,
    /// Until then.
    At(SystemTime),
}

/// What came of an [`Order`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Done {
    /// Of [`Order::Stop`].
    Stopped(Stopped),
    /// Of [`Order::Disconnect`].
    Disconnected(Disconnected),
    /// Of [`Order::Drain`].
    Draining(Draining),
    /// Of [`Order::Warm`].
    Warm(Warm),
}

/// A stream was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Stopped {
    /// That it was.
    pub message: String,
    /// The stream.
    pub stream_key: String,
}

/// A viewer was disconnected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Disconnected {
    /// That it was.
    pub message: String,
    /// Of this stream.
    pub stream_key: String,
    /// The viewer.
    pub id: String,
}

/// A node leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Draining {
    /// That it does.
    pub message: String,
    /// The node.
    pub node: String,
}

/// A stream is kept warm, or no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Warm {
    /// The stream.
    pub stream_key: String,
    /// The nodes that pull it from now on, as things are; fewer than wanted where there are no more.
    pub edges: Vec<String>,
    /// How long; left out: until told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Why there is no answer, or nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Refusal {
    /// For the program.
    pub kind: RefusalKind,
    /// For a person: what is wrong and what to do.
    pub sentence: String,
}

/// What kind of no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// What was asked makes no sense.
    Invalid,
    /// Who asks has to say who it is.
    Unauthorized,
    /// Who asks may not.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// It cannot be done as things are.
    Conflict,
    /// Too much is asked at this moment.
    Busy,
    /// Who could do it does not answer.
    Unavailable,
}

impl Refusal {
    /// A no of this kind.
    pub fn new(kind: RefusalKind, sentence: impl Into<String>) -> Self {
        Self {
            kind,
            sentence: sentence.into(),
        }
    }
}

impl RefusalKind {
    /// Its name in the interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What another node said no with.
impl From<relay::Refusal> for Refusal {
    fn from(refusal: relay::Refusal) -> Self {
        use relay::RefusalCode as Code;
        let kind = match refusal.code {
            Code::NotFound => RefusalKind::NotFound,
            Code::Invalid => RefusalKind::Invalid,
            Code::Busy => RefusalKind::Busy,
            Code::Denied | Code::Fenced | Code::Loop => RefusalKind::Conflict,
            _ => RefusalKind::Unavailable,
        };
        Self::new(kind, refusal.sentence)
    }
}

/// What another node is told no with.
impl From<Refusal> for relay::Refusal {
    fn from(refusal: Refusal) -> Self {
        use relay::RefusalCode as Code;
        let code = match refusal.kind {
            RefusalKind::Invalid => Code::Invalid,
            RefusalKind::NotFound => Code::NotFound,
            RefusalKind::Unauthorized | RefusalKind::Forbidden | RefusalKind::Conflict => {
                Code::Denied
            }
            RefusalKind::Busy | RefusalKind::Unavailable => Code::Busy,
        };
        Self::new(code, refusal.sentence)
    }
}
