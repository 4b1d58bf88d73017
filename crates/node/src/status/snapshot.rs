//! What a stream's actor says about itself when asked: facts of the moment, and the ring for the rest.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use media::{Ring, StreamKey};
use ractor::ActorId;

use super::State;
use crate::format::Format;

/// One stream as its actor has it. Times are milliseconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct StreamSnapshot {
    pub(crate) key: StreamKey,
    pub(crate) state: State,
    pub(crate) place: Place,
    /// The publish of the moment, or the last one; `None` where nobody has published yet.
    pub(crate) publish: Option<Publish>,
    /// What flows, in which codecs, is read from here, beside the actor.
    pub(crate) ring: Ring,
    /// Who plays on this node. Pulls of other nodes are none of them.
    pub(crate) subscribers: Vec<Subscribed>,
    /// How many watch over HLS on this node.
    pub(crate) hls: u64,
    /// Who they are, as of a moment ago.
    pub(crate) sketch: hls::Sketch,
    /// The nodes that pull from this one, and how many watch there, by protocol, as they say.
    pub(crate) edges: BTreeMap<String, BTreeMap<String, u64>>,
    /// Media bytes that left this node for players, where they are counted by stream.
    pub(crate) bytes_out: Option<u64>,
}

impl StreamSnapshot {
    /// How many watch on this node.
    pub(crate) fn viewers(&self) -> u64 {
        self.hls.saturating_add(self.subscribers.len() as u64)
    }
}

/// What this node is to a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its encoder publishes, or published, here.
    Origin,
    /// It is pulled.
    Pulled {
        /// The node it comes from.
        from: String,
        /// The nodes that it passes before this one, the origin first; `from` is the last.
        path: Vec<String>,
        /// When the pull began.
        since: i64,
    },
    /// There is nothing of it here; players may wait for it.
    #[default]
    Waiting,
}

/// What is known about a publish beside its tags; at an edge, what the origin said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Publish {
    /// When it began.
    pub(crate) since: i64,
    /// How the encoder publishes: `rtmp`.
    pub(crate) protocol: String,
    /// What the encoder calls itself; may be empty.
    pub(crate) encoder: String,
    /// Where it publishes from; may be empty.
    pub(crate) publisher: String,
}

/// A player of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscribed {
    pub(crate) id: ActorId,
    pub(crate) address: SocketAddr,
    /// How it is sent the stream.
    pub(crate) format: Format,
    /// When it asked to play.
    pub(crate) since: i64,
}

impl From<&relay::About> for Publish {
    fn from(about: &relay::About) -> Self {
        Self {
            since: about.since,
            protocol: about.protocol.clone(),
            encoder: about.encoder.clone(),
            publisher: about.publisher.clone(),
        }
    }
}
