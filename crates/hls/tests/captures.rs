//! Where streams of real encoders are cut.

mod support;

use flv::Tag;
use media::{EndReason, MarkedTag};
use support::nodes::{Edge, Node, Served};
use support::*;
use testkit::hls::{lint, lint_later, lint_multivariant};
use weir_hls::{Answer, Config, Mode, Numbering, Playlist, Variant};

/// Over and over, at later times: what was captured is a few seconds long.
fn repeated(tags: &[Tag], times: u32) -> Vec<Tag> {
    let frames = || tags.iter().filter(|tag| tag.is_frame());
    let first = frames().map(|tag| tag.dts).min().unwrap_or(0);
    let last = frames().map(|tag| tag.dts).max().unwrap_or(0);
    let length = last.wrapping_sub(first).wrapping_add(40);
    let again = (1..times).flat_map(|n| {
        frames().map(move |tag| {
            let dts = tag.dts.wrapping_add(n.wrapping_mul(length));
            tag.clone().with_dts(dts)
        })
    });
    let once = tags.iter().filter(|tag| !tag.is_end()).cloned();
    once.chain(again).collect()
}

#[test]
fn streams_of_real_encoders_are_cut_by_the_rules() {
    for mode in [Mode::LowLatency, Mode::Ts] {
        let config = Config {
            mode,
            ..Config::default()
        };
        for (name, tags) in captures::captures() {
            let tags = cut(&config, repeated(&tags, 8));
            check(&config, &tags);
            let (parts, segments) = parts(&tags);
            let lengths = segment_lengths(&parts);
            let frames = tags.iter().filter(|it| it.tag.is_frame());
            let times: Vec<_> = frames.map(|it| it.time).collect();
            let duration = times.iter().max().unwrap() - times.iter().min().unwrap();
            // All of it but the beginning and the end is in some segment.
            let all: i64 = lengths.iter().sum();
            println!(
                "{name}: {} s in {} segments",
                duration / SECOND,
                segments.len()
            );
            assert!(all + 5500 * MS > duration, "{name}: {all} of {duration}");
            let independent = segments.iter().filter(|(.., it)| it.independent);
            assert_eq!(independent.count(), segments.len(), "{name}");
            let discontinuity = segments[0].2.discontinuity;
            assert!(
                segments
                    .iter()
                    .all(|(.., it)| it.discontinuity == discontinuity),
                "{name}"
            );
        }
    }
}

#[test]
fn parts_of_real_encoders_begin_with_their_first_frame() {
    let config = Config::default();
    for (name, stream) in captures::captures() {
        let tags = cut(&config, stream);
        let cuts: Vec<_> = tags.iter().filter(|it| it.cut().is_some()).collect();
        let is_early = |it: &&&MarkedTag| it.cut().is_some_and(|cut| cut.start != it.time);
        assert_eq!(cuts.iter().filter(is_early).count(), 0, "{name}");
        let (parts, _) = parts(&tags);
        for part in parts.iter().filter(|part| !part.last) {
            let off = (part.length - 200 * MS).abs();
            assert!(off < 10 * MS, "{name}: {}", part.length);
        }
    }
}

#[test]
fn an_edge_makes_the_same_of_them_whenever_it_came() {
    let config = Config {
        window: 3,
        ..Config::default()
    };
    for (name, stream) in captures::captures() {
        let origin = ring();
        let numbering = Numbering::after_crash(None, NOW);
        let mut publisher = begin(&origin, 1, &config, &numbering);
        let stream = repeated(&stream, 8);
        for piece in stream.chunks(stream.len() / 5) {
            push(&mut publisher, piece.iter().cloned());
            let edge = pulled(&origin);
            assert_eq!(made(&edge), made(&origin), "{name}");
        }
    }
}

#[test]
fn playlists_of_them_are_good_and_their_bytes_the_same_everywhere() {
    let (mut carried, mut all) = (0, 0);
    for mode in [Mode::LowLatency, Mode::Fmp4, Mode::Ts] {
        let config = Config {
            mode,
            window: 3,
            ..Config::default()
        };
        for (name, stream) in captures::captures() {
            let origin = ring();
            let numbering = Numbering::after_crash(None, NOW);
            let mut publisher = begin(&origin, 1, &config, &numbering);
            let stream = repeated(&stream, 4);
            let mut node = Node::new(&origin, mode);
            let mut served = Served::default();
            let mut before: Option<String> = None;
            for piece in stream.chunks(stream.len() / 3) {
                push(&mut publisher, piece.iter().cloned());
                node.package(|version, window| {
                    let playlist = Playlist::media(window, version, false).expect("it is there");
                    let text = playlist.text().to_owned();
                    if window.version(version.msn, version.part) == Answer::Gone {
                        assert!(!text.contains("#EXTINF"), "parts alone are for nobody");
                        return;
                    }
                    assert_eq!(lint(&text), [""; 0], "{name}: {text}");
                    let before = before.replace(text.clone());
                    let findings = before.map(|before| lint_later(&before, &text));
                    assert_eq!(findings.unwrap_or_default(), [""; 0], "{name}: {text}");
                });
                served.note(node.packager.window());
                let edge = Edge::new(&origin, mode);
                let compared = served.compare(edge.node.packager.window());
                let is_there = node.packager.window().newest().is_some();
                assert!(compared > 0 || !is_there, "{name}");
            }
            let variant = Variant::of(&origin.configuration(), mode);
            let is_carried = !variant.codecs.is_empty();
            let playlist = Playlist::multivariant(&variant);
            if is_carried {
                assert_eq!(lint_multivariant(playlist.text()), [""; 0], "{name}");
            }
            // Some are shorter than a segment.
            origin.end(EndReason::Ended);
            node.package(|_, _| {});
            let mut segments = node.packager.window().segments();
            let has_bytes = segments.any(|segment| segment.body().is_some());
            assert_eq!(has_bytes, is_carried, "{name} as {mode:?}");
            carried += usize::from(is_carried);
            all += 1;
        }
    }
    assert!(carried * 10 > all * 9, "{carried} of {all}");
}
