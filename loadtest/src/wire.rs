//! The chunks of a clip, made ahead.

use crate::chunk::{self, Header, kind};
use crate::clip::{Clip, Tag};
use crate::stamp;

/// The chunks of the clip's tags, made once; what differs from send to send is written over.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) tags: Vec<WireTag>,
    pub(crate) cycle_ms: u32,
    chunk_size: usize,
}

/// One tag as it goes out.
#[derive(Clone)]
pub(crate) struct WireTag {
    pub(crate) ms: u32,
    pub(crate) kind: u8,
    pub(crate) payload: usize,
    bytes: Vec<u8>,
    stamp: Option<usize>,
}

/// The length of a full chunk header (RTMP 5.3.1) with a channel below 64.
const HEADER: usize = 12;

impl WireTag {
    /// The number after `number`: only tags that can carry one are counted.
    pub(crate) fn number_after(&self, number: u32) -> u32 {
        number.wrapping_add(u32::from(self.stamp.is_some()))
    }
}

impl Wire {
    pub(crate) fn new(clip: &Clip, chunk_size: usize) -> Self {
        let tags = clip.tags.iter().map(|tag| {
            let mut bytes = Vec::with_capacity(tag.payload.len() + 64);
            write_tag(&mut bytes, tag, 0, 0, chunk_size);
            // A stamp that a chunk header cuts in two could not be written in one piece.
            let stamp = tag
                .stamp
                .filter(|at| at + stamp::LENGTH <= chunk_size)
                .map(|at| at + HEADER);
            WireTag {
                ms: tag.ms,
                kind: tag.kind,
                payload: tag.payload.len(),
                bytes,
                stamp,
            }
        });
        Self {
            tags: tags.collect(),
            cycle_ms: clip.cycle_ms,
            chunk_size,
        }
    }

    /// The bytes of a tag, for this time, message stream, clock and number.
    pub(crate) fn ready(
        &mut self,
        index: usize,
        time: u32,
        stream: u32,
        ns: u64,
        number: u32,
    ) -> &[u8] {
        let size = self.chunk_size;
        let Some(tag) = self.tags.get_mut(index) else {
            return &[];
        };
        // An extended timestamp stands in every chunk, which moves all bytes: after 4.6 hours
        // time begins again rather than send a tag of another shape.
        let [_, time @ ..] = (time % 0xFF_FFFF).to_be_bytes();
        debug_assert!(size > 0);
        if let Some(field) = tag.bytes.get_mut(1..4) {
            field.copy_from_slice(&time);
        }
        if let Some(field) = tag.bytes.get_mut(8..HEADER) {
            field.copy_from_slice(&stream.to_le_bytes());
        }
        if let Some(bytes) = tag.stamp.and_then(|at| tag.bytes.get_mut(at..)) {
            stamp::patch(bytes, ns, number);
        }
        &tag.bytes
    }
}

/// Appends a tag in chunks, on the channel of its kind.
pub(crate) fn write_tag(out: &mut Vec<u8>, tag: &Tag, time: u32, stream: u32, chunk_size: usize) {
    let channel = match tag.kind {
        kind::AUDIO => 4,
        kind::VIDEO => 6,
        _ => 5,
    };
    let header = Header {
        kind: tag.kind,
        timestamp: time,
        stream,
    };
    chunk::write(out, channel, header, &tag.payload, chunk_size);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_the_wire_and_damage_is_seen() {
        let clip = Clip::synthesise(2_155_000).unwrap();
        let mut wire = Wire::new(&clip, 4096);
        for index in 0..4 {
            let bytes = wire
                .ready(index, 1234, 1, 0x0123_4567_89ab_cdef, 77)
                .to_vec();
            let mut parser = chunk::Parser::new(4096);
            let mut tags = Vec::new();
            parser
                .push(&bytes, &mut |header, payload| {
                    tags.push((header, payload.to_vec()));
                    Ok(())
                })
                .unwrap();
            let (header, mut payload) = tags.pop().unwrap();
            assert_eq!((header.timestamp, header.stream), (1234, 1));
            let video = header.kind == kind::VIDEO;
            let read = stamp::read(video, &payload).unwrap();
            assert_eq!(
                read,
                stamp::Stamp {
                    sent_ns: 0x0123_4567_89ab_cdef,
                    number: 77,
                    intact: true
                }
            );
            *payload.last_mut().unwrap() ^= 1;
            assert!(!stamp::read(video, &payload).unwrap().intact);
        }
    }
}
