//! The chunk stream (RTMP 5.3): messages cut into chunks so that they can interleave.

mod reader;
mod room;
mod writer;

pub use reader::ChunkReader;
pub(crate) use room::Room;
pub use writer::ChunkWriter;
pub(crate) use writer::{CONTINUATION_MAX, HEADER_MAX, put_continuation, put_header};

use crate::message::Kind;

/// What both sides begin with (RTMP 5.4.1).
pub const DEFAULT_CHUNK_SIZE: u32 = 128;
/// No chunk is longer than the longest message.
pub const MAX_CHUNK_SIZE: u32 = 0xFF_FFFF;
/// A 24-bit timestamp field with this value is followed by a 32-bit one.
pub(crate) const EXTENDED: u32 = 0xFF_FFFF;

/// Bounds of what a [`ChunkReader`] accepts and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest message.
    pub max_message: u32,
    /// Longest command or control message.
    pub max_command: u32,
    /// Most memory in half-received messages.
    pub max_partial: usize,
    /// Most chunk streams.
    pub max_chunk_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        crate::Config::default().chunk_limits()
    }
}

/// Why a chunk stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A message declares more than the limit.
    #[error("a message of kind {kind:?} and {length} bytes is over the limit of {limit}")]
    TooLong {
        /// What the message is.
        kind: Kind,
        /// What it declares.
        length: u32,
        /// What is allowed.
        limit: u32,
    },
    /// More chunk streams than allowed.
    #[error("more than {0} chunk streams")]
    TooManyChunkStreams(usize),
    /// Half-received messages hold more memory than allowed.
    #[error("half-received messages hold more than {0} bytes")]
    TooMuchHeld(usize),
    /// A chunk refers to a header that never came.
    #[error("chunk stream {0} begins without a header")]
    NoHeader(u32),
    /// Set Chunk Size with zero: nothing could follow.
    #[error("chunk size 0")]
    ZeroChunkSize,
}
