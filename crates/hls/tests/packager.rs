//! What becomes of streams of which something is missing, or that begin anew.

mod support;

use std::ops::Range;
use std::time::Duration;

use media::{Epoch, MarkedTag, Relayed, Start};
use support::nodes::{Edge, Node, Served, everything};
use support::packaged::*;
use support::*;
use weir_hls::{Answer, Config, Mode, Name, Numbering};

#[test]
fn a_publish_that_carries_on_keeps_the_window_behind_a_discontinuity() {
    let config = config(Mode::LowLatency);
    let ring = ring();
    let mut node = Node::new(&ring, config.mode);
    let numbering = Numbering::after_crash(None, NOW);
    push(&mut begin(&ring, 1, &config, &numbering), stream(4.5));
    node.package(|_, _| {});
    let next = Numbering::carry_on(&ring.newest_segment().unwrap(), &config);
    let mut publisher = begin(&ring, 2, &config, &next);
    let mut tags = stream(4.5).into_iter();
    push(&mut publisher, tags.by_ref().take(3));
    node.package(|_, _| {});
    // Whether it carries on, its first segment says.
    assert!(!node.packager.window().segments().last().unwrap().is_whole());
    push(&mut publisher, tags);
    node.package(|_, _| {});

    let window = node.packager.window();
    let text = playlist(window, newest(window));
    let listed = parsed(window);
    assert_eq!(listed.media_sequence, FIRST);
    let numbers: Vec<_> = listed
        .segments
        .iter()
        .map(|it| it.discontinuity - DISCONTINUITY)
        .collect();
    assert_eq!(numbers, [0, 0, 0, 1, 1, 1]);
    // The tail of the first publish is all there is of it.
    let tail = &listed.segments[2];
    assert_eq!(tail.duration, 480 * MS);
    assert!(
        text.contains("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"2.1-"),
        "{text}"
    );
    let edge = Edge::new(&ring, config.mode);
    let mut served = Served::default();
    served.note(window);
    served.compare(edge.node.packager.window());
    assert_eq!(playlist(edge.node.packager.window(), newest(window)), text);
}

#[test]
fn after_a_crash_the_window_begins_empty_and_nothing_torn_is_served() {
    let by_clock = FIRST + 30 * 4;
    // Where its clock is behind, all that a node knows is what it saw last.
    for first in [by_clock, FIRST + 3] {
        crash(first);
    }
}

#[test]
fn what_does_not_carry_on_is_not_known_to_have_ended() {
    let ring = ring();
    let mut node = Node::new(&ring, Mode::LowLatency);
    let first = config(Mode::LowLatency);
    let numbering = Numbering::after_crash(None, NOW);
    push(&mut begin(&ring, 1, &first, &numbering), stream(4.5));
    // A playlist cannot shorten its target duration.
    let second = Config {
        segment: Duration::from_millis(500),
        ..first
    };
    let next = Numbering::carry_on(&ring.newest_segment().unwrap(), &second);
    push(&mut begin(&ring, 2, &second, &next), stream(4.5));
    node.package(|_, _| {});
    let window = node.packager.window();
    let listed = parsed(window);
    assert_eq!((listed.media_sequence, listed.target), (FIRST + 3, 1));
    assert!(bytes(window, &format!("1.1-{}.m4s", FIRST + 1)).is_some());
    assert!(bytes(window, &format!("1.1-{}.1.m4s", FIRST + 2)).is_some());
    assert!(bytes(window, &format!("1.1-{}.m4s", FIRST + 2)).is_none());
}

/// An origin is gone, and another goes on from the number `first`.
fn crash(first: u64) {
    let config = config(Mode::LowLatency);
    let origin = ring();
    let numbering = Numbering::after_crash(None, NOW);
    let mut publisher = begin(&origin, 1, &config, &numbering);
    let mut tags = stream(4.7).into_iter();
    push(&mut publisher, tags.by_ref().filter(|tag| tag.dts < 4410));
    // This edge has less of the last segment than the other.
    let mut early = Edge::new(&origin, config.mode);
    push(
        &mut publisher,
        stream(4.7).into_iter().filter(|tag| tag.dts > 4410),
    );
    let late = Edge::new(&origin, config.mode);
    let torn = FIRST + 2;
    let parts = |edge: &Edge| {
        let segments = edge.node.packager.window().segments();
        segments.last().unwrap().parts().len()
    };
    assert_eq!((parts(&early), parts(&late)), (2, 3));

    // The origin is gone, another goes on.
    let other = ring();
    let later = NOW + 30 * SECOND;
    let numbering = Numbering {
        msn: first,
        discontinuity: first,
        not_before: None,
        carried: None,
    };
    let mut publisher = begin(&other, 2, &config, &numbering);
    for tag in stream(17.0) {
        let ingest = later + i64::from(tag.dts) * MS;
        publisher.push(tag, ingest).unwrap();
    }
    let mut replica = early.node.ring.replica();
    let (mut cursor, join) = other.cursor(Start::Window);
    replica.describe(join.describe(true).unwrap()).unwrap();
    let mut next = || cursor.read_at_most(1).unwrap().first().map(Relayed::from);
    let mut after = 0;
    let mut listed = None;
    while let Some(tag) = next() {
        replica.push(tag).unwrap();
        early.node.package(|_, _| after += 1);
        if after == 1 && listed.is_none() {
            let window = early.node.packager.window();
            listed = Some(parsed(window));
            // What is complete is there for late comers, what is torn never will be.
            assert!(bytes(window, &format!("1.1-{}.m4s", torn - 1)).is_some());
            assert!(bytes(window, &format!("1.1-{torn}.1.m4s")).is_some());
            for gone in [format!("1.1-{torn}.m4s"), format!("1.1-{torn}.2.m4s")] {
                let name = Name::parse(&gone).unwrap();
                assert_eq!(window.find(&name), Answer::Gone, "{gone}");
            }
        }
    }
    let listed = listed.expect("a version");
    assert_eq!(
        (listed.media_sequence, listed.discontinuity_sequence),
        (first, first)
    );
    assert_eq!(listed.segments.len(), 1);
    // Twelve seconds later the late comers have gone.
    let window = early.node.packager.window();
    assert_eq!(window.segments().next().unwrap().epoch(), Epoch::new(2, 1));
    assert!(bytes(window, &format!("1.1-{}.m4s", torn - 1)).is_none());
}

#[test]
fn behind_a_hole_the_window_begins_anew() {
    for mode in [Mode::LowLatency, Mode::Fmp4, Mode::Ts] {
        // Behind it the next keyframe is at ten seconds, or at six: a picture alone is missing.
        hole(mode, 5100..9050, FIRST + 5);
        hole(mode, 5110..5130, FIRST + 3);
    }
}

/// What came within `missing` never came to an edge, whose list then begins with `next`.
fn hole(mode: Mode, missing: Range<u32>, next: u64) {
    let config = config(mode);
    let origin = ring();
    let numbering = Numbering::after_crash(None, NOW);
    let mut publisher = begin(&origin, 1, &config, &numbering);
    let tags = stream(20.0);
    let part = |from: u32, to: u32| {
        let tags = tags.iter().filter(move |tag| (from..to).contains(&tag.dts));
        tags.cloned().collect::<Vec<_>>()
    };
    push(&mut publisher, part(0, missing.start));
    let mut edge = Edge::new(&origin, mode);
    let before = newest(edge.node.packager.window());
    let known = everything(edge.node.packager.window());
    push(&mut publisher, part(missing.start, missing.end));
    // The edge is told to go on from here.
    let position = origin.head();
    push(&mut publisher, part(missing.end, 20_000));
    let (mut cursor, join) = origin.cursor(Start::At(position));
    let mut replica = edge.node.ring.replica();
    replica.describe(join.describe(true).unwrap()).unwrap();
    let mut served = Served::default();
    let mut whole = Node::new(&origin, mode);
    whole.package(|_, window| served.note(window));
    let mut sequence = 0;
    while let Some(tag) = cursor.read_at_most(1).unwrap().first().map(Relayed::from) {
        replica.push(tag).unwrap();
        edge.node.package(|version, window| {
            // It never goes back, and is good, and what is said to be exact is.
            let listed = parsed(window);
            assert!(listed.media_sequence >= sequence);
            sequence = listed.media_sequence;
            assert!(version > before);
            assert!(!window.is_exact(version) || version.msn <= FIRST + 2);
            served.compare(window);
        });
    }
    let window = edge.node.packager.window();
    let listed = parsed(window);
    let torn = FIRST + 2;
    assert_eq!(listed.media_sequence, next);
    let name = Name::Segment {
        epoch: Epoch::new(1, 1),
        msn: torn,
        container: mode.container(),
    };
    assert_eq!(window.find(&name), Answer::Gone);
    // What was known is known still.
    served.compare(window);
    let still = everything(window);
    assert!(known.iter().all(|it| still.contains(it)));
    // Players are given what there is, and others do not keep it.
    assert_eq!(
        window.version(newest(window).msn, newest(window).part),
        Answer::Gone
    );
}

#[test]
fn a_stream_that_ends_behind_a_hole_ends_with_a_segment() {
    let config = config(Mode::LowLatency);
    let origin = ring();
    let numbering = Numbering::after_crash(None, NOW);
    let mut publisher = begin(&origin, 1, &config, &numbering);
    let part = |from: u32, to: u32| {
        let tags = stream(6.0).into_iter();
        tags.filter(move |tag| (from..to).contains(&tag.dts))
    };
    push(&mut publisher, part(0, 5000));
    let mut edge = Edge::new(&origin, Mode::LowLatency);
    let torn = newest(edge.node.packager.window()).msn;
    // Something is missing at the edge, and what comes behind it begins no segment.
    push(&mut publisher, part(5000, 5100));
    let position = origin.head();
    push(&mut publisher, part(5100, 5400));
    let (mut cursor, join) = origin.cursor(Start::At(position));
    let mut replica = edge.node.ring.replica();
    replica.describe(join.describe(true).unwrap()).unwrap();
    for tag in cursor.read_at_most(1000).unwrap() {
        replica.push(Relayed::from(tag)).unwrap();
    }
    edge.node.package(|_, _| {});
    edge.node.packager.end();
    let window = edge.node.packager.window();
    assert!(
        window
            .segments()
            .any(|it| it.msn() == torn && !it.is_whole())
    );
    let text = playlist(window, newest(window));
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    let last = text.lines().rev().nth(1).expect("a segment");
    assert!(last.ends_with(&format!("-{torn}.m4s")), "{text}");
    // There are parts of it, and no more.
    assert_eq!(text.matches("#EXT-X-GAP\n#EXTINF:").count(), 1, "{text}");
    let (_, parts) = text
        .split_once(&format!("-{torn}.0.m4s"))
        .expect("its parts");
    assert!(parts.contains("#EXT-X-GAP\n"), "{text}");
}

#[test]
fn an_edge_that_still_catches_up_has_no_exact_playlist() {
    let config = config(Mode::LowLatency);
    let origin = ring();
    let numbering = Numbering::after_crash(None, NOW);
    push(&mut begin(&origin, 1, &config, &numbering), stream(40.0));
    let mut whole = Node::new(&origin, config.mode);
    whole.package(|_, _| {});
    let edge_ring = ring();
    let mut replica = edge_ring.replica();
    let (mut cursor, join) = origin.cursor(Start::Window);
    replica.describe(join.describe(true).unwrap()).unwrap();
    let mut edge = Node::new(&edge_ring, config.mode);
    let mut exact = Vec::new();
    while let Some(tag) = cursor.read_at_most(1).unwrap().first().map(Relayed::from) {
        replica.push(tag).unwrap();
        edge.package(|version, window| exact.push(window.is_exact(version)));
    }
    let first = exact.iter().position(|exact| *exact).unwrap();
    assert!(exact[..first].len() > 90 && exact[first..].iter().all(|exact| *exact));
    let own = whole.packager.window();
    assert_eq!(newest(edge.packager.window()), newest(own));
}

#[test]
fn where_an_origin_takes_to_another_container_the_list_begins_anew() {
    let whole = config(Mode::Fmp4);
    let ring = ring();
    let mut node = Node::new(&ring, Mode::Fmp4);
    let numbering = Numbering::after_crash(None, NOW);
    push(&mut begin(&ring, 1, &whole, &numbering), stream(4.5));
    node.package(|_, _| {});
    let next = Numbering::carry_on(&ring.newest_segment().unwrap(), &config(Mode::Ts));
    node.packager.set_mode(Mode::Ts);
    push(&mut begin(&ring, 2, &config(Mode::Ts), &next), stream(4.5));
    node.package(|_, _| {});
    let listed = parsed(node.packager.window());
    assert_eq!(listed.media_sequence, FIRST + 3);
    assert!(
        listed
            .complete()
            .all(|it| it.uri.as_ref().unwrap().ends_with(".ts"))
    );
    assert!(bytes(node.packager.window(), &format!("1.1-{FIRST}.m4s")).is_some());
}

#[test]
fn marks_that_make_no_sense_do_no_harm() {
    // As no origin of ours writes them.
    let node = packaged(&config(Mode::LowLatency), stream(6.5));
    let tags = all(&node.ring, Start::Oldest);
    let configuration = node.ring.configuration();
    let twist = |change: &dyn Fn(usize, &mut MarkedTag)| {
        let mut packager = weir_hls::Packager::new(Mode::LowLatency);
        for (at, tag) in tags.iter().enumerate() {
            let mut tag = tag.clone();
            change(at, &mut tag);
            packager.push(&tag, &configuration);
        }
        packager.end();
        for (_, bytes) in everything(packager.window()) {
            assert!(!bytes.is_empty());
        }
    };
    let cut = |tag: &mut MarkedTag, change: &dyn Fn(&mut media::Cut)| {
        if let Some(extra) = &mut tag.extra
            && let Some(cut) = &mut std::sync::Arc::make_mut(extra).cut
        {
            change(cut);
        }
    };
    twist(&|_, tag| cut(tag, &|cut| cut.msn = 7));
    twist(&|_, tag| cut(tag, &|cut| cut.msn = u64::MAX));
    twist(&|at, tag| cut(tag, &|cut| cut.msn -= at as u64));
    twist(&|_, tag| cut(tag, &|cut| cut.part = 0));
    twist(&|_, tag| cut(tag, &|cut| cut.part = u32::MAX));
    twist(&|_, tag| cut(tag, &|cut| cut.start = i64::MIN));
    twist(&|_, tag| cut(tag, &|cut| cut.start = i64::MAX));
    twist(&|at, tag| {
        cut(tag, &|cut| {
            cut.start = if at % 2 == 0 { i64::MIN } else { i64::MAX }
        })
    });
    let segment = |tag: &mut MarkedTag, change: &dyn Fn(&mut media::Segment)| {
        cut(tag, &|cut| cut.segment.iter_mut().for_each(change));
    };
    twist(&|_, tag| segment(tag, &|it| it.first_listed = u64::MAX));
    twist(&|_, tag| segment(tag, &|it| it.first_listed = 0));
    twist(&|_, tag| segment(tag, &|it| it.date_time = i64::MIN));
    twist(&|_, tag| segment(tag, &|it| it.date_time = i64::MAX));
    twist(&|_, tag| segment(tag, &|it| it.target = Duration::MAX / 2));
    twist(&|_, tag| segment(tag, &|it| it.target = Duration::ZERO));
    twist(&|_, tag| segment(tag, &|it| it.part_target = None));
    twist(&|_, tag| segment(tag, &|it| it.part_target = Some(Duration::ZERO)));
    twist(&|at, tag| {
        segment(tag, &|it| it.part_target = Some(Duration::MAX / 2));
        let start = if at % 2 == 0 { i64::MIN } else { i64::MAX };
        cut(tag, &|cut| cut.start = start);
    });
    twist(&|_, tag| tag.time = i64::MIN);
    twist(&|_, tag| tag.time = i64::MAX);
    twist(&|_, tag| tag.composition = i64::MIN);
    twist(&|_, tag| tag.composition = i64::MAX);
    twist(&|at, tag| tag.version = at as u32);
    twist(&|at, tag| tag.epoch = Epoch::new(at as u64 / 40, 1));
}
