use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::{Description, EndReason, Fenced, Limits, Refused, Relayed, Replica};

/// An origin, and a way to what it has.
struct Origin {
    ring: Ring,
    publisher: Publisher,
}

impl Origin {
    fn new(number: u64) -> Self {
        let ring = Ring::new(Limits::default());
        let publisher = ring.begin_marked(epoch(number), 0, Box::new(EachKeyframe::default()));
        Self { ring, publisher }
    }

    fn push(&mut self, tags: impl IntoIterator<Item = Tag>) {
        let pushed = push_all(&mut self.publisher, tags);
        assert!(pushed.iter().all(|it| matches!(it, Pushed::Stored(_))));
    }

    /// Headers, then so many GOPs of half a second.
    fn with_gops(number: u64, gops: u32) -> Self {
        let mut origin = Self::new(number);
        origin.push([metadata(0, 25.0), avc_header(0, 1), aac_header(0)]);
        origin.push_gops(0..gops);
        origin
    }

    fn push_gops(&mut self, gops: std::ops::Range<u32>) {
        for dts in gops.map(|gop| gop * 500) {
            self.push([keyframe(dts), aac(dts + 5), inter(dts + 250)]);
        }
    }

    fn pull(&self, start: Start) -> (Description, Vec<Relayed>) {
        let (mut cursor, join) = self.ring.cursor(start);
        let description = join.describe(true).expect("an epoch");
        let tags = drain(&mut cursor);
        (description, tags.iter().map(Relayed::from).collect())
    }
}

fn fill(replica: &mut Replica, (description, tags): (Description, Vec<Relayed>)) {
    replica.describe(description).unwrap();
    for tag in tags {
        replica.push(tag).unwrap();
    }
}

/// All that is the same on every node.
fn common(marked: &MarkedTag) -> (Epoch, Relayed) {
    (marked.epoch, Relayed::from(marked))
}

fn all(ring: &Ring) -> Vec<MarkedTag> {
    drain(&mut ring.cursor(Start::Oldest).0)
}

#[test]
fn an_edge_has_what_its_origin_has_tag_for_tag() {
    let origin = Origin::with_gops(7, 4);
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    fill(&mut replica, origin.pull(Start::Oldest));
    replica.caught_up().unwrap();

    let (here, there) = (all(&edge), all(&origin.ring));
    assert_eq!(there.len(), 15);
    assert!(there.iter().any(|it| it.segment().is_some()));
    assert!(here.iter().map(common).eq(there.iter().map(common)));
    assert!(here.iter().map(|it| it.number).eq(0..15));
    assert_eq!(times(&here), times(&there));
    let (snapshot, tags, join) = super::join(&edge, Start::CaughtUp);
    let (their_snapshot, their_tags, their_join) = super::join(&origin.ring, Start::CaughtUp);
    assert_eq!(snapshot, their_snapshot);
    assert!(tags.iter().map(common).eq(their_tags.iter().map(common)));
    assert_eq!(join.next, their_join.next);
    assert_eq!(join.configuration.version, their_join.configuration.version);
    assert_eq!(edge.next_number(), origin.ring.next_number());
    assert_eq!(edge.newest_segment(), origin.ring.newest_segment());
}

#[test]
fn nobody_joins_before_the_backfill_is_over() {
    let mut origin = Origin::with_gops(1, 4);
    let edge = Ring::new(Limits::default());
    assert!(!edge.is_backfilling());
    let mut replica = edge.replica();
    // Nobody has written here: who comes now would get the oldest first.
    assert!(edge.cursor(Start::CaughtUp).1.backfilling);
    let mut caught_up = pin!(edge.caught_up());
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(caught_up.as_mut().poll(&mut cx), Poll::Pending);

    let (description, tags) = origin.pull(Start::Window);
    replica.describe(description).unwrap();
    for tag in tags {
        replica.push(tag).unwrap();
        let join = edge.cursor(Start::CaughtUp).1;
        assert!(join.backfilling && join.waits_for_keypoint);
        assert_eq!(join.position, edge.head());
        assert_eq!(caught_up.as_mut().poll(&mut cx), Poll::Pending);
    }
    replica.caught_up().unwrap();
    assert_eq!(caught_up.as_mut().poll(&mut cx), Poll::Ready(()));
    let (snapshot, tags, join) = super::join(&edge, Start::CaughtUp);
    assert!(!join.backfilling && !join.waits_for_keypoint);
    assert_eq!((snapshot.len(), times(&tags)[0]), (3, 1500));

    // What is live moves the mark as ever.
    origin.push_gops(4..5);
    let (epoch, number) = edge.next_number().unwrap();
    let (mut cursor, _) = origin.ring.resume(epoch, number).unwrap();
    for tag in drain(&mut cursor) {
        replica.push((&tag).into()).unwrap();
    }
    assert_eq!(edge.cursor(Start::CaughtUp).1.play_ms, 2000);
}

