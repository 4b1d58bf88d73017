//! Every tag, as its origin marked it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flv::{Kind, Tag};
use media::{Limits, Relayed, Replica, Ring, Start};

use super::support::*;
use crate::{About, Backfill, Bandwidth, Event, Position, Pulling, Subscribe, Viewers};

/// Feeds a replica from a pull until its ring holds as many tags as `ring`, and no more.
async fn follow(pulling: &mut Pulling, replica: &mut Replica, edge: &Ring, ring: &Ring) {
    while edge.next_number() != ring.next_number() || edge.is_backfilling() {
        match soon(pulling.next()).await.expect("no error") {
            Event::Described(described) => {
                replica.describe(described.description).expect("not fenced")
            }
            Event::Tags(tags) => {
                for tag in tags {
                    replica.push(tag).expect("in order");
                }
            }
            Event::CaughtUp => replica.caught_up().expect("not fenced"),
            other => panic!("{other:?}"),
        }
    }
}

/// Checks that what `edge` holds is what `ring` holds from there on.
fn same(edge: &Ring, ring: &Ring) -> Vec<Relayed> {
    let (ours, mut theirs) = (contents(edge, Start::Oldest), contents(ring, Start::Oldest));
    let (epoch, first) = ours.first().cloned().expect("something");
    theirs.retain(|(e, tag)| (*e, tag.number) >= (epoch, first.number));
    for (our, their) in ours.iter().zip(&theirs) {
        assert_eq!(our, their);
    }
    assert_eq!(ours.len(), theirs.len());
    ours.into_iter().map(|(_, tag)| tag).collect()
}

#[tokio::test]
async fn an_edge_has_what_the_origin_has_tag_for_tag() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin_marked(epoch(5), 0, Cutter::boxed());
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 110);

    let (described, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    assert_eq!(described.about, about(epoch(5)));
    assert!(!described.resumed);
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    replica.describe(described.description).expect("the first");
    follow(&mut pulling, &mut replica, &edge, &ring).await;
    // Live, in several batches.
    for _ in 0..10 {
        encoder.send(&mut publisher, 7);
        follow(&mut pulling, &mut replica, &edge, &ring).await;
    }

    let held = same(&edge, &ring);
    let begins = |tag: &Relayed| tag.cut.as_ref().is_some_and(|cut| cut.segment.is_some());
    assert!(held.first().is_some_and(begins));
    assert!(held.iter().any(|tag| tag.composition != 0));
    assert_eq!(held.last().map(|tag| tag.tag.dts), Some(179 * 40));
    let (ours, theirs) = (edge.configuration(), ring.configuration());
    assert_eq!(
        (ours.version, &ours.video, &ours.audio),
        (theirs.version, &theirs.video, &theirs.audio)
    );
    let payloads = |configuration: &media::Configuration| {
        let tags = configuration.tags.iter().map(|tag| tag.tag.payload.clone());
        tags.collect::<Vec<_>>()
    };
    assert_eq!(payloads(&ours), payloads(&theirs));
}

#[tokio::test]
async fn a_pull_begins_with_the_window_and_says_when_it_has_caught_up() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin_marked(epoch(5), 0, Cutter::boxed());
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 130);

    let (_, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    let old = backfill(&mut pulling).await;
    // Segments 103 to 105 are listed, and with the newest that is complete 102: the pictures from 50 on.
    assert_eq!(old.first().map(|tag| tag.tag.dts), Some(50 * 40));
    assert_eq!(old.last().map(|tag| tag.tag.dts), Some(129 * 40));
    encoder.send(&mut publisher, 1);
    assert_eq!(
        tags(&mut pulling).await.first().map(|tag| tag.tag.dts),
        Some(130 * 40)
    );
}

#[tokio::test]
async fn a_pull_without_the_window_begins_where_players_do() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin_marked(epoch(5), 0, Cutter::boxed());
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 130);

    let wanted = Subscribe {
        backfill: Backfill::Join,
        ..Subscribe::new(key("a"))
    };
    let pulled = soon(client("edge").pull(&origin.peer, wanted)).await;
    let (_, mut pulling) = pulled.expect("pulls");
    let old = backfill(&mut pulling).await;
    assert_eq!(old.first().map(|tag| tag.tag.dts), Some(125 * 40));
}

