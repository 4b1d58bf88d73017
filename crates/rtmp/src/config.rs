//! What can be set about one end of a connection, limits above all.

use std::time::Duration;

use crate::chunk;

/// Settings of a [`Session`](crate::Session). Everything a peer can grow has its bound here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Size of the chunks we send, announced right after the handshake. All players of a stream
    /// share one form of its bytes, so this is one number per node, not per connection.
    pub chunk_size: u32,
    /// How many bytes the peer may send before it wants an acknowledgement, as we announce it.
    pub window_ack: u32,
    /// The peer bandwidth we announce, limit type "dynamic".
    pub peer_bandwidth: u32,
    /// Longest message accepted.
    pub max_message: u32,
    /// Longest command or control message accepted; commands become values in memory, media does
    /// not.
    pub max_command: u32,
    /// Most memory that all half-received messages of one connection may hold together.
    pub max_partial: usize,
    /// Most memory for commands, half-received ones and those that wait for an answer together, of
    /// a connection on which nobody publishes yet. Of media it may have [`max_held`](Self::max_held)
    /// while it waits for an answer, half-received messages included, and none before it asks.
    pub max_unaccepted: usize,
    /// Most chunk streams a peer may use.
    pub max_chunk_streams: usize,
    /// Most message streams on one connection.
    pub max_streams: usize,
    /// Longest application or stream name; a longer one is refused.
    pub max_name: usize,
    /// Most bytes of messages kept while a `connect`, `publish` or `play` waits for its answer.
    pub max_held: usize,
    /// Most commands among them.
    pub max_held_commands: usize,
    /// Most messages of media and data among them; what comes above that is lost.
    pub max_held_media: usize,
    /// Most tags taken out of one aggregate message.
    pub max_aggregate: usize,
    /// Most bytes of answers waiting to be taken by [`poll_output`](crate::Session::poll_output).
    pub max_pending_output: usize,
    /// The handshake must end within this.
    pub handshake_timeout: Duration,
    /// `connect` must come within this after the handshake (OBS may take its time).
    pub connect_timeout: Duration,
    /// A publisher that sends no media for this long is cut, and a player for which neither
    /// input nor media moved.
    pub idle_timeout: Duration,
    /// Pause between two pings.
    pub ping_interval: Duration,
    /// A peer is dead when this has passed since a ping and nothing at all came from it nor
    /// went to it.
    pub ping_timeout: Duration,
    /// Which dialects of RTMP are accepted.
    pub enhanced: Enhanced,
}

/// Which dialects of RTMP a server takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enhanced {
    /// Enhanced RTMP is answered to those who announce it; everybody is welcome.
    #[default]
    Auto,
    /// Enhanced RTMP is never announced.
    Legacy,
    /// A client that does not announce Enhanced RTMP is rejected.
    Only,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            chunk_size: 65_536,
            window_ack: 2_500_000,
            peer_bandwidth: 2_500_000,
            max_message: 16 << 20,
            max_command: 64 << 10,
            max_partial: 24 << 20,
            max_unaccepted: 128 << 10,
            max_chunk_streams: 32,
            max_streams: 16,
            max_name: 1024,
            max_held: 4 << 20,
            max_held_commands: 256,
            max_held_media: 4096,
            max_aggregate: 4096,
            max_pending_output: 1 << 20,
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(60),
            enhanced: Enhanced::Auto,
        }
    }
}

impl Config {
    /// The outbound chunk size that really goes on the wire: 1 to 0xFFFFFF.
    #[must_use]
    pub fn outbound_chunk_size(&self) -> u32 {
        self.chunk_size.clamp(1, chunk::MAX_CHUNK_SIZE)
    }

    /// The part of the limits that the chunk reader enforces.
    #[must_use]
    pub fn chunk_limits(&self) -> chunk::Limits {
        chunk::Limits {
            max_message: self.max_message,
            max_command: self.max_command,
            max_partial: self.max_partial,
            max_chunk_streams: self.max_chunk_streams,
        }
    }
}
