use bytes::{BufMut, BytesMut};

use super::{DEFAULT_CHUNK_SIZE, EXTENDED, MAX_CHUNK_SIZE};
use crate::message::{Kind, Message};

/// Longest header of a first chunk: three bytes basic, eleven fixed, four extended.
pub(crate) const HEADER_MAX: usize = 18;
/// Longest header of a later chunk.
pub(crate) const CONTINUATION_MAX: usize = 7;

/// Cuts messages into chunks.
///
/// Every message gets a full header with absolute time, so nothing depends on what was sent
/// before, and messages written by others may go between ours.
#[derive(Debug)]
pub struct ChunkWriter {
    chunk_size: u32,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkWriter {
    /// A writer at the beginning of a chunk stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE,
        }
    }

    /// The size of the chunks written from now on.
    #[must_use]
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Appends the chunks of `message` to `out`. Set Chunk Size takes effect with the very next
    /// message. A payload beyond 0xFFFFFF bytes cannot be said in RTMP and is left out.
    pub fn write(&mut self, message: &Message, out: &mut BytesMut) {
        let Ok(length @ 0..=0xFF_FFFF) = u32::try_from(message.payload.len()) else {
            return;
        };
        let size = self.chunk_size as usize;
        let chunks = message.payload.len() / size + 1;
        out.reserve(HEADER_MAX + message.payload.len() + chunks * CONTINUATION_MAX);
        put_header(
            message.chunk_stream,
            message.timestamp,
            length,
            message.kind,
            message.stream_id,
            out,
        );
        for (index, piece) in message.payload.chunks(size).enumerate() {
            if index > 0 {
                put_continuation(message.chunk_stream, message.timestamp, out);
            }
            out.put_slice(piece);
        }
        if let (Kind::SetChunkSize, Some(size)) = (message.kind, message.value()) {
            self.chunk_size = size.clamp(1, MAX_CHUNK_SIZE);
        }
    }
}

/// A type 0 header.
pub(crate) fn put_header(
    chunk_stream: u32,
    timestamp: u32,
    length: u32,
    kind: Kind,
    stream_id: u32,
    out: &mut BytesMut,
) {
    put_basic(0, chunk_stream, out);
    out.put_uint(timestamp.min(EXTENDED).into(), 3);
    out.put_uint(length.into(), 3);
    out.put_u8(kind.into());
    out.put_u32_le(stream_id);
    put_extended(timestamp, out);
}

/// A type 3 header; it repeats the extended field (RTMP 5.3.1.3).
pub(crate) fn put_continuation(chunk_stream: u32, timestamp: u32, out: &mut BytesMut) {
    put_basic(3, chunk_stream, out);
    put_extended(timestamp, out);
}

fn put_extended(timestamp: u32, out: &mut BytesMut) {
    if timestamp >= EXTENDED {
        out.put_u32(timestamp);
    }
}

fn put_basic(format: u8, chunk_stream: u32, out: &mut BytesMut) {
    let format = format << 6;
    match chunk_stream {
        // Below 2 there is no chunk stream to name; 2 is the nearest.
        0..=63 => out.put_u8(format | chunk_stream.max(2) as u8),
        64..=319 => out.put_slice(&[format, (chunk_stream - 64) as u8]),
        _ => {
            let id = chunk_stream.min(65_599) - 64;
            out.put_slice(&[format | 1, id as u8, (id >> 8) as u8]);
        }
    }
}
