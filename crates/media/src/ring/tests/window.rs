use super::*;
use crate::Limits;

const LIMITS: Limits = Limits {
    max_duration: Duration::from_secs(1),
    max_bytes: 1 << 20,
    ..Limits::DEFAULT
};

/// A keyframe a second, and so much sound in between that blocks fill.
fn push_seconds(publisher: &mut Publisher, seconds: std::ops::Range<u32>, bytes: usize) {
    for dts in seconds.map(|second| second * 1000) {
        let mut payload = keyframe(dts).payload.to_vec();
        payload.resize(bytes, 0);
        push_all(publisher, [video(dts, &payload)]);
        push_all(publisher, (1..50).map(|n| aac(dts + n * 20)));
    }
}

fn begin(ring: &Ring, number: u64) -> Publisher {
    let marker = Box::new(EachKeyframe::default());
    let mut publisher = ring.begin_marked(epoch(number), 0, marker);
    push_all(&mut publisher, [avc_header(0, 1), aac_header(0)]);
    publisher
}

/// The numbers of the segments that a backfill has.
fn backfill(ring: &Ring) -> Vec<u64> {
    let tags = join(ring, Start::Window).1;
    tags.iter()
        .filter(|tag| tag.segment().is_some())
        .filter_map(|tag| tag.cut().map(|cut| cut.msn))
        .collect()
}

#[test]
fn the_window_is_kept_whatever_the_other_bounds_say() {
    let ring = Ring::new(LIMITS);
    let mut publisher = begin(&ring, 1);
    push_seconds(&mut publisher, 0..60, 200_000);
    assert!(backfill(&ring).into_iter().eq(49..=60));
    let (_, tags, join) = join(&ring, Start::Window);
    assert!(tags[0].tag.is_keyframe() && !join.waits_for_keypoint);
    assert_eq!(join.next, Some((epoch(1), tags[0].number)));
    assert_eq!(join.configuration.tags.len(), 2);
    // That of the newest complete segment, and no more, give or take a block.
    let stats = ring.stats();
    assert!(stats.oldest + 64 > tags[0].seq, "{stats:?}");
}

#[test]
fn a_window_that_is_too_large_is_given_up_from_its_old_end() {
    let limits = Limits {
        max_window_bytes: 3 << 20,
        max_gop_bytes: 1 << 20,
        ..LIMITS
    };
    let ring = Ring::new(limits);
    let mut publisher = begin(&ring, 1);
    push_seconds(&mut publisher, 0..60, 500_000);
    let listed = backfill(&ring);
    assert!((5..8).contains(&listed.len()), "{listed:?}");
    assert_eq!(listed.last(), Some(&60));
    // Also where time stands still.
    for n in 0..50_000 {
        publisher.push(aac(60_000), n).unwrap();
    }
    assert!(ring.stats().bytes < 4 << 20, "{}", ring.stats().bytes);
}

#[test]
fn a_window_stays_over_a_change_of_publish_if_segments_go_on() {
    let ring = Ring::new(LIMITS);
    push_seconds(&mut begin(&ring, 1), 0..20, 10);
    let marker = Box::new(EachKeyframe { segments: 20 });
    let mut publisher = ring.begin_marked(epoch(2), 20_000 * MS, marker);
    push_all(&mut publisher, [avc_header(0, 2), aac_header(0)]);
    assert!(backfill(&ring).into_iter().eq(9..=20));
    push_seconds(&mut publisher, 0..5, 10);
    assert!(backfill(&ring).into_iter().eq(14..=25));
    let (_, _, join) = join(&ring, Start::Window);
    assert_eq!(join.configuration.epoch, epoch(1));
    // If not, nothing keeps the old one.
    let mut publisher = ring.begin(epoch(3), 0);
    push_all(&mut publisher, [avc_header(0, 3), aac_header(0)]);
    push_seconds(&mut publisher, 0..5, 10);
    assert_eq!(backfill(&ring), []);
    assert_eq!(ring.newest_segment(), None);
    assert!(ring.stats().tags < 150, "{}", ring.stats().tags);
    // Nor one of a numbering that begins below.
    push_seconds(&mut begin(&ring, 4), 0..30, 10);
    let mut publisher = begin(&ring, 5);
    push_seconds(&mut publisher, 0..20, 10);
    assert!(backfill(&ring).into_iter().eq(9..=20));
    assert!(ring.stats().tags < 650, "{}", ring.stats().tags);
}

#[test]
fn the_same_publish_again_keeps_its_marker_and_its_numbers() {
    let ring = Ring::new(LIMITS);
    push_seconds(&mut begin(&ring, 1), 0..3, 10);
    let marker = Box::new(EachKeyframe { segments: 100 });
    let mut again = ring.begin_marked(epoch(1), 0, marker);
    push_seconds(&mut again, 3..5, 10);
    assert!(backfill(&ring).into_iter().eq(1..=5));
    let numbers = join(&ring, Start::Oldest).1;
    assert!(numbers.iter().map(|tag| tag.number).eq(0..252));
}

