//! How much and how long: the settings of both sides.

use std::time::Duration;

/// How much the relay may take up and how long it waits. The defaults are right for nodes of one data centre and
/// for nodes an ocean apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Bytes of one message; a tag that is larger gets a message of its own.
    pub batch_bytes: usize,
    /// What one pull may have under way: throughput is at most this per round trip.
    pub stream_window: u32,
    /// The longest HTTP/2 frame.
    pub frame_bytes: u32,
    /// Connections to one node, among which streams are spread by their keys.
    pub connections_per_peer: usize,
    /// A connection that nobody uses any more is closed after this.
    pub linger: Duration,
    /// A connection must be made within this.
    pub connect_timeout: Duration,
    /// An answer must come within this.
    pub call_timeout: Duration,
    /// A peer from which nothing came for this long is pinged…
    pub ping_interval: Duration,
    /// …and must answer within this.
    pub ping_timeout: Duration,
    /// A caller must have authenticated itself within this.
    pub handshake_timeout: Duration,
    /// Connections at a time whose callers have not authenticated themselves. Beyond, the oldest of them is closed,
    /// of those networks first that have more than a sixteenth.
    pub max_strangers: usize,
    /// Pulls and calls at a time on one connection.
    pub max_streams: u32,
    /// How many nodes a stream may pass.
    pub max_hops: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            batch_bytes: 512 << 10,
            stream_window: 8 << 20,
            frame_bytes: 1 << 20,
            connections_per_peer: 4,
            linger: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(2),
            ping_timeout: Duration::from_secs(3),
            handshake_timeout: Duration::from_secs(5),
            max_strangers: 256,
            max_streams: 10_000,
            max_hops: 8,
        }
    }
}

/// The longest message down: a tag as long as FLV can say, and corrected metadata with it.
pub(crate) const MAX_DOWN: usize = (16 << 20) + (2 << 20);

/// The longest message up, and the longest request.
pub(crate) const MAX_UP: usize = 64 << 10;
