//! The interleavings of a writer, a reader and the end: all of them, up to a number of switches.
//!
//! Empty unless built for loom, which takes a target directory of its own:
//! `RUSTFLAGS="--cfg loom" cargo test -p weir-media --test loom --release --target-dir target/loom`.
//! `LOOM_MAX_PREEMPTIONS` looks further than the bound below. A block has two slots there, so that
//! the step from one to the next comes soon.
#![cfg(loom)]

use bytes::Bytes;
use flv::{Kind, Tag};
use loom::future::block_on;
use loom::thread;
use weir_media::{
    Cursor, Description, EndReason, Epoch, Fenced, Limits, Publisher, ReadError, Refused, Relayed,
    Replica, Ring, Start,
};

/// Every way in which the threads may take turns, and every value an atomic may then show, with up
/// to three switches where a thread could have gone on: the bugs one meets need two.
fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(body);
}

/// Small enough that the ring forgets while it is read.
fn limits() -> Limits {
    Limits {
        max_bytes: 1,
        max_gop_bytes: 1,
        ..Limits::default()
    }
}

/// A keyframe of a codec that needs no configuration.
fn keyframe(n: u32) -> Tag {
    Tag::new(Kind::Video, n * 40, Bytes::from_static(&[0x12, 0, 0, 0x84]))
}

fn inter(n: u32) -> Tag {
    Tag::new(Kind::Video, n * 40, Bytes::from_static(&[0x22, 0, 0, 0x84]))
}

fn push(publisher: &mut Publisher, tag: Tag) -> Result<(), Fenced> {
    publisher.push(tag, 0).map(drop)
}

/// Reads to the end, waiting in between. Tags come in order, with no gap but a told one.
fn read_to_end(mut cursor: Cursor) -> (u64, u64) {
    let (mut next, mut seen) = (cursor.position(), 0);
    loop {
        match cursor.read() {
            Ok(batch) => {
                // The batch has what it says: every slot below the head is set.
                assert_eq!(batch.iter().count(), batch.len());
                for tag in batch {
                    assert_eq!(tag.seq, next);
                    next += 1;
                    seen += 1;
                }
            }
            Err(ReadError::Lagged { oldest }) => {
                assert!(oldest > next, "nothing was lost");
                next = oldest;
                cursor.seek(oldest);
            }
            Err(ReadError::Ended(reason)) => {
                assert_eq!(reason, EndReason::Ended);
                return (next, seen);
            }
        }
        block_on(cursor.ready());
    }
}

/// A writer that is faster or slower than its reader, over the edge of a block, and then the end:
/// no tag is missed, no wake-up is lost.
#[test]
fn a_reader_sees_every_tag_and_the_end() {
    model(|| {
        let ring = Ring::new(Limits::default());
        let mut publisher = ring.begin(Epoch::new(1, 1), 0);
        let (cursor, _) = ring.cursor(Start::Live);
        let writer = thread::spawn(move || {
            push(&mut publisher, keyframe(0)).unwrap();
            push(&mut publisher, inter(1)).unwrap();
            push(&mut publisher, inter(2)).unwrap();
            ring.end(EndReason::Ended);
        });
        assert_eq!(read_to_end(cursor), (3, 3));
        writer.join().unwrap();
    });
}

/// Blocks are forgotten while they are read: the reader learns it, or holds what it reads.
#[test]
fn a_reader_that_falls_behind_is_told() {
    model(|| {
        let ring = Ring::new(limits());
        let mut publisher = ring.begin(Epoch::new(1, 1), 0);
        let (cursor, _) = ring.cursor(Start::Live);
        let writer = thread::spawn(move || {
            for n in 0..3 {
                push(&mut publisher, keyframe(n)).unwrap();
            }
            ring.end(EndReason::Ended);
        });
        let (next, seen) = read_to_end(cursor);
        assert_eq!(next, 3);
        assert!((1..=3).contains(&seen));
        writer.join().unwrap();
    });
}

