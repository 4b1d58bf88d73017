use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use crate::{EndReason, Fenced, Limits, Wire};

/// Counts how often it was woken.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counter {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A small ring that has lost its oldest tags.
fn overrun() -> (Ring, Publisher, Cursor) {
    let ring = Ring::new(Limits {
        max_bytes: 20_000,
        ..Limits::default()
    });
    let mut publisher = ring.begin(epoch(1), 0);
    let (cursor, _) = ring.cursor(Start::Oldest);
    push_all(&mut publisher, [avc_header(0, 1)]);
    push_all(&mut publisher, (0..1000).map(|n| keyframe(n * 40)));
    (ring, publisher, cursor)
}

#[test]
fn tags_come_out_as_they_went_in_block_by_block() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let (mut cursor, _) = ring.cursor(Start::Oldest);
    assert!(cursor.read().unwrap().is_empty());
    push_all(&mut publisher, [avc_header(0, 1)]);
    push_all(&mut publisher, (0..99).map(|n| keyframe(n * 40)));
    assert_eq!(cursor.behind(), 100);
    let mut sizes = Vec::new();
    let mut next = 0;
    loop {
        let batch = cursor.read().unwrap();
        if batch.is_empty() {
            break;
        }
        sizes.push(batch.len());
        for tag in batch {
            assert_eq!(tag.seq, next);
            next += 1;
        }
    }
    assert_eq!(sizes, [32, 32, 32, 4]);
    assert_eq!(next, ring.head());
}

#[test]
fn a_reader_takes_as_many_as_it_wants() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [avc_header(0, 1)]);
    push_all(&mut publisher, (0..99).map(|n| keyframe(n * 40)));
    let (mut cursor, join) = ring.cursor(Start::At(40));
    assert_eq!(cursor.read_at_most(3).unwrap().len(), 3);
    assert_eq!(cursor.position(), join.position + 3);
    let mut again = cursor.clone_at(41);
    assert_eq!(again.read_at_most(1).unwrap().first().unwrap().seq, 41);
    assert_eq!(cursor.read().unwrap().last().unwrap().seq, 63);
}

#[test]
fn a_reader_that_falls_behind_is_told_and_decides() {
    let (ring, _publisher, mut cursor) = overrun();
    let oldest = ring.stats().oldest;
    assert!(oldest > 0);
    assert_eq!(cursor.read().unwrap_err(), ReadError::Lagged { oldest });
    // It stays where it was until it says where to go on.
    assert_eq!(cursor.position(), 0);
    assert_eq!(cursor.read().unwrap_err(), ReadError::Lagged { oldest });
    let mut other = cursor.clone();
    other.seek(oldest);
    assert_eq!(drain(&mut other).len() as u64, ring.head() - oldest);
}

#[test]
fn a_reader_that_missed_a_change_of_configuration_gets_it_when_it_joins_anew() {
    let ring = Ring::new(Limits {
        max_bytes: 20_000,
        ..Limits::default()
    });
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [avc_header(0, 1), keyframe(0)]);
    let (mut cursor, old) = ring.cursor(Start::CaughtUp);
    push_all(&mut publisher, [avc_header(40, 2)]);
    push_all(&mut publisher, (1..1000).map(|n| keyframe(n * 40)));
    assert!(matches!(cursor.read(), Err(ReadError::Lagged { .. })));
    let (snapshot, tags, new) = join(&ring, Start::CaughtUp);
    assert_eq!(snapshot, payloads([avc_header(0, 2)]));
    assert!(new.configuration.version > old.configuration.version);
    assert_eq!(tags.len(), 1);
}

#[test]
fn a_block_that_is_being_read_stays_until_its_reader_leaves_it() {
    let ring = Ring::new(Limits {
        max_bytes: 20_000,
        ..Limits::default()
    });
    let mut publisher = ring.begin(epoch(1), 0);
    let (mut cursor, _) = ring.cursor(Start::Oldest);
    push_all(&mut publisher, [avc_header(0, 1)]);
    assert_eq!(cursor.read().unwrap().len(), 1);
    push_all(&mut publisher, (0..1000).map(|n| keyframe(n * 40)));
    assert_eq!(cursor.read().unwrap().len(), 31);
    assert!(matches!(cursor.read(), Err(ReadError::Lagged { .. })));
}