#[test]
fn who_waits_for_a_backfill_learns_that_the_stream_ended_or_is_published_here() {
    let mut cx = Context::from_waker(Waker::noop());
    let edge = Ring::new(Limits::default());
    let _replica = edge.replica();
    let mut caught_up = pin!(edge.caught_up());
    assert_eq!(caught_up.as_mut().poll(&mut cx), Poll::Pending);
    edge.end(EndReason::Lost);
    assert_eq!(caught_up.as_mut().poll(&mut cx), Poll::Ready(()));

    let edge = Ring::new(Limits::default());
    let _replica = edge.replica();
    let mut caught_up = pin!(edge.caught_up());
    assert_eq!(caught_up.as_mut().poll(&mut cx), Poll::Pending);
    let _publisher = edge.begin(epoch(1), 0);
    assert_eq!(caught_up.as_mut().poll(&mut cx), Poll::Ready(()));
    assert!(!edge.cursor(Start::CaughtUp).1.backfilling);
}

#[test]
fn a_replica_beside_a_publisher_changes_nothing_before_it_describes() {
    let origin = Origin::with_gops(1, 1);
    let mut replica = origin.ring.replica();
    assert!(!origin.ring.is_backfilling());
    let early = Relayed::from(&all(&origin.ring)[0]);
    assert_eq!(replica.push(early), Err(Refused::Undescribed));
    assert_eq!(replica.caught_up(), Err(Fenced));
    assert!(!origin.ring.cursor(Start::CaughtUp).1.waits_for_keypoint);
}

#[test]
fn a_pull_goes_on_where_it_broke() {
    let mut origin = Origin::with_gops(1, 2);
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    let (description, tags) = origin.pull(Start::Window);
    replica.describe(description).unwrap();
    let broke = tags.len() - 2;
    for tag in &tags[..broke] {
        replica.push(tag.clone()).unwrap();
    }
    replica.caught_up().unwrap();
    let (epoch, number) = edge.next_number().unwrap();
    let later = Refused::Gap {
        expected: number,
        found: number + 1,
    };
    assert_eq!(replica.push(tags[broke + 1].clone()), Err(later));
    assert_eq!(edge.next_number(), Some((epoch, number)));
    let mark = edge.cursor(Start::CaughtUp).1.position;

    origin.push_gops(2..4);
    let (mut cursor, join) = origin.ring.resume(epoch, number).unwrap();
    let mut again = edge.replica();
    again.describe(join.describe(true).unwrap()).unwrap();
    // Players go on joining where they could.
    assert_eq!(edge.cursor(Start::CaughtUp).1.position, mark);
    for tag in drain(&mut cursor) {
        assert!(again.push((&tag).into()).unwrap().is_some());
    }
    // The first connection was dead, but it had not heard.
    assert_eq!(replica.push(tags[broke].clone()), Err(Fenced.into()));
    assert_eq!(replica.caught_up(), Err(Fenced));
    let there = drain(&mut origin.ring.cursor(Start::Window).0);
    let here = all(&edge);
    assert!(here.iter().map(common).eq(there.iter().map(common)));
    assert!(!here.iter().any(MarkedTag::follows_hole));
}

#[test]
fn what_is_there_already_is_left_out() {
    let mut origin = Origin::with_gops(1, 2);
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    fill(&mut replica, origin.pull(Start::Oldest));
    replica.caught_up().unwrap();
    let head = edge.head();
    origin.push_gops(2..3);
    // The same from the beginning, on another way perhaps.
    let (description, tags) = origin.pull(Start::Oldest);
    replica.describe(description).unwrap();
    assert!(!edge.is_backfilling());
    let stored: Vec<_> = tags
        .into_iter()
        .map(|tag| replica.push(tag).unwrap())
        .collect();
    let new = [head, head + 1, head + 2].map(Some);
    assert_eq!(stored[..head as usize], vec![None; head as usize]);
    assert_eq!(stored[head as usize..], new);
    assert!(all(&edge).iter().map(|it| it.number).eq(0..head + 3));
}

