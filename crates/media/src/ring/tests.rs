//! What a ring promises, told tag by tag.

mod bounds;
mod joining;
mod reading;
mod replica;
mod window;

use std::time::Duration;

use bytes::Bytes;
use flv::{Kind, Tag};

use crate::{
    Configuration, Cursor, Cut, Epoch, Join, MarkedTag, Marker, Publisher, Pushed, ReadError, Ring,
    Segment, Start,
};

const MS: i64 = 1_000_000;

fn video(dts: u32, head: &[u8]) -> Tag {
    Tag::new(Kind::Video, dts, Bytes::copy_from_slice(head))
}

fn audio(dts: u32, head: &[u8]) -> Tag {
    Tag::new(Kind::Audio, dts, Bytes::copy_from_slice(head))
}

fn avc_header(dts: u32, flavour: u8) -> Tag {
    video(dts, &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, flavour])
}

fn keyframe(dts: u32) -> Tag {
    video(dts, &[0x17, 1, 0, 0, 0, 0xaa])
}

fn inter(dts: u32) -> Tag {
    video(dts, &[0x27, 1, 0, 0, 0, 0xbb])
}

fn aac_header(dts: u32) -> Tag {
    audio(dts, &[0xaf, 0, 0x11, 0x90])
}

fn aac(dts: u32) -> Tag {
    audio(dts, &[0xaf, 1, 0x21])
}

fn metadata(dts: u32, frame_rate: f64) -> Tag {
    let mut metadata = flv::Metadata::default();
    metadata.set("framerate", frame_rate);
    metadata.to_tag(dts)
}

/// Pushes tags that come in when their timestamps say.
fn push_all(publisher: &mut Publisher, tags: impl IntoIterator<Item = Tag>) -> Vec<Pushed> {
    tags.into_iter()
        .map(|tag| {
            let ingest = i64::from(tag.dts) * MS;
            publisher.push(tag, ingest).expect("not fenced")
        })
        .collect()
}

fn epoch(number: u64) -> Epoch {
    Epoch::new(number, 1)
}

/// All tags that are there to read.
fn drain(cursor: &mut Cursor) -> Vec<MarkedTag> {
    let mut all = Vec::new();
    loop {
        match cursor.read() {
            Ok(batch) if batch.is_empty() => return all,
            Ok(batch) => all.extend(batch.iter().cloned()),
            Err(ReadError::Ended(_)) => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a joiner gets: the payloads of the snapshot, then those of the tags.
fn join(ring: &Ring, start: Start) -> (Vec<Bytes>, Vec<MarkedTag>, Join) {
    let (mut cursor, join) = ring.cursor(start);
    let snapshot = join
        .configuration
        .tags
        .iter()
        .map(|tag| tag.tag.payload.clone())
        .collect();
    (snapshot, drain(&mut cursor), join)
}

fn payloads(tags: impl IntoIterator<Item = Tag>) -> Vec<Bytes> {
    tags.into_iter().map(|tag| tag.payload).collect()
}

fn times(tags: &[MarkedTag]) -> Vec<u32> {
    tags.iter().map(MarkedTag::play_ms).collect()
}

/// Each keyframe begins a segment, and ten are listed.
#[derive(Debug, Default)]
struct EachKeyframe {
    segments: u64,
}

impl Marker for EachKeyframe {
    fn mark(&mut self, tag: &MarkedTag, configuration: &Configuration) -> Option<Cut> {
        assert_eq!(tag.version, configuration.version);
        if !tag.keypoint {
            return None;
        }
        self.segments += 1;
        let msn = self.segments;
        Some(Cut {
            msn,
            part: 0,
            start: tag.time,
            segment: Some(segment(msn.saturating_sub(10).max(1), tag.time)),
        })
    }
}

fn segment(first_listed: u64, date_time: i64) -> Segment {
    Segment {
        first_listed,
        discontinuity: 1,
        version: 1,
        date_time,
        independent: true,
        target: Duration::from_secs(2),
        part_target: None,
    }
}