#[tokio::test]
async fn a_broken_pull_goes_on_with_the_next_tag() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin_marked(epoch(5), 0, Cutter::boxed());
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 30);
    let client = client("edge");
    let (described, mut pulling) = pull(&client, &origin.peer, "a").await;
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    replica.describe(described.description).expect("the first");
    follow(&mut pulling, &mut replica, &edge, &ring).await;
    drop(pulling);
    encoder.send(&mut publisher, 20);

    let (epoch, number) = edge.next_number().expect("written");
    let wanted = Subscribe {
        resume: Some(Position { epoch, number }),
        ..Subscribe::new(key("a"))
    };
    let (described, mut pulling) = soon(client.pull(&origin.peer, wanted))
        .await
        .expect("pulls");
    assert!(described.resumed);
    assert_eq!(described.description.number, number);
    replica
        .describe(described.description)
        .expect("the same epoch");
    follow(&mut pulling, &mut replica, &edge, &ring).await;
    assert_eq!(same(&edge, &ring).len(), 100);
}

#[tokio::test]
async fn who_comes_too_late_to_resume_begins_anew() {
    let origin = origin().await;
    let limits = Limits {
        max_duration: Duration::from_secs(1),
        ..Limits::default()
    };
    let ring = origin.node.stream("a", limits).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 500);
    for position in [
        // Evicted long ago.
        Position {
            epoch: epoch(5),
            number: 10,
        },
        // Nobody knows it any more.
        Position {
            epoch: epoch(4),
            number: 10,
        },
    ] {
        let wanted = Subscribe {
            resume: Some(position),
            ..Subscribe::new(key("a"))
        };
        let (described, mut pulling) = soon(client("edge").pull(&origin.peer, wanted))
            .await
            .expect("pulls");
        assert!(!described.resumed);
        assert!(described.description.number > 10);
        let old = backfill(&mut pulling).await;
        assert_eq!(
            old.first().map(|tag| tag.number),
            Some(described.description.number)
        );
        assert!(old.first().is_some_and(|tag| tag.keypoint));
    }
}

#[tokio::test]
async fn who_lagged_and_joins_has_a_hole_and_behind_it_what_the_origin_has() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin_marked(epoch(5), 0, Cutter::boxed());
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 30);
    let client = client("edge");
    let (described, mut pulling) = pull(&client, &origin.peer, "a").await;
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    replica.describe(described.description).expect("the first");
    follow(&mut pulling, &mut replica, &edge, &ring).await;
    drop(pulling);
    let (_, expected) = edge.next_number().expect("written");

    // What it misses has pictures of another kind in it.
    let avc: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x29, 0xff, 0];
    let record = Tag::new(Kind::Video, 30 * 40, Bytes::from_static(avc));
    publisher.push(record, 0).expect("not fenced");
    encoder.send(&mut publisher, 60);
    let wanted = Subscribe {
        backfill: Backfill::Join,
        ..Subscribe::new(key("a"))
    };
    let (described, mut pulling) = soon(client.pull(&origin.peer, wanted))
        .await
        .expect("pulls");
    assert!(described.description.number > expected);
    replica
        .describe(described.description)
        .expect("the same epoch");
    follow(&mut pulling, &mut replica, &edge, &ring).await;
    encoder.send(&mut publisher, 5);
    follow(&mut pulling, &mut replica, &edge, &ring).await;

    let (mut cursor, join) = edge.cursor(Start::Window);
    let first = cursor.read().expect("there").first().cloned();
    let first = first.expect("a tag");
    assert!(first.follows_hole() && first.keypoint);
    assert_eq!(
        (first.tag.dts, first.number),
        (75 * 40, join.next.map_or(0, |next| next.1))
    );
    let behind = contents(&edge, Start::Window);
    assert_eq!(behind, contents(&ring, Start::CaughtUp));
    let records = |ring: &Ring| {
        let tags = ring.cursor(Start::CaughtUp).1.configuration.tags.clone();
        tags.iter()
            .map(|tag| tag.tag.payload.clone())
            .collect::<Vec<_>>()
    };
    assert!(records(&edge).contains(&Bytes::from_static(avc)));
    assert_eq!(records(&edge), records(&ring));
    assert_eq!(edge.configuration().version, ring.configuration().version);
}

#[tokio::test]
async fn a_new_epoch_is_described_before_its_first_tag() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin_marked(epoch(5), 0, Cutter::boxed());
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 30);
    let (described, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    let edge = Ring::new(Limits::default());
    let mut replica = edge.replica();
    replica.describe(described.description).expect("the first");
    follow(&mut pulling, &mut replica, &edge, &ring).await;

    let mut publisher = ring.begin_marked(epoch(6), 0, Cutter::boxed());
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 30);
    let Event::Described(described) = soon(pulling.next()).await.expect("no error") else {
        panic!("a description comes first");
    };
    assert_eq!(
        (described.description.epoch, described.description.number),
        (epoch(6), 0)
    );
    assert_eq!(described.about, about(epoch(6)));
    assert!(!described.resumed, "nobody asked for it");
    replica
        .describe(described.description)
        .expect("a higher epoch");
    follow(&mut pulling, &mut replica, &edge, &ring).await;
    assert_eq!(same(&edge, &ring).len(), 60 + 63);
}