#[test]
fn a_pull_that_comes_too_late_leaves_a_hole_and_repeats_nothing() {
    let mut origin = Origin::with_gops(1, 2);
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    fill(&mut replica, origin.pull(Start::Oldest));
    replica.caught_up().unwrap();
    let (mut player, _) = edge.cursor(Start::CaughtUp);
    drain(&mut player);
    let last = all(&edge).last().unwrap().clone();

    origin.push([avc_header(1000, 2)]);
    origin.push_gops(2..20);
    let (description, tags) = origin.pull(Start::Window);
    assert!(description.number > last.number + 1);
    replica.describe(description.clone()).unwrap();
    // Until something comes, all is as it was.
    assert_eq!(edge.next_number(), Some((epoch(1), last.number + 1)));
    assert!(!edge.is_backfilling());
    assert_eq!(edge.cursor(Start::Window).1.next, Some((epoch(1), 3)));
    for (at, tag) in tags.iter().enumerate() {
        assert!(replica.push(tag.clone()).unwrap().is_some());
        assert!(edge.is_backfilling(), "{at}");
    }
    replica.caught_up().unwrap();
    let missed = drain(&mut player);
    assert!(missed.iter().map(Relayed::from).eq(tags.iter().cloned()));
    let holes: Vec<_> = missed.iter().map(MarkedTag::follows_hole).collect();
    assert!(holes[0] && !holes[1..].contains(&true));
    assert_eq!(missed[0].shift, last.shift);
    // What is behind the hole makes a window of its own.
    let (cursor, join) = edge.cursor(Start::Window);
    assert_eq!(cursor.position(), missed[0].seq);
    assert_eq!(join.describe(true), Some(description));

    // A hole that was described and never filled is none.
    origin.push_gops(20..40);
    replica.describe(origin.pull(Start::Window).0).unwrap();
    let (epoch, number) = edge.next_number().unwrap();
    let (mut cursor, join) = origin.ring.resume(epoch, number).unwrap();
    replica.describe(join.describe(true).unwrap()).unwrap();
    for tag in drain(&mut cursor) {
        replica.push((&tag).into()).unwrap();
    }
    let new = drain(&mut player);
    assert!(!new.iter().any(MarkedTag::follows_hole));
    assert_eq!(new.len(), 60);
}

#[test]
fn a_window_does_not_reach_over_a_hole() {
    let mut origin = Origin::with_gops(1, 2);
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    fill(&mut replica, origin.pull(Start::Window));
    origin.push_gops(2..5);
    // Not all that is listed, but from the newest keyframe on.
    let (description, tags) = origin.pull(Start::CaughtUp);
    let first = description.number;
    fill(&mut replica, (description, tags));
    assert!(edge.head() < origin.ring.head());
    let join = edge.cursor(Start::Window).1;
    assert_eq!(join.next, Some((epoch(1), first)));
}

#[test]
fn a_new_pull_of_an_epoch_of_which_nothing_came_may_begin_earlier() {
    let origin = Origin::with_gops(1, 20);
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    replica.describe(origin.pull(Start::Window).0).unwrap();
    fill(&mut replica, origin.pull(Start::Oldest));
    assert!(all(&edge).iter().map(|it| it.number).eq(0..63));
}

#[test]
fn a_lower_epoch_is_fenced_for_good() {
    let (new, old) = (Origin::with_gops(2, 1), Origin::with_gops(1, 1));
    let edge = Ring::new(Limits::default());
    let (mut first, mut second) = (edge.replica(), edge.replica());
    fill(&mut first, old.pull(Start::Window));
    second.describe(new.pull(Start::Window).0).unwrap();
    let (description, tags) = old.pull(Start::Window);
    assert_eq!(first.push(tags[0].clone()), Err(Fenced.into()));
    assert_eq!(first.describe(description.clone()), Err(Fenced));
    // Nor does it help to bring something newer: somebody else does.
    let newest = Description {
        epoch: epoch(9),
        ..description.clone()
    };
    assert_eq!(first.describe(newest), Err(Fenced));
    assert_eq!(edge.replica().describe(description), Err(Fenced));
    let (_, tags) = new.pull(Start::Window);
    tags.into_iter().for_each(|tag| {
        second.push(tag).unwrap();
    });
    let epochs: Vec<_> = all(&edge).iter().map(|it| it.epoch.number).collect();
    assert_eq!(epochs, [1, 1, 1, 2, 2, 2]);
    edge.end(EndReason::Ended);
    assert_eq!(second.caught_up(), Err(Fenced));
    assert_eq!(second.describe(new.pull(Start::Window).0), Err(Fenced));
    let refused = edge.replica().describe(new.pull(Start::Window).0);
    assert_eq!(refused, Err(Fenced));
}