#[test]
fn without_segments_a_backfill_begins_with_the_oldest_gop() {
    let ring = Ring::new(LIMITS);
    assert_eq!(join(&ring, Start::Window).2.position, 0);
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [avc_header(0, 1), aac_header(0), aac(0)]);
    assert_eq!(join(&ring, Start::Window).2.position, 0);
    push_seconds(&mut publisher, 0..60, 10);
    let (_, tags, join) = join(&ring, Start::Window);
    assert!(tags[0].tag.is_keyframe());
    assert!((50..130).contains(&tags.len()), "{}", tags.len());
    assert!(join.position >= ring.stats().oldest);
}

#[test]
fn a_reader_finds_its_place_by_epoch_and_number() {
    let ring = Ring::new(LIMITS);
    assert!(ring.resume(epoch(1), 0).is_none());
    assert_eq!(ring.next_number(), None);
    let mut publisher = begin(&ring, 1);
    push_seconds(&mut publisher, 0..30, 10);
    let at = |epoch_number: u64, number: u64| {
        let (mut cursor, join) = ring.resume(epoch(epoch_number), number)?;
        assert_eq!(cursor.position(), join.position);
        let first = drain(&mut cursor)
            .first()
            .map(|tag| (tag.epoch, tag.number));
        assert!(first.is_none() || first == join.next);
        join.next.map(|(epoch, number)| (epoch.number, number))
    };
    let head = ring.head();
    let oldest = ring.stats().oldest;
    for number in [oldest, oldest + 1, oldest + 31, oldest + 32, head - 1, head] {
        assert_eq!(at(1, number), Some((1, number)));
    }
    assert_eq!(ring.next_number(), Some((epoch(1), head)));
    assert_eq!(at(1, oldest - 1), None, "too late");
    assert_eq!(at(1, head + 7), Some((1, head)), "it is ahead of us");
    assert_eq!(at(2, 0), None, "we know nothing of it");
    assert_eq!(at(0, 5), None, "nor of that");

    // Who has all of an epoch goes on with the next.
    let mut publisher = ring.begin(epoch(2), 0);
    assert_eq!(at(1, head), Some((2, 0)));
    assert_eq!(at(1, head + 1), Some((2, 0)));
    push_all(&mut publisher, [avc_header(0, 1), keyframe(0)]);
    assert_eq!(at(1, head - 1), Some((1, head - 1)));
    assert_eq!(at(1, head), Some((2, 0)));
    assert_eq!(at(2, 1), Some((2, 1)));
    assert_eq!(at(2, 2), Some((2, 2)));
    // But not if some of it may be missing.
    push_all(&mut publisher, [aac_header(80)]);
    push_seconds(&mut publisher, 1..40, 10);
    assert!(ring.stats().oldest > head + 32);
    assert_eq!(at(1, head), None);
}

#[test]
fn the_newest_segment_ends_with_its_last_frame() {
    let ring = Ring::new(LIMITS);
    let mut publisher = begin(&ring, 1);
    assert_eq!(ring.newest_segment(), None);
    push_all(&mut publisher, [keyframe(1000)]);
    let newest = ring.newest_segment().unwrap();
    assert_eq!((newest.msn, newest.end), (1, 1000 * MS));
    push_all(&mut publisher, [inter(1040), aac(1050)]);
    assert_eq!(ring.newest_segment().unwrap().end, 1080 * MS);
    push_all(&mut publisher, [aac(1300)]);
    assert_eq!(ring.newest_segment().unwrap().end, 1300 * MS);
    push_all(&mut publisher, [keyframe(2000), inter(2100)]);
    let newest = ring.newest_segment().unwrap();
    assert_eq!((newest.msn, newest.epoch), (2, epoch(1)));
    assert_eq!(newest.end, 2200 * MS, "a frame lasts as long as the last");
}

#[test]
fn the_configuration_with_a_tag_has_what_that_tag_changes() {
    let ring = Ring::new(LIMITS);
    let mut publisher = begin(&ring, 1);
    push_all(
        &mut publisher,
        [keyframe(0), avc_header(40, 2), keyframe(40)],
    );
    for tag in join(&ring, Start::Oldest).1 {
        let configuration = ring.configuration_at(tag.seq).unwrap();
        assert_eq!(configuration.version, tag.version);
    }
    assert!(ring.configuration_at(ring.head()).is_none());
    push_seconds(&mut publisher, 1..30, 10);
    assert!(ring.configuration_at(0).is_none());
}