#[test]
fn the_end_comes_behind_the_last_tag() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let (mut cursor, _) = ring.cursor(Start::Oldest);
    push_all(&mut publisher, [aac_header(0), aac(0)]);
    ring.end(EndReason::Removed);
    ring.end(EndReason::Shutdown);
    assert_eq!(ring.ended(), Some(EndReason::Removed));
    assert_eq!(cursor.read().unwrap().len(), 2);
    assert_eq!(
        cursor.read().unwrap_err(),
        ReadError::Ended(EndReason::Removed)
    );
    assert_eq!(publisher.push(aac(20), 0), Err(Fenced));
    assert_eq!(ring.begin(epoch(2), 0).push(aac_header(20), 0), Err(Fenced));
}

#[test]
fn only_the_newest_publish_may_write() {
    let ring = Ring::new(Limits::default());
    let mut first = ring.begin(epoch(5), 0);
    assert!(first.push(aac_header(0), 0).is_ok());
    let mut second = ring.begin(epoch(6), 0);
    assert_eq!(first.push(aac(0), 0), Err(Fenced));
    assert!(second.push(aac_header(0), 0).is_ok());
    // One that comes too late changes nothing.
    let mut late = ring.begin(epoch(4), 0);
    assert_eq!(late.push(aac_header(0), 0), Err(Fenced));
    assert!(second.push(aac(0), 0).is_ok());
    // The same epoch carries on with all that is known.
    let mut again = ring.begin(epoch(6), 0);
    assert_eq!(second.push(aac(20), 0), Err(Fenced));
    assert_eq!(again.push(aac(20), 0), Ok(Pushed::Stored(3)));
    assert_eq!(ring.configuration().epoch, epoch(6));
}

#[test]
fn a_waiting_reader_is_woken_by_a_tag_and_by_the_end() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let (mut cursor, _) = ring.cursor(Start::Live);
    let (mut idle, _) = ring.cursor(Start::Live);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    let mut cx = Context::from_waker(&waker);

    assert_eq!(cursor.poll_ready(&mut cx), Poll::Pending);
    assert_eq!(cursor.poll_ready(&mut cx), Poll::Pending);
    push_all(&mut publisher, [aac_header(0)]);
    assert_eq!(counter.count(), 1);
    assert_eq!(cursor.poll_ready(&mut cx), Poll::Ready(()));
    assert_eq!(drain(&mut cursor).len(), 1);
    {
        let mut ready = pin!(cursor.ready());
        assert!(ready.as_mut().poll(&mut cx).is_pending());
        ring.end(EndReason::Ended);
        assert_eq!(counter.count(), 2);
        assert!(ready.as_mut().poll(&mut cx).is_ready());
    }
    assert_eq!(
        cursor.read().unwrap_err(),
        ReadError::Ended(EndReason::Ended)
    );
    // One that never waited costs nobody a wake.
    assert_eq!(drain(&mut idle).len(), 1);
}

#[test]
fn a_reader_that_left_is_forgotten() {
    let ring = Ring::new(Limits::default());
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    for _ in 0..100_000 {
        let (mut cursor, _) = ring.cursor(Start::Live);
        let mut cx = Context::from_waker(&waker);
        assert_eq!(cursor.poll_ready(&mut cx), Poll::Pending);
    }
    // Nobody published all the while, and still they do not pile up.
    assert!(ring.0.waiters.len() < 100);
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [aac_header(0)]);
    assert_eq!(counter.count(), 0);
    assert_eq!(ring.0.waiters.len(), 0);
    drop(waker);
    assert_eq!(Arc::strong_count(&counter), 1);
}