#[test]
fn a_pull_that_was_overtaken_does_not_come_back() {
    let origin = Origin::with_gops(1, 2);
    let edge = Ring::new(Limits::default());
    let (mut broken, mut next) = (edge.replica(), edge.replica());
    broken.describe(origin.pull(Start::Window).0).unwrap();
    fill(&mut next, origin.pull(Start::Window));
    // It has not heard yet, and its origin tells it of a new epoch.
    let newer = Origin::with_gops(2, 1).pull(Start::Window).0;
    assert_eq!(broken.describe(newer), Err(Fenced));
    assert_eq!(edge.next_number().map(|next| next.0), Some(epoch(1)));
}

#[test]
fn records_that_speak_for_some_of_their_tracks_do_so_at_an_edge() {
    // ManyTracks, AVC, a record of two bytes each.
    let records = |tracks: &[u8], flavour: u8| {
        let mut payload = vec![0x96, 0x10, b'a', b'v', b'c', b'1'];
        let each = tracks
            .iter()
            .flat_map(|track| [*track, 0, 0, 2, 1, flavour]);
        payload.extend(each);
        video(0, &payload)
    };
    let mut origin = Origin::new(1);
    origin.push([
        records(&[0, 1, 2], 1),
        records(&[0, 1], 2),
        records(&[0], 3),
    ]);
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    replica.describe(origin.pull(Start::Live).0).unwrap();
    let theirs = join(&origin.ring, Start::Live).0;
    assert_eq!(theirs.len(), 3);
    assert_eq!(join(&edge, Start::Live).0, theirs);
}

#[test]
fn a_publisher_takes_over_what_was_pulled_and_a_pull_what_was_published() {
    let elsewhere = Origin::with_gops(1, 2);
    let ring = Ring::new(Limits::default());
    let (mut player, _) = ring.cursor(Start::Oldest);
    let mut replica = ring.replica();
    fill(&mut replica, elsewhere.pull(Start::Oldest));
    let pulled = drain(&mut player);

    // The encoder comes here, with a clock of its own.
    let mut publisher = ring.begin(epoch(2), 2000 * MS);
    let (_, tags) = elsewhere.pull(Start::Oldest);
    assert_eq!(replica.push(tags[0].clone()), Err(Fenced.into()));
    assert!(!ring.is_backfilling());
    publisher.push(avc_header(90_000, 3), 2000 * MS).unwrap();
    publisher.push(keyframe(90_000), 2000 * MS).unwrap();
    let published = drain(&mut player);
    assert_eq!(published[1].number, 1);
    assert_eq!(published[1].play_ms(), 2000);
    assert!(published[0].version > pulled.last().unwrap().version);

    // And goes elsewhere again.
    let elsewhere = Origin::with_gops(3, 1);
    let mut replica = ring.replica();
    fill(&mut replica, elsewhere.pull(Start::Oldest));
    assert_eq!(publisher.push(keyframe(90_040), 2040 * MS), Err(Fenced));
    replica.caught_up().unwrap();
    let pulled = drain(&mut player);
    assert!(pulled.iter().map(|it| it.number).eq(0..6));
    let frames: Vec<_> = pulled.iter().filter(|it| it.tag.is_frame()).collect();
    // The new origin's clock was set back: time for players goes on all the same.
    assert_eq!(frames[0].play_ms(), 2001);
    assert_eq!(frames[2].play_ms(), 2251);
    assert!(!pulled.iter().any(MarkedTag::follows_hole));
    let (snapshot, ..) = join(&ring, Start::CaughtUp);
    let theirs = join(&elsewhere.ring, Start::CaughtUp).0;
    assert_eq!(snapshot, theirs);
    assert_eq!(
        ring.configuration().version,
        elsewhere.ring.configuration().version
    );
}

#[test]
fn time_goes_on_at_an_edge_that_came_in_the_middle() {
    let first = Origin::with_gops(1, 40);
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    fill(&mut replica, first.pull(Start::Window));
    let here = all(&edge);
    // An epoch that came first keeps its own time.
    assert_eq!(here[0].play_ms(), here[0].tag.dts);
    let last = here.last().unwrap().clone();

    // Its origin dies; the encoder is elsewhere after two seconds, and the edge there later still.
    let mut second = Origin::new(2);
    let later = |dts: u32| last.ingest + 2000 * MS + i64::from(dts) * MS;
    let tags = [avc_header(0, 2)]
        .into_iter()
        .chain((0..100).map(|n| keyframe(n * 100)));
    for tag in tags {
        let at = later(tag.dts);
        second.publisher.push(tag, at).unwrap();
    }
    let (description, tags) = second.pull(Start::Window);
    assert!(description.number > 1);
    fill(&mut replica, (description, tags));
    let new = drain(&mut edge.cursor(Start::At(last.seq + 1)).0);
    assert!(new[0].follows_hole());
    assert_eq!(
        new[0].play_ms(),
        last.play_ms() + 2000 + new[0].tag.dts,
        "as long as it took"
    );
    assert_eq!(new[1].play_ms(), new[0].play_ms() + 100);
}