/// The end comes from another thread than the tags: what the publisher was told is stored is read.
#[test]
fn the_end_and_the_last_tag_come_in_order() {
    model(|| {
        let ring = Ring::new(Limits::default());
        let mut publisher = ring.begin(Epoch::new(1, 1), 0);
        let (cursor, _) = ring.cursor(Start::Live);
        let end = thread::spawn(move || ring.end(EndReason::Ended));
        let writer = thread::spawn(move || u64::from(push(&mut publisher, keyframe(0)).is_ok()));
        let (next, _) = read_to_end(cursor);
        assert_eq!(next, writer.join().unwrap());
        end.join().unwrap();
    });
}

/// Whoever joins while a GOP begins gets a whole one: the configuration of its place, and a
/// keyframe first.
#[test]
fn a_joiner_starts_on_a_keyframe_whenever_it_comes() {
    model(|| {
        let ring = Ring::new(Limits::default());
        let mut publisher = ring.begin(Epoch::new(1, 1), 0);
        push(&mut publisher, keyframe(0)).unwrap();
        let writer = {
            let ring = ring.clone();
            thread::spawn(move || {
                push(&mut publisher, keyframe(1)).unwrap();
                push(&mut publisher, inter(2)).unwrap();
                ring.end(EndReason::Ended);
            })
        };
        let (mut cursor, join) = ring.cursor(Start::CaughtUp);
        assert!(!join.waits_for_keypoint && join.position < 2);
        assert!(join.play_ms == join.position as u32 * 40);
        let first = cursor.read().unwrap().first().cloned().expect("a keyframe");
        assert!(first.keypoint && first.seq == join.position);
        assert_eq!(read_to_end(cursor).0, 3);
        writer.join().unwrap();
    });
}

/// A joiner at the head during a change of configuration has it in its snapshot or reads it.
#[test]
fn a_change_of_configuration_reaches_a_joiner_once() {
    let header = |flavour| {
        let payload = Bytes::copy_from_slice(&[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, flavour]);
        Tag::new(Kind::Video, 0, payload)
    };
    model(move || {
        let ring = Ring::new(Limits::default());
        let mut publisher = ring.begin(Epoch::new(1, 1), 0);
        push(&mut publisher, header(1)).unwrap();
        let writer = {
            let ring = ring.clone();
            thread::spawn(move || {
                push(&mut publisher, header(2)).unwrap();
                ring.end(EndReason::Ended);
            })
        };
        let (cursor, join) = ring.cursor(Start::Live);
        let known = join
            .configuration
            .tags
            .first()
            .map(|tag| tag.tag.payload[9]);
        let (_, inline) = read_to_end(cursor);
        assert_eq!(
            (known, inline),
            if inline == 0 {
                (Some(2), 0)
            } else {
                (Some(1), 1)
            }
        );
        writer.join().unwrap();
    });
}

/// Of two publishers the older is fenced at some point, and nothing of it comes behind.
#[test]
fn a_fenced_publisher_writes_nothing_behind_its_successor() {
    model(|| {
        let ring = Ring::new(Limits::default());
        let mut old = ring.begin(Epoch::new(1, 1), 0);
        let (mut cursor, _) = ring.cursor(Start::Live);
        let writer = thread::spawn(move || {
            let _ = push(&mut old, keyframe(0)).and_then(|()| push(&mut old, inter(1)));
        });
        let mut new = ring.begin(Epoch::new(2, 1), 0);
        push(&mut new, keyframe(2)).unwrap();
        writer.join().unwrap();
        let mut epochs = Vec::new();
        while let Some(tag) = cursor.read_at_most(1).unwrap().first() {
            epochs.push(tag.epoch);
        }
        assert!(epochs.is_sorted());
        assert_eq!(epochs.last(), Some(&Epoch::new(2, 1)));
    });
}

/// Tag `number` as another node has it: a keyframe, or what follows one.
fn relayed(number: u32, keypoint: bool) -> Relayed {
    Relayed {
        tag: if keypoint {
            keyframe(number)
        } else {
            inter(number)
        },
        number: number.into(),
        time: i64::from(number) * 40_000_000,
        composition: 0,
        ingest: 0,
        came: 0,
        version: 1,
        keypoint,
        repeat: false,
        cut: None,
        metadata: None,
    }
}

