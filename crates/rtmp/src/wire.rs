//! The chunk bytes of a tag, made once and written to every player.
//!
//! A full header with absolute time, a fixed chunk stream per kind, type 3 headers between the
//! pieces: nothing in them depends on what was written before, so players can pause, mute and
//! skip by whole messages without any state.

use bytes::{Bytes, BytesMut};
use flv::{Kind, Tag};

use crate::chunk::{CONTINUATION_MAX, HEADER_MAX, MAX_CHUNK_SIZE, put_continuation, put_header};
use crate::message;

/// Chunk stream of audio.
pub const AUDIO_CHUNK_STREAM: u32 = 4;
/// Chunk stream of video.
pub const VIDEO_CHUNK_STREAM: u32 = 6;
/// Chunk stream of data such as `onMetaData`.
pub const DATA_CHUNK_STREAM: u32 = 5;

/// Payloads up to this are copied behind their header: one slice less for every player's write
/// costs less than a copy once.
const INLINE: usize = 512;

/// The chunks of `tag` as slices to be written in order, with `timestamp` in place of the
/// tag's own. Longer payloads are shared, not copied. Nothing if the payload is longer than a
/// message can be.
#[must_use]
pub fn wire(tag: &Tag, timestamp: u32, chunk_size: u32, message_stream: u32) -> Vec<Bytes> {
    let (chunk_stream, kind) = match tag.kind {
        Kind::Audio => (AUDIO_CHUNK_STREAM, message::Kind::Audio),
        Kind::Video => (VIDEO_CHUNK_STREAM, message::Kind::Video),
        Kind::Data => (DATA_CHUNK_STREAM, message::Kind::Data),
    };
    let Ok(length @ 0..=0xFF_FFFF) = u32::try_from(tag.payload.len()) else {
        return Vec::new();
    };
    let size = chunk_size.clamp(1, MAX_CHUNK_SIZE) as usize;
    let inline = tag.payload.len() <= INLINE.min(size);
    let pieces = tag.payload.len().div_ceil(size).max(1);
    let mut headers = BytesMut::with_capacity(
        HEADER_MAX
            + if inline {
                tag.payload.len()
            } else {
                (pieces - 1) * CONTINUATION_MAX
            },
    );
    put_header(
        chunk_stream,
        timestamp,
        length,
        kind,
        message_stream,
        &mut headers,
    );
    if inline {
        headers.extend_from_slice(&tag.payload);
        return vec![headers.freeze()];
    }
    let first = headers.len();
    for _ in 1..pieces {
        put_continuation(chunk_stream, timestamp, &mut headers);
    }
    let headers = headers.freeze();
    let later = (headers.len() - first) / (pieces - 1).max(1);
    let mut slices = Vec::with_capacity(pieces * 2);
    for piece in 0..pieces {
        let header = if piece == 0 {
            0..first
        } else {
            first + (piece - 1) * later..first + piece * later
        };
        let payload = piece * size..((piece + 1) * size).min(tag.payload.len());
        slices.push(headers.slice(header));
        slices.push(tag.payload.slice(payload));
    }
    slices
}
