//! What nodes ask of each other beside streams.

use std::time::{Duration, SystemTime};

use media::{Epoch, StreamKey};

/// A request to the origin of a stream: its encoder came to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The stream.
    pub key: StreamKey,
    /// The epoch that the caller knows.
    pub epoch: Epoch,
    /// The fingerprint of the newcomer's identity; empty without authentication.
    pub identity: Vec<u8>,
    /// Where the newcomer publishes from.
    pub publisher: String,
    /// Asks only whether the origin would: nothing changes there. One that would says that there is a
    /// [window](Released::window); one of an earlier release lets go, and says that there is none.
    pub only_asks: bool,
}

/// What the newcomer needs to carry on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// The last epoch of the holder.
    pub epoch: Epoch,
    /// Where the numbers of segments go on, if any were made.
    pub carry_on: Option<CarryOn>,
    /// Whether the window can still be pulled from the holder.
    pub window: bool,
    /// How many tags the last epoch has, now that none is added; 0 where that is not known.
    pub tags: u64,
}

/// Where the numbers of segments go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CarryOn {
    /// What the next segment is numbered with.
    pub next_segment: u64,
    /// Its discontinuity sequence number.
    pub next_discontinuity: u64,
    /// The date and time at which the last segment ends, in nanoseconds of unix time.
    pub date_time: i64,
}

/// A question, answered in JSON in the words of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// The node itself.
    Node,
    /// All its streams.
    Streams,
    /// One stream.
    Stream(StreamKey),
    /// Who is watching a stream.
    Subscribers(StreamKey),
    /// Why a stream is as it is.
    Why(StreamKey),
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Drain the node.
    Drain,
    /// Disconnect the publisher of a stream.
    Stop(StreamKey),
    /// Pull a stream and keep it.
    Warm {
        /// The stream.
        key: StreamKey,
        /// How long.
        until: WarmUntil,
    },
    /// Disconnect a viewer.
    Disconnect {
        /// Of this stream.
        key: StreamKey,
        /// The viewer.
        subscriber: String,
    },
}

/// How long a stream is kept warm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUntil {
    /// Until told otherwise.
    Stopped,
    /// Until then; no longer, where that is over.
    At(SystemTime),
}

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pong {
    /// The callee's clock, the one that says when its tags came in, as time since 1970.
    pub clock: Duration,
    /// How long the question and the answer took together.
    pub round_trip: Duration,
    /// The callee's release.
    pub release: String,
}
