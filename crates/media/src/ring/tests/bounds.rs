use std::time::Duration;

use super::*;
use crate::{DropReason, Limits};

fn large(tag: Tag, bytes: usize) -> Tag {
    let mut payload = tag.payload.to_vec();
    payload.resize(bytes, 0x55);
    Tag::new(tag.kind, tag.dts, payload.into())
}

#[test]
fn old_tags_go_by_bytes_but_the_gop_stays_whole() {
    let limits = Limits {
        max_bytes: 100_000,
        ..Limits::default()
    };
    let ring = Ring::new(limits);
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [avc_header(0, 1)]);
    for gop in 0..20_u32 {
        let start = gop * 100_000 / 25;
        push_all(&mut publisher, [large(keyframe(start), 10_000)]);
        // Each GOP is larger than the bound.
        push_all(
            &mut publisher,
            (1..100).map(|n| large(inter(start + n * 40), 2_000)),
        );
        let (_, tags, join) = join(&ring, Start::CaughtUp);
        assert!(!join.waits_for_keypoint);
        assert_eq!(tags.len(), 100);
        let stats = ring.stats();
        assert_eq!(stats.gop_tags, 100);
        assert!(stats.bytes < 100_000 + 2 * 300_000, "{}", stats.bytes);
    }
    assert!(ring.stats().oldest > 1000);
}

#[test]
fn old_tags_go_by_time_but_the_gop_stays_whole() {
    let limits = Limits {
        max_duration: Duration::from_secs(2),
        ..Limits::default()
    };
    let ring = Ring::new(limits);
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [avc_header(0, 1), keyframe(0)]);
    push_all(&mut publisher, (1..250).map(|n| inter(n * 40)));
    assert_eq!(ring.stats().tags, 251);
    assert_eq!(ring.stats().gop_duration, Duration::from_millis(249 * 40));
    push_all(&mut publisher, [keyframe(10_000)]);
    push_all(&mut publisher, (1..50).map(|n| inter(10_000 + n * 40)));
    let stats = ring.stats();
    // Two seconds are 50 tags; blocks are dropped whole.
    assert!(stats.tags <= 50 + 2 * 32, "{}", stats.tags);
    assert_eq!(stats.tags, stats.head - stats.oldest);
    assert_eq!(stats.keyframe_interval, Some(Duration::from_secs(10)));
}

#[test]
fn a_gop_without_end_is_given_up_and_joiners_wait_for_the_next() {
    let limits = Limits {
        max_bytes: 50_000,
        max_gop_bytes: 200_000,
        ..Limits::default()
    };
    let ring = Ring::new(limits);
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [avc_header(0, 1), keyframe(0)]);
    for n in 1..2000 {
        push_all(&mut publisher, [large(inter(n * 40), 1000)]);
        assert!(ring.stats().bytes < 300_000);
    }
    let stats = ring.stats();
    assert_eq!(stats.gops_abandoned, 1);
    assert!(stats.bytes < 100_000);
    assert!(ring.cursor(Start::CaughtUp).1.waits_for_keypoint);
    push_all(&mut publisher, [keyframe(80_000), inter(80_040)]);
    let (_, tags, join) = join(&ring, Start::CaughtUp);
    assert!(!join.waits_for_keypoint);
    assert_eq!(times(&tags), [80_000, 80_040]);
}

#[test]
fn few_huge_tags_are_bounded_like_many_small_ones() {
    let limits = Limits {
        max_bytes: 1 << 20,
        max_gop_bytes: 1 << 20,
        ..Limits::default()
    };
    let ring = Ring::new(limits);
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [avc_header(0, 1)]);
    let (mut cursor, _) = ring.cursor(Start::Live);
    for n in 0..100 {
        push_all(&mut publisher, [large(keyframe(n * 40), 500_000)]);
        assert!(ring.stats().bytes < 2 << 20);
        // A block that was closed early leads on to the next.
        assert_eq!(drain(&mut cursor).len(), 1);
    }
}

#[test]
fn empty_tags_are_bounded_by_what_they_cost_us() {
    let limits = Limits {
        max_bytes: 1 << 20,
        max_gop_bytes: 1 << 20,
        ..Limits::default()
    };
    let ring = Ring::new(limits);
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [aac_header(0)]);
    for _ in 0..50_000 {
        publisher.push(aac(0), 0).unwrap();
    }
    assert!(ring.stats().tags * 200 < 2 << 20, "{}", ring.stats().tags);
    // A change of configuration costs more still.
    for n in 0..50_000_u32 {
        let header = audio(0, &[&[0xaf, 0, 0x11, 0x90], &n.to_be_bytes()[..]].concat());
        publisher.push(header, 0).unwrap();
    }
    assert!(ring.stats().tags * 2048 < 2 << 20, "{}", ring.stats().tags);
}

#[test]
fn metadata_costs_no_more_than_is_counted() {
    let limits = Limits {
        max_bytes: 1 << 20,
        max_gop_bytes: 1 << 20,
        ..Limits::default()
    };
    let ring = Ring::new(limits);
    let mut publisher = ring.begin(epoch(1), 0);
    // An object of five members, then references to it: 128 times as large once decoded.
    let mut payload = b"\x02\0\x0aonMetaData\x03\0\x01a\x03".to_vec();
    (0..5).for_each(|_| payload.extend_from_slice(b"\0\x01b\x05"));
    payload.extend_from_slice(b"\0\0\x09");
    while payload.len() < 60_000 {
        payload.extend_from_slice(b"\0\0\x07\0\x01");
    }
    for n in 0..200_u32 {
        let payload = [&payload[..], &n.to_be_bytes()[..]].concat();
        let pushed = publisher.push(Tag::new(Kind::Data, 0, payload.into()), 0);
        assert!(matches!(pushed, Ok(Pushed::Stored(_))));
        assert!(ring.stats().bytes < 2 << 20);
    }
    // Of what is too much to read nothing is known, and the values are nowhere kept.
    let configuration = ring.configuration();
    assert_eq!(configuration.tags.len(), 1);
    assert_eq!(configuration.metadata(), Some(flv::Metadata::default()));

    let long = large(metadata(0, 25.0), (64 << 10) + 1);
    let pushed = publisher.push(long, 0);
    assert_eq!(pushed, Ok(Pushed::Dropped(DropReason::TooLarge)));
}

#[test]
fn a_record_does_not_pin_the_buffer_it_came_in() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let header = avc_header(0, 1);
    let mut whole = header.payload.to_vec();
    let len = whole.len();
    whole.resize(1 << 20, 0);
    let whole = Bytes::from(whole);
    let tag = Tag::new(Kind::Video, 0, whole.slice(..len));
    push_all(&mut publisher, [tag]);
    assert!(whole.is_unique());
    assert_eq!(ring.configuration().tags.len(), 1);
}
