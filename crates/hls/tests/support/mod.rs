//! Streams that are cut, and what must hold of any.
#![allow(dead_code, reason = "each test uses some of it")]

pub(crate) mod captures;
pub(crate) mod nodes;
pub(crate) mod packaged;
pub(crate) mod streams;

use std::time::Duration;

use bytes::Bytes;
use flv::{Kind, Metadata, Tag};
use media::{Epoch, Limits, MarkedTag, Publisher, ReadError, Relayed, Ring, Segment, Start};
use weir_hls::{Config, Cutter, Mode, Numbering};

pub(crate) const MS: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1000 * MS;
/// A day in 2025.
pub(crate) const NOW: i64 = 1_750_000_000 * SECOND;

/// A ring that keeps all of a test's stream.
pub(crate) fn ring() -> Ring {
    Ring::new(Limits {
        max_duration: Duration::from_secs(1 << 20),
        max_bytes: 1 << 30,
        ..Limits::default()
    })
}

pub(crate) fn begin(ring: &Ring, epoch: u64, config: &Config, numbering: &Numbering) -> Publisher {
    let cutter = Box::new(Cutter::new(config, numbering));
    ring.begin_marked(Epoch::new(epoch, 1), NOW, cutter)
}

/// Pushes tags that come in when their timestamps say.
pub(crate) fn push(publisher: &mut Publisher, tags: impl IntoIterator<Item = Tag>) {
    for tag in tags {
        let ingest = NOW + i64::from(tag.dts) * MS;
        publisher.push(tag, ingest).expect("the only publisher");
    }
}

/// The tags of a stream, cut.
pub(crate) fn cut(config: &Config, tags: impl IntoIterator<Item = Tag>) -> Vec<MarkedTag> {
    let ring = ring();
    let numbering = Numbering::after_crash(None, NOW);
    push(&mut begin(&ring, 1, config, &numbering), tags);
    all(&ring, Start::Oldest)
}

pub(crate) fn all(ring: &Ring, start: Start) -> Vec<MarkedTag> {
    let mut cursor = ring.cursor(start).0;
    let mut tags = Vec::new();
    loop {
        match cursor.read() {
            Ok(batch) if !batch.is_empty() => tags.extend(batch.iter().cloned()),
            Ok(_) | Err(ReadError::Ended(_)) => return tags,
            Err(error) => panic!("something is lost: {error}"),
        }
    }
}

/// A part that is complete.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) msn: u64,
    pub(crate) number: u32,
    pub(crate) start: i64,
    pub(crate) length: i64,
    /// Whether a segment ends with it.
    pub(crate) last: bool,
    /// What is in it.
    pub(crate) tags: Vec<MarkedTag>,
}

/// The complete parts of one publish, and its segments.
pub(crate) fn parts(tags: &[MarkedTag]) -> (Vec<Part>, Vec<(u64, i64, Segment)>) {
    let mut parts: Vec<Part> = Vec::new();
    let mut segments: Vec<(u64, i64, Segment)> = Vec::new();
    for tag in tags {
        if let Some(cut) = tag.cut() {
            let limit = segments.last().map(|(.., it)| it);
            if let (Some(open), Some(segment)) = (parts.last_mut(), limit) {
                let limit = i64::try_from(segment.longest_part().as_nanos()).unwrap();
                open.length = (cut.start - open.start).min(limit);
                open.last = cut.segment.is_some();
            }
            if let Some(segment) = &cut.segment {
                segments.push((cut.msn, cut.start, segment.clone()));
            }
            parts.push(Part {
                msn: cut.msn,
                number: cut.part,
                start: cut.start,
                length: 0,
                last: false,
                tags: Vec::new(),
            });
        }
        if let Some(part) = parts.last_mut() {
            part.tags.push(tag.clone());
        }
    }
    parts.pop();
    (parts, segments)
}

/// The lengths of the complete segments, in nanoseconds.
pub(crate) fn segment_lengths(parts: &[Part]) -> Vec<i64> {
    let mut lengths = Vec::new();
    let mut length = 0;
    for part in parts {
        length += part.length;
        if part.last {
            lengths.push(length);
            length = 0;
        }
    }
    lengths
}