#[test]
fn timestamps_that_wrap_go_on() {
    let mut origin = Origin::new(1);
    let start = u32::MAX - 100;
    let at = |n: u32| start.wrapping_add(n * 40);
    for (n, tag) in [avc_header(start, 1), keyframe(start)]
        .into_iter()
        .chain((1..10).map(|n| inter(at(n))))
        .enumerate()
    {
        origin.publisher.push(tag, n as i64 * 40 * MS).unwrap();
    }
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    fill(&mut replica, origin.pull(Start::Oldest));
    // The bounds by age hold across the wrap as well: nothing is a month old.
    assert_eq!(all(&edge).len(), 11);
    assert_eq!(times(&all(&edge)), times(&all(&origin.ring)));
    let stats = edge.stats();
    assert_eq!(stats.gop_duration, origin.ring.stats().gop_duration);
    // Across a change of epoch too.
    let mut publisher = edge.begin(epoch(2), 0);
    push_all(&mut publisher, [avc_header(0, 2), keyframe(0)]);
    let last = all(&edge).last().unwrap().play_ms();
    assert_eq!(last, at(9).wrapping_add(1));
}

#[test]
fn a_silent_camera_is_known_at_an_edge_that_has_not_seen_it_fall_silent() {
    let mut origin = Origin::with_gops(1, 1);
    origin.push((0..1000).map(|n| aac(500 + n * 20)));
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    let (mut cursor, join) = origin.ring.cursor(Start::At(900));
    replica.describe(join.describe(false).unwrap()).unwrap();
    for tag in drain(&mut cursor) {
        replica.push((&tag).into()).unwrap();
    }
    replica.caught_up().unwrap();
    let (_, tags, join) = super::join(&edge, Start::CaughtUp);
    assert!(!join.waits_for_keypoint);
    assert!(tags[0].keypoint && tags.len() < 100, "{}", tags.len());
}

#[test]
fn what_is_kept_for_joiners_does_not_pin_a_receive_buffer() {
    let origin = Origin::with_gops(1, 1);
    let (description, tags) = origin.pull(Start::Oldest);
    let buffer = |tag: &Relayed| {
        let mut whole = tag.tag.payload.to_vec();
        let len = whole.len();
        whole.resize(1 << 20, 0);
        let whole = Bytes::from(whole);
        let tag = Relayed {
            tag: Tag::new(tag.tag.kind, tag.tag.dts, whole.slice(..len)),
            ..tag.clone()
        };
        (whole, tag)
    };
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    let (held, tag) = buffer(&tags[0]);
    replica
        .describe(Description {
            number: 1,
            tags: vec![tag],
            ..description
        })
        .unwrap();
    assert!(held.is_unique());
    let (held, tag) = buffer(&tags[1]);
    replica.push(tag).unwrap();
    assert!(held.is_unique());
    assert_eq!(edge.configuration().tags.len(), 2);
}

#[test]
fn no_times_or_numbers_of_a_peer_overflow() {
    let extremes = [i64::MIN, -1, 0, 1, i64::MAX];
    let mut description = Origin::with_gops(1, 1).pull(Start::Live).0;
    for number in [0, u64::MAX - 2] {
        description.number = number;
        let edge = Ring::new(Limits::default());
        let mut replica = edge.replica();
        for epoch_number in 1..4 {
            description.epoch = epoch(epoch_number);
            description.version = u32::MAX;
            replica.describe(description.clone()).unwrap();
            let mut number = number;
            for (time, ingest) in extremes.iter().flat_map(|a| extremes.map(|b| (*a, b))) {
                let cut = crate::Cut {
                    msn: u64::MAX,
                    part: u32::MAX,
                    start: time,
                    segment: Some(segment(u64::MAX, ingest)),
                };
                let tag = Relayed {
                    tag: keyframe(7),
                    number,
                    time,
                    composition: time,
                    ingest,
                    came: ingest,
                    version: u32::MAX,
                    keypoint: true,
                    repeat: false,
                    cut: Some(cut),
                    metadata: None,
                };
                replica.push(tag).unwrap();
                number = number.saturating_add(1);
            }
        }
        replica.caught_up().unwrap();
        let _ = (edge.stats(), edge.newest_segment(), edge.next_number());
        let _ = edge.resume(epoch(3), u64::MAX);
        push_all(&mut edge.begin(epoch(9), i64::MAX), [avc_header(0, 9)]);
    }
}