/// Brings an epoch of a few pictures to a ring, as a pull does.
fn bring(replica: &mut Replica, number: u64) {
    let source = Ring::new(Limits::default());
    let mut publisher = source.begin(epoch(number), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 10);
    let (_, join) = source.cursor(Start::Window);
    let description = join.describe(false).expect("written");
    replica.describe(description).expect("a higher epoch");
    for (_, tag) in contents(&source, Start::Window) {
        replica.push(tag).expect("in order");
    }
}

#[tokio::test]
async fn an_edge_behind_an_edge_catches_up_when_that_has() {
    let middle = origin().await;
    let ring = middle.node.stream("a", Limits::default()).ring;
    let mut replica = ring.replica();
    bring(&mut replica, 5);
    let edge = client("edge");
    let pulled = edge.pull(&middle.peer, Subscribe::new(key("a")));
    let mut pulled = std::pin::pin!(pulled);
    let patience = Duration::from_millis(200);
    let early = tokio::time::timeout(patience, &mut pulled).await;
    assert!(early.is_err(), "what there is by now is old: {early:?}");
    replica.caught_up().expect("not fenced");
    let (_, mut pulling) = soon(pulled).await.expect("pulls");
    assert_eq!(backfill(&mut pulling).await.len(), 20);

    bring(&mut replica, 6);
    let described = soon(pulling.next()).await.expect("no error");
    assert!(matches!(described, Event::Described(_)), "{described:?}");
    let mut count = 0;
    while count < 20 {
        count += tags(&mut pulling).await.len();
    }
    let early = tokio::time::timeout(patience, pulling.next()).await;
    assert!(early.is_err(), "what there is by now is old: {early:?}");
    // It hears of it at once, not with the next tag.
    replica.caught_up().expect("not fenced");
    let said = soon(pulling.next()).await.expect("no error");
    assert_eq!(said, Event::CaughtUp);
}

#[tokio::test]
async fn what_a_node_misses_itself_has_no_number_with_those_behind_it() {
    let source = Ring::new(Limits::default());
    let mut publisher = source.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 60);
    let all = contents(&source, Start::Oldest);

    // It lost its own origin for a while, and took up the stream at a later place.
    let middle = origin().await;
    let ring = middle.node.stream("a", Limits::default()).ring;
    let mut replica = ring.replica();
    let mut expected = Vec::new();
    for (from, to) in [(0, 40), (70, all.len())] {
        let (_, join) = source.resume(epoch(5), from as u64).expect("there");
        let description = join.describe(false).expect("written");
        replica.describe(description).expect("not fenced");
        for (_, tag) in &all[from..to] {
            replica.push(tag.clone()).expect("in order");
        }
        replica.caught_up().expect("not fenced");
        expected.extend(from as u64..to as u64);
    }
    let wanted = Subscribe {
        resume: Some(Position {
            epoch: epoch(5),
            number: 0,
        }),
        ..Subscribe::new(key("a"))
    };
    let pulled = soon(client("edge").pull(&middle.peer, wanted)).await;
    let (described, mut pulling) = pulled.expect("pulls");
    assert!(described.resumed);
    let old = backfill(&mut pulling).await;
    let numbers: Vec<_> = old.iter().map(|tag| tag.number).collect();
    assert_eq!(numbers, expected);
    for tag in old {
        assert_eq!(tag.tag, all[tag.number as usize].1.tag);
    }
}