/// What must hold of any stream, however strange.
pub(crate) fn check(config: &Config, tags: &[MarkedTag]) {
    let (parts, segments) = parts(tags);
    let Some((first, _, head)) = segments.first() else {
        assert!(parts.is_empty());
        return;
    };
    let nanoseconds = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap();
    let longest = config.longest_target();
    assert_eq!(head.target, longest, "of the first nobody knows");
    assert_eq!(head.part_target.is_some(), config.mode == Mode::LowLatency);

    // Parts: numbered without a gap, none empty, and as long as they may be.
    let (mut msn, mut number) = (*first, 0);
    for part in &parts {
        assert_eq!((part.msn, part.number), (msn, number));
        (msn, number) = match part.last {
            true => (msn + 1, 0),
            false => (msn, number + 1),
        };
        assert!(part.tags[0].tag.is_frame(), "a frame begins it");
        assert!(part.length > 0, "{}.{}", part.msn, part.number);
        if let Some(target) = head.part_target.map(nanoseconds) {
            assert!(part.length <= target, "{}", part.length);
            let least = part.last || part.length * 100 >= target * 85;
            assert!(least, "{} of {target}", part.length);
            assert_eq!(target % MS, 0);
        }
    }
    // Segments: as many a second as there are numbers for, and none that the target does not hold.
    // What is told once it is listed, by the next.
    for (at, length) in segment_lengths(&parts).into_iter().enumerate() {
        let told = segments.get(at + 1).map_or(longest, |next| next.2.target);
        assert!(told <= longest && told >= config.least_target());
        let rounded = (length + SECOND / 2) / SECOND;
        assert!(rounded <= told.as_secs() as i64, "{length}");
    }
    let begun = segments[0].1;
    for (at, (msn, start, _)) in segments.iter().enumerate() {
        assert_eq!(*msn, first + at as u64);
        let elapsed = start + nanoseconds(head.longest_part()) - begun;
        assert!(at as i64 <= elapsed * 4 / SECOND + 2, "{at} by {start}");
    }
    let mut torn = false;
    for (before, after) in segments.iter().zip(&segments[1..]) {
        let ((_, start, old), (msn, next, new)) = (before, after);
        assert!(next > start);
        // One base of dates for all.
        assert_eq!(new.date_time - old.date_time, next - start);
        assert!(new.first_listed >= old.first_listed && new.first_listed <= *msn);
        assert!((old.discontinuity..=old.discontinuity + 1).contains(&new.discontinuity));
        // Where one begins in the middle of a GOP there was no keyframe for long, or else there is
        // a discontinuity.
        let long = next - start + nanoseconds(new.part_target.unwrap_or(config.segment));
        let is_long = long >= nanoseconds(old.target.min(2 * config.segment));
        assert!(new.independent || is_long || old.discontinuity < new.discontinuity);
        // Another initialisation comes with a discontinuity.
        assert!(old.version == new.version || old.discontinuity < new.discontinuity);
        assert_eq!(new.part_target, old.part_target);
        // It is learnt from the first, and grows where a segment had to begin without a keyframe.
        let is_first = *msn == first + 1;
        assert!(is_first || new.target >= old.target);
        torn |= !old.independent;
        assert!(is_first || new.target == old.target || torn);
    }
    // The list: long enough for players to begin, and no longer than that takes.
    let lengths = segment_lengths(&parts);
    for (msn, _, segment) in &segments {
        let listed = (msn - segment.first_listed) as usize;
        let complete = (msn - first) as usize;
        let shown = &lengths[complete - listed.min(complete)..complete];
        let (window, most) = (config.window as usize, 4 * config.window as usize);
        assert!(listed <= most);
        if listed < complete {
            assert!(listed >= window);
            let long = shown.iter().sum::<i64>() >= 3 * nanoseconds(longest);
            assert!(long || listed == most, "{listed}");
        }
    }
    // Keyframes begin what they begin.
    for tag in tags.iter().filter(|tag| tag.segment().is_some()) {
        let segment = tag.segment().unwrap();
        assert_eq!(segment.independent, tag.keypoint);
        assert!(segment.version <= tag.version);
    }
}