fn describe(replica: &mut Replica, epoch: u64, number: u64) -> Result<(), Fenced> {
    replica.describe(Description {
        epoch: Epoch::new(epoch, 1),
        number,
        version: 1,
        tags: Vec::new(),
        video: Vec::new(),
        audio: Vec::new(),
        cuts: false,
    })
}

/// Who comes during a backfill waits for its end, however it comes, and starts at the mark.
#[test]
fn a_joiner_waits_until_a_replica_has_caught_up() {
    model(|| {
        let ring = Ring::new(Limits::default());
        let mut replica = ring.replica();
        let writer = {
            let ring = ring.clone();
            thread::spawn(move || {
                describe(&mut replica, 1, 0).unwrap();
                replica.push(relayed(0, true)).unwrap();
                replica.push(relayed(1, true)).unwrap();
                replica.caught_up().unwrap();
                ring.end(EndReason::Ended);
            })
        };
        let (_, early) = ring.cursor(Start::CaughtUp);
        // If it was no longer early, the mark is where it ends up, not where it was on its way.
        assert!(early.backfilling || early.position == 1);
        block_on(ring.caught_up());
        let (cursor, join) = ring.cursor(Start::CaughtUp);
        assert!(!join.backfilling && join.position == 1);
        assert_eq!(join.next, Some((Epoch::new(1, 1), 1)));
        assert_eq!(read_to_end(cursor), (2, 1));
        writer.join().unwrap();
    });
}

/// A pull that broke and the one behind it, at the same time: each tag once, and in order.
#[test]
fn two_replicas_of_one_epoch_store_each_tag_once() {
    model(|| {
        let ring = Ring::new(Limits::default());
        let mut broken = ring.replica();
        describe(&mut broken, 1, 0).unwrap();
        let writer = thread::spawn(move || {
            (0..3)
                .take_while(|number| broken.push(relayed(*number, true)).is_ok())
                .count()
        });
        let mut next = ring.replica();
        let (_, number) = ring.next_number().unwrap();
        describe(&mut next, 1, number).unwrap();
        for number in number..3 {
            match next.push(relayed(number as u32, true)) {
                Ok(_) => {}
                Err(Refused::Gap { expected, .. }) => panic!("{expected} of {number}"),
                Err(error) => panic!("{error}"),
            }
        }
        writer.join().unwrap();
        let (mut cursor, _) = ring.cursor(Start::Oldest);
        let mut numbers = Vec::new();
        while let Some(tag) = cursor.read_at_most(1).unwrap().first() {
            numbers.push(tag.number);
        }
        assert_eq!(numbers, [0, 1, 2]);
    });
}

/// A stream that is pulled comes to be published here: nothing of the old epoch comes behind, and
/// nobody waits for the backfill any more.
#[test]
fn a_publisher_takes_over_from_a_replica() {
    model(|| {
        let ring = Ring::new(Limits::default());
        let mut replica = ring.replica();
        let writer = thread::spawn(move || {
            let _ = describe(&mut replica, 1, 0);
            let _ = replica.push(relayed(0, true));
            let _ = replica.push(relayed(1, false));
            let _ = replica.caught_up();
        });
        let mut publisher = ring.begin(Epoch::new(2, 1), 0);
        push(&mut publisher, keyframe(2)).unwrap();
        block_on(ring.caught_up());
        let (mut joiner, join) = ring.cursor(Start::CaughtUp);
        assert_eq!(join.next, Some((Epoch::new(2, 1), 0)));
        writer.join().unwrap();
        assert_eq!(joiner.read().unwrap().len(), 1);
        let (mut cursor, _) = ring.cursor(Start::Oldest);
        let mut seen = Vec::new();
        while let Some(tag) = cursor.read_at_most(1).unwrap().first() {
            seen.push((tag.epoch.number, tag.number));
        }
        assert!(seen.is_sorted());
        assert_eq!(seen.last(), Some(&(2, 0)));
    });
}
