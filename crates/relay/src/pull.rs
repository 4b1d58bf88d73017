//! What is said about a pull beside its tags.

use std::collections::BTreeMap;
use std::time::Duration;

use media::{Epoch, StreamKey};

use crate::Refusal;

/// What an edge wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The stream.
    pub key: StreamKey,
    /// Where to go on after a broken connection.
    pub resume: Option<Position>,
    /// Where to begin otherwise.
    pub backfill: Backfill,
    /// The nodes that wait for the stream behind the caller, the nearest last. The caller itself is added.
    pub hops: Vec<String>,
}

impl Subscribe {
    /// The whole window of a stream, for this node itself.
    #[must_use]
    pub fn new(key: StreamKey) -> Self {
        Self {
            key,
            resume: None,
            backfill: Backfill::Window,
            hops: Vec::new(),
        }
    }
}

/// The next tag that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its number within the epoch.
    pub number: u64,
}

/// Where a pull begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backfill {
    /// With the window: where the playlist begins, or else with the oldest GOP.
    #[default]
    Window,
    /// Where a player begins: with the current GOP.
    Join,
}

/// How many watch at an edge and behind it, by protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewers(pub BTreeMap<String, u32>);

impl Viewers {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().copied().map(u64::from).sum()
    }
}

/// What the origin knows about a publish beside its tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// When it began, in milliseconds of unix time.
    pub since: i64,
    /// How the encoder publishes: `"rtmp"`.
    pub protocol: String,
    /// What the encoder calls itself.
    pub encoder: String,
    /// Where it publishes from.
    pub publisher: String,
    /// The nodes it passed up to the one that describes, the origin first.
    pub path: Vec<String>,
    /// How it numbers its segments, where it makes any.
    pub numbering: Option<Numbering>,
    /// How it is cut; `None` where its tags have no cuts.
    pub hls: Option<Hls>,
    /// Bits per second: average, and highest over a segment; 0 where they are not known yet.
    pub bandwidth: Bandwidth,
}

/// How an epoch numbers its segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    /// The media sequence number of the first segment.
    pub first: u64,
    /// Its discontinuity sequence number.
    pub discontinuity: u64,
    /// Whether the window of the epoch before goes on in this one's.
    pub carries_on: bool,
}

/// How the origin cuts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hls {
    /// As in the configuration: `"ll"`, `"fmp4"`, `"ts"`, `"off"`.
    pub mode: String,
    /// How long a segment shall be.
    pub segment_target: Duration,
    /// How long a part shall be.
    pub part_target: Duration,
    /// How many segments a playlist shows.
    pub window: u32,
}

/// Bits per second as measured at the origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// On average.
    pub average: u64,
    /// At most, over a segment.
    pub peak: u64,
}

/// How a pull ended, by the words of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The publisher is gone for good: viewers' streams end.
    Ended,
    /// The server lost the stream, or ended for a reason of a later release: viewers wait, and the caller looks for
    /// the next epoch.
    Lost,
    /// Another node has the stream.
    Moved {
        /// Its id.
        node: String,
    },
    /// The server goes away.
    Draining,
    /// The caller read too slowly; it pulls anew, with [`Backfill::Join`] so that there is less to read.
    Lagged,
    /// The server does not serve this stream to this caller.
    Refused(Refusal),
}

impl End {
    /// Its name in metrics: `"ended"`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Lost => "lost",
            Self::Moved { .. } => "moved",
            Self::Draining => "draining",
            Self::Lagged => "lagged",
            Self::Refused(_) => "refused",
        }
    }
}