#[test]
fn a_waker_may_drop_its_own_reader() {
    use std::sync::Mutex;
    #[derive(Default)]
    struct Dropper(Mutex<Option<Cursor>>);
    impl Wake for Dropper {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let dropper = Arc::new(Dropper::default());
    let waker = Waker::from(Arc::clone(&dropper));
    let (mut cursor, _) = ring.cursor(Start::Live);
    assert_eq!(
        cursor.poll_ready(&mut Context::from_waker(&waker)),
        Poll::Pending
    );
    *dropper.0.lock().unwrap() = Some(cursor);
    push_all(&mut publisher, [aac_header(0)]);
    assert!(dropper.0.lock().unwrap().is_none());
}

#[test]
fn a_wire_form_is_made_once_for_all_readers() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [aac_header(0)]);
    let made = AtomicUsize::new(0);
    for _ in 0..10 {
        let (mut cursor, _) = ring.cursor(Start::Oldest);
        let batch = cursor.read().unwrap();
        let tag = batch.first().unwrap();
        let wire = tag.wire[0].get_or_make(|| {
            made.fetch_add(1, Ordering::Relaxed);
            Wire::new([Bytes::from_static(b"head"), tag.tag.payload.clone()])
        });
        assert_eq!(wire.len, 8);
        assert!(tag.wire[1].get().is_none());
    }
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

#[test]
fn threads_read_while_one_writes() {
    const TAGS: u64 = 20_000;
    let ring = Ring::new(Limits {
        max_bytes: 1 << 20,
        ..Limits::default()
    });
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [aac_header(0)]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (mut cursor, join) = ring.cursor(Start::Live);
            scope.spawn(move || {
                let mut next = join.position;
                let mut lagged = 0;
                loop {
                    match cursor.read() {
                        Ok(batch) => {
                            for tag in batch {
                                assert_eq!(tag.seq, next);
                                next += 1;
                            }
                        }
                        Err(ReadError::Lagged { oldest }) => {
                            assert!(oldest > next);
                            (next, lagged) = (oldest, lagged + 1);
                            cursor.seek(oldest);
                        }
                        Err(ReadError::Ended(_)) => break,
                    }
                    futures::executor::block_on(cursor.ready());
                }
                assert_eq!(next, TAGS + 1);
                lagged
            });
        }
        for n in 0..TAGS {
            publisher
                .push(aac((n * 20) as u32), n as i64 * 20 * MS)
                .unwrap();
        }
        ring.end(EndReason::Ended);
    });
}

#[test]
fn figures_tell_how_the_stream_flows() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [avc_header(0, 1)]);
    for n in 0..100_u32 {
        let dts = n * 40;
        push_all(
            &mut publisher,
            [if n % 50 == 0 {
                keyframe(dts)
            } else {
                inter(dts)
            }],
        );
    }
    let stats = ring.stats();
    assert!(
        (stats.frame_rate - 25.0).abs() < 1.0,
        "{}",
        stats.frame_rate
    );
    assert!(
        (stats.bit_rate - 25.0 * 6.0 * 8.0).abs() < 100.0,
        "{}",
        stats.bit_rate
    );
    assert_eq!(
        stats.keyframe_interval,
        Some(std::time::Duration::from_secs(2))
    );
    assert_eq!(stats.last_ingest, Some(99 * 40 * MS));
    assert_eq!(stats.play_ms, 99 * 40);
    assert_eq!((stats.tags, stats.head, stats.oldest), (101, 101, 0));
    assert_eq!(stats.gop_tags, 50);
    assert_eq!(stats.epoch, Some(epoch(1)));
}

#[test]
fn what_records_and_metadata_tell_makes_time_fine() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let (mut cursor, _) = ring.cursor(Start::Live);
    push_all(
        &mut publisher,
        [metadata(0, 29.97), video(0, &[0x12, 0, 0, 0x84])],
    );
    push_all(
        &mut publisher,
        [33, 67].map(|dts| video(dts, &[0x22, 0, 0, 0x84])),
    );
    // AAC at 48 kHz, by its record.
    push_all(&mut publisher, [aac_header(0), aac(0), aac(21), aac(43)]);
    let all = drain(&mut cursor);
    let fine = |video: bool| -> Vec<i64> {
        let frames = all.iter().filter(|marked| marked.tag.is_frame());
        frames
            .filter(|marked| marked.tag.is_video() == video)
            .map(|marked| marked.time)
            .collect()
    };
    assert_eq!(fine(true), [0, 33_366_666, 66_733_333]);
    assert_eq!(fine(false), [0, 21_333_333, 42_666_666]);
}