#[tokio::test]
async fn a_backfill_over_two_epochs_describes_both_and_catches_up_once() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    for number in [5, 6] {
        let mut publisher = ring.begin(epoch(number), 0);
        let mut encoder = Encoder::default();
        encoder.start(&mut publisher);
        encoder.send(&mut publisher, 30);
    }
    // Whoever saw the first tag of the first epoch gets the rest of both.
    let wanted = Subscribe {
        resume: Some(Position {
            epoch: epoch(5),
            number: 1,
        }),
        ..Subscribe::new(key("a"))
    };
    let (described, mut pulling) = soon(client("edge").pull(&origin.peer, wanted))
        .await
        .expect("pulls");
    assert_eq!(described.description.epoch, epoch(5));
    let mut said = Vec::new();
    loop {
        match soon(pulling.next()).await.expect("no error") {
            Event::Tags(tags) => said.push(format!("{} tags", tags.len())),
            Event::Described(described) => said.push(described.description.epoch.to_string()),
            Event::CaughtUp => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(said, ["62 tags", &epoch(6).to_string(), "63 tags"]);
}

#[tokio::test]
async fn a_tag_larger_than_any_batch_passes() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    let largest = (1 << 24) - 1;
    encoder.picture(&mut publisher, largest);
    encoder.picture(&mut publisher, 3000);
    let (_, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    let sizes: Vec<_> = backfill(&mut pulling)
        .await
        .iter()
        .map(|tag| tag.tag.payload.len())
        .collect();
    assert_eq!(sizes, [largest, 300, 3000, 300]);
}

#[tokio::test]
async fn what_gathers_goes_in_batches_of_bounded_size() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 25);
    (0..200).for_each(|_| encoder.picture(&mut publisher, 30_000));
    let (_, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    let mut sizes = Vec::new();
    while let Event::Tags(tags) = soon(pulling.next()).await.expect("no error") {
        sizes.push(tags.iter().map(|tag| tag.tag.payload.len()).sum::<usize>());
    }
    let most = crate::Tuning::default().batch_bytes;
    assert!(sizes.iter().all(|size| *size <= most), "{sizes:?}");
    assert!(sizes.len() < 20, "{sizes:?}");
}

#[tokio::test]
async fn sound_does_not_keep_the_pictures_beside_it_in_memory() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 25);
    let (_, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    let old = backfill(&mut pulling).await;
    let range = |tag: &Relayed| tag.tag.payload.as_ptr_range();
    let pairs = old.iter().zip(old.iter().skip(1));
    let (mut apart, mut together) = (0, 0);
    for (picture, sound) in pairs.filter(|(tag, _)| tag.tag.is_video()) {
        // In the buffer that was received a tag lies right behind the one before.
        let gap = range(sound)
            .start
            .addr()
            .wrapping_sub(range(picture).end.addr());
        assert!(gap > 64, "the sound is a slice of the message");
        apart += 1;
    }
    let pictures: Vec<_> = old.iter().filter(|tag| tag.tag.is_video()).collect();
    for (one, next) in pictures.iter().zip(pictures.iter().skip(1)) {
        let gap = range(next).start.addr().wrapping_sub(range(one).end.addr());
        together += usize::from((300..400).contains(&gap));
    }
    assert_eq!(apart, 25);
    assert!(
        together > 20,
        "the pictures are slices of the message: {together}"
    );
}

#[tokio::test]
async fn the_origin_learns_how_many_watch() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let (_, pulling) = pull(&client("edge"), &origin.peer, "a").await;
    let begun = Instant::now();
    for count in 1..=100 {
        pulling.viewers(Viewers(BTreeMap::from([("rtmp".to_owned(), count)])));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let heard = || origin.node.crowd.lock().expect("not poisoned").clone();
    until(|| heard().last().is_some_and(|crowd| crowd.total() == 100)).await;
    let most = 2 + begun.elapsed().as_millis() / 100;
    assert!(
        heard().len() <= most as usize,
        "only the newest count, and ten a second: {:?}",
        heard()
    );
}

#[tokio::test]
async fn the_node_learns_who_pulls_and_when_they_leave() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let edge = client("edge");
    let (_, first) = pull(&edge, &origin.peer, "a").await;
    let (_, second) = pull(&edge, &origin.peer, "a").await;
    assert_eq!(origin.node.feeds(), 2);
    assert_eq!(
        origin.node.callers.lock().expect("not poisoned")[0].node,
        "edge"
    );
    assert_eq!(
        origin.node.wanted.lock().expect("not poisoned")[0].hops,
        ["edge"]
    );
    drop(first);
    until(|| origin.node.feeds() == 1).await;
    drop((second, edge));
    until(|| origin.node.feeds() == 0).await;
}

#[tokio::test]
async fn what_the_origin_learns_of_an_epoch_is_said_once_and_while_it_goes_on() {
    let origin = origin().await;
    let stream = origin.node.stream("a", Limits::default());
    let mut publisher = stream.ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    let (described, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    assert_eq!(described.about.bandwidth, Bandwidth::default());
    backfill(&mut pulling).await;

    let measured = Bandwidth {
        average: 1_900_000,
        peak: 2_500_000,
    };
    *stream.bandwidth.lock().expect("not poisoned") = measured;
    stream.changes.send_replace(());
    let expected = About {
        bandwidth: measured,
        ..about(epoch(5))
    };
    let heard = soon(pulling.next()).await.expect("no error");
    assert_eq!(heard, Event::About(Box::new(expected)));
    // Nothing new is not said again.
    stream.changes.send_replace(());
    encoder.send(&mut publisher, 1);
    let heard = soon(pulling.next()).await.expect("no error");
    assert!(matches!(heard, Event::Tags(_)), "{heard:?}");
}
