//! What the directory says of streams and nodes.

use std::collections::BTreeMap;
use std::fmt;

use media::{Epoch, StreamKey};
use serde::{Deserialize, Serialize};

use crate::{Fingerprint, NodeId, wire};

/// Where a value stands in the history of the directory: each change of anything in it has a higher
/// one. [`Revision::NONE`] is that of what has not been written yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub(crate) i64);

impl Revision {
    /// The revision of what has not been written yet.
    pub const NONE: Self = Self(0);

    /// It as a number; those of etcd count all its changes.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One stream, as its origin has it in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRecord {
    /// Its key.
    pub key: StreamKey,
    /// The origin that serves it.
    pub node: NodeId,
    /// The fencing number of the publish: [`next_epoch`](crate::Directory::next_epoch).
    pub epoch: Epoch,
    /// Who publishes it. None: nobody was authenticated.
    pub identity: Option<Fingerprint>,
    /// What the encoder speaks: `rtmp`, `srt`, ….
    pub protocol: String,
    /// Whether the encoder is there.
    pub state: StreamState,
    /// When this publish began, in unix milliseconds.
    pub since: u64,
    /// Where HLS counts from.
    pub numbering: Numbering,
}

impl StreamRecord {
    /// Its value in the directory: JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        String::from_utf8(wire::write_stream(self)).unwrap_or_default()
    }

    /// What the value says that a node would give a key; `None` where that is not understood.
    #[must_use]
    pub fn from_json(key: StreamKey, json: &str) -> Option<Self> {
        wire::read_stream(key, json.as_bytes()).ok()
    }
}

/// Whether a stream's encoder is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamState {
    /// It left, and may come back within the grace.
    Waiting,
    /// It publishes. So it is understood where another release says something new.
    #[default]
    #[serde(other)]
    Live,
}

/// Where HLS counts from in an epoch, so that every edge reaches the same numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Numbering {
    /// The media sequence number of the epoch's first segment.
    pub media_sequence: u64,
    /// Its discontinuity sequence number.
    pub discontinuity_sequence: u64,
    /// Whether the window of the previous epoch carries on in front of it.
    pub carries_on: bool,
}

/// A stream's record and where it stands: what [`claim`](crate::Directory::claim) supersedes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What is said of the stream.
    pub record: StreamRecord,
    /// Since when it is said.
    pub revision: Revision,
    pub(crate) lease: Lease,
}

/// What keeps values in the directory: they go when it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Lease(pub(crate) i64);

impl Lease {
    /// The values stay.
    pub(crate) const NONE: Self = Self(0);
}

/// One node, as it announces itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRecord {
    /// Its name.
    #[serde(skip, default = "nobody")]
    pub id: NodeId,
    /// What it does.
    #[serde(default)]
    pub role: Role,
    /// Where it is reached, by protocol: `rtmp`, `http`, `relay`, ….
    #[serde(default)]
    pub addresses: BTreeMap<String, String>,
    /// Where it is, for choosing near ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The version of its program.
    #[serde(default)]
    pub software: String,
    /// The share of it that is in use, 0 to 1.
    #[serde(default)]
    pub load: f64,
    /// It is leaving and takes nothing new.
    #[serde(default)]
    pub draining: bool,
    /// Its clock when it said so, in unix milliseconds. The directory fills it in.
    #[serde(default)]
    pub clock: u64,
    /// When its process started, in unix milliseconds.
    #[serde(default)]
    pub started: u64,
}

/// Stands in for a name until the key of the record has told it.
fn nobody() -> NodeId {
    NodeId::parse("-").expect("a dash is a name")
}

impl NodeRecord {
    /// The record of a node of which nothing but its name and role is known.
    #[must_use]
    pub fn new(id: NodeId, role: Role) -> Self {
        Self {
            id,
            role,
            addresses: BTreeMap::new(),
            zone: None,
            software: String::new(),
            load: 0.0,
            draining: false,
            clock: 0,
            started: 0,
        }
    }

    /// Where it is reached by `protocol`.
    #[must_use]
    pub fn address(&self, protocol: &str) -> Option<&str> {
        self.addresses.get(protocol).map(String::as_str)
    }
}

/// What a node does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Takes publishers and players.
    All,
    /// Takes publishers.
    Origin,
    /// Takes players.
    Edge,
    /// Something that another release knows.
    #[default]
    #[serde(other)]
    Other,
}