/// Pulls what `origin` has from its window on, as an edge does.
pub(crate) fn pulled(origin: &Ring) -> Ring {
    let edge = ring();
    let mut replica = edge.replica();
    let (mut cursor, join) = origin.cursor(Start::Window);
    if let Some(description) = join.describe(true) {
        replica.describe(description).expect("the only one");
    }
    loop {
        let batch = cursor.read().expect("nothing is lost");
        if batch.is_empty() {
            break;
        }
        for tag in batch {
            replica.push(Relayed::from(tag)).expect("in order");
        }
    }
    edge
}

/// What a packager makes of a segment that is complete, or the same of a part, in short.
pub(crate) fn made(ring: &Ring) -> Vec<String> {
    let tags = all(ring, Start::Window);
    let (parts, segments) = parts(&tags);
    let mut made: Vec<String> = Vec::new();
    for (msn, start, segment) in segments {
        let first = tags
            .iter()
            .find(|it| it.cut().is_some_and(|cut| cut.msn == msn));
        let first = first.expect("its first tag");
        let configuration = ring.configuration_at(first.seq).expect("still there");
        let records = configuration.tags.iter().map(|it| &it.tag);
        let records: Vec<_> = records.filter(|tag| !tag.is_metadata()).collect();
        let (video, audio) = (&configuration.video, &configuration.audio);
        made.push(format!(
            "{msn} {start} {segment:?} {records:?} {video:?} {audio:?}"
        ));
    }
    for part in parts {
        let tags = part
            .tags
            .iter()
            .map(|it| (it.number, it.time, it.composition));
        let Part {
            msn,
            number,
            start,
            length,
            ..
        } = part;
        let tags: Vec<_> = tags.collect();
        made.push(format!("{msn}.{number} {start} {length} {tags:?}"));
    }
    made
}

pub(crate) fn video(dts: u32, payload: &[u8]) -> Tag {
    Tag::new(Kind::Video, dts, Bytes::copy_from_slice(payload))
}

pub(crate) fn audio(dts: u32, payload: &[u8]) -> Tag {
    Tag::new(Kind::Audio, dts, Bytes::copy_from_slice(payload))
}

pub(crate) fn avc_header(dts: u32, flavour: u8) -> Tag {
    video(dts, &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, flavour])
}

pub(crate) fn keyframe(dts: u32) -> Tag {
    video(dts, &[0x17, 1, 0, 0, 0, 0xaa])
}

pub(crate) fn inter(dts: u32) -> Tag {
    video(dts, &[0x27, 1, 0, 0, 0, 0xbb])
}

/// 48 kHz.
pub(crate) fn aac_header(dts: u32) -> Tag {
    audio(dts, &[0xaf, 0, 0x11, 0x90])
}

/// 44.1 kHz.
pub(crate) fn other_aac_header(dts: u32) -> Tag {
    audio(dts, &[0xaf, 0, 0x12, 0x10])
}

pub(crate) fn aac(dts: u32) -> Tag {
    audio(dts, &[0xaf, 1, 0x21])
}

pub(crate) fn metadata(values: &[(&str, f64)]) -> Tag {
    let mut metadata = Metadata::default();
    values
        .iter()
        .for_each(|(name, value)| metadata.set(name, *value));
    metadata.to_tag(0)
}

/// Pictures at `rate` a second with a keyframe every `gop`, of so many seconds.
pub(crate) fn pictures(rate: f64, gop: u32, seconds: f64) -> Vec<Tag> {
    let frames = (rate * seconds) as u32;
    let dts = |n: u32| (f64::from(n) * 1000.0 / rate).round() as u32;
    let picture = |n: u32| match n % gop {
        0 => keyframe(dts(n)),
        _ => inter(dts(n)),
    };
    (0..frames).map(picture).collect()
}

/// Sound of so many seconds, at 48 kHz.
pub(crate) fn sound(seconds: f64) -> Vec<Tag> {
    let frames = (seconds * 48_000.0 / 1024.0) as u32;
    let dts = |n: u32| (f64::from(n) * 1024.0 / 48.0).round() as u32;
    (0..frames).map(|n| aac(dts(n))).collect()
}

/// In the order of their times, headers first.
pub(crate) fn interleaved(headers: Vec<Tag>, tracks: &[Vec<Tag>]) -> Vec<Tag> {
    let mut frames: Vec<Tag> = tracks.iter().flatten().cloned().collect();
    frames.sort_by_key(|tag| tag.dts);
    [headers, frames].concat()
}
