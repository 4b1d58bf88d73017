//! How often the memory allocator is asked: per tag by the writer, and never by a reader.

use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use bytes::Bytes;
use flv::{Kind, Tag};
use weir_media::{Cursor, Epoch, Limits, Publisher, Ring, Start, Wire};

fn ring() -> (Ring, Publisher) {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(Epoch::new(1, 1), 0);
    let header = Bytes::from_static(&[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff]);
    publisher.push(Tag::new(Kind::Video, 0, header), 0).unwrap();
    (ring, publisher)
}

fn frames(range: std::ops::Range<u32>) -> Vec<Tag> {
    let frame = |n: u32| {
        let payload: &[u8] = if n.is_multiple_of(50) {
            &[0x17, 1, 0, 0, 0, 1]
        } else {
            &[0x27, 1, 0, 0, 0, 2]
        };
        Tag::new(Kind::Video, n * 40, Bytes::from_static(payload))
    };
    range.map(frame).collect()
}

fn push(publisher: &mut Publisher, tags: Vec<Tag>) {
    for tag in tags {
        let ingest = i64::from(tag.dts) * 1_000_000;
        publisher.push(tag, ingest).unwrap();
    }
}

fn read_all(cursors: &mut [Cursor]) -> u64 {
    let mut tags = 0;
    for cursor in cursors {
        loop {
            let batch = cursor.read().unwrap();
            if batch.is_empty() {
                break;
            }
            for tag in batch {
                tags += u64::from(tag.wire[0].get().is_some());
            }
        }
    }
    tags
}

#[test]
fn reading_allocates_nothing() {
    let (ring, mut publisher) = ring();
    let mut cursors: Vec<_> = (0..100).map(|_| ring.cursor(Start::Live).0).collect();
    push(&mut publisher, frames(0..200));
    // The first reader makes the wire forms, the others find them.
    let (mut first, _) = ring.cursor(Start::Oldest);
    while let Some(tag) = first.read_at_most(1).unwrap().first() {
        tag.wire[0].get_or_make(|| Wire::new([tag.tag.payload.clone()]));
    }
    let mut tags = 0;
    let info = measure(|| tags = read_all(&mut cursors));
    assert_eq!(tags, 100 * 200);
    assert_eq!(info.count_total, 0);
}

#[test]
fn waiting_allocates_once_for_a_cursor_not_for_a_tag() {
    let (ring, mut publisher) = ring();
    let (mut cursor, _) = ring.cursor(Start::Live);
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(cursor.poll_ready(&mut cx), Poll::Pending);
    for tag in frames(0..100) {
        publisher.push(tag, 0).unwrap();
        let info = measure(|| {
            assert_eq!(cursor.poll_ready(&mut cx), Poll::Ready(()));
            assert_eq!(cursor.read().unwrap().len(), 1);
            assert_eq!(cursor.poll_ready(&mut cx), Poll::Pending);
        });
        assert_eq!(info.count_total, 0);
    }
}

#[test]
fn joining_allocates_nothing() {
    let (ring, mut publisher) = ring();
    push(&mut publisher, frames(0..200));
    let info = measure(|| {
        let (mut cursor, join) = ring.cursor(Start::CaughtUp);
        assert_eq!(cursor.read().unwrap().first().unwrap().seq, join.position);
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn writing_allocates_a_block_at_a_time() {
    let (ring, mut publisher) = ring();
    push(&mut publisher, frames(0..100));
    let tags = frames(100..420);
    let before = ring.head();
    let info = measure(|| push(&mut publisher, tags));
    let blocks = (ring.head() - before) / 32;
    // The slots, the block around them, and now and then a longer index.
    assert!(info.count_total <= 2 * (blocks + 1) + 4, "{info:?}");
}
