//! The target duration of playlists, as the lengths of GOPs show it.

mod support;

use std::time::Duration;

use flv::Tag;
use support::*;
use weir_hls::{Config, Mode, Numbering};

fn headers() -> Vec<Tag> {
    let told = metadata(&[("framerate", 25.0), ("videocodecid", 7.0)]);
    vec![told, avc_header(0, 1), aac_header(0)]
}

/// Pictures of 25 a second with keyframes at these, and then each so many.
fn scenes(keyframes: &[u32], gop: u32, seconds: u32) -> Vec<Tag> {
    let last = keyframes.last().copied().unwrap_or(0);
    let is_key = |n: u32| {
        keyframes.contains(&n) || n.checked_sub(last).is_some_and(|n| n.is_multiple_of(gop))
    };
    let picture = |n: u32| match is_key(n) {
        true => keyframe(n * 40),
        false => inter(n * 40),
    };
    let pictures = (0..seconds * 25).map(picture);
    interleaved(headers(), &[pictures.collect()])
}

/// The target durations that are told, in seconds, and whether all segments begin with a keyframe.
fn targets(config: &Config, tags: Vec<Tag>) -> (Vec<u64>, bool) {
    let tags = cut(config, tags);
    check(config, &tags);
    let (_, segments) = parts(&tags);
    let independent = segments.iter().all(|(.., it)| it.independent);
    let targets = segments.iter().map(|(.., it)| it.target.as_secs());
    let mut targets: Vec<_> = targets.collect();
    targets.dedup();
    (targets, independent)
}

#[test]
fn the_target_duration_is_that_of_the_first_segment() {
    // Frames of a GOP at 25 a second; the first segment does not know its own.
    for (gop, target) in [
        (25, 2),
        (50, 2),
        (56, 2),
        (60, 3),
        (75, 3),
        (85, 4),
        (100, 4),
    ] {
        for mode in [Mode::LowLatency, Mode::Ts] {
            let config = Config {
                mode,
                ..Config::default()
            };
            let (told, independent) = targets(&config, scenes(&[0], gop, 30));
            let told_once: Vec<_> = if target == 4 {
                vec![4]
            } else {
                vec![4, target]
            };
            assert_eq!((told, independent), (told_once, true), "{gop}");
        }
    }
    let config = Config::default();
    // Cut between keyframes; cut short by another configuration, which tells nothing; and without
    // a keyframe at first.
    assert_eq!(targets(&config, scenes(&[0], 500, 30)), (vec![4], false));
    let mut changes = scenes(&[0], 100, 30);
    changes.insert(30, avc_header(30 * 40, 2));
    assert_eq!(targets(&config, changes).0, [4]);
    let mut late = headers();
    late.extend(scenes(&[0], 100, 30).split_off(43));
    assert_eq!(targets(&config, late).0, [4]);
}

#[test]
fn parts_of_any_length_leave_segments_that_begin_with_keyframes() {
    for part in [100, 333, 500, 1000] {
        for gop in [50, 52, 55, 57, 60, 80] {
            let config = Config {
                part: Duration::from_millis(part),
                ..Config::default()
            };
            let (told, independent) = targets(&config, scenes(&[0], gop, 40));
            assert!(independent, "{part} {gop}");
            assert!(told.len() <= 2, "{part} {gop}: {told:?}");
        }
    }
}

#[test]
fn the_target_duration_grows_where_keyframes_show_that_it_is_too_short() {
    for mode in [Mode::LowLatency, Mode::Ts] {
        let config = Config {
            mode,
            ..Config::default()
        };
        // One scene, and then four seconds each: one segment begins without a keyframe.
        let tags = cut(&config, scenes(&[0, 45], 100, 60));
        check(&config, &tags);
        let (_, segments) = parts(&tags);
        let told: Vec<_> = segments.iter().map(|it| it.2.target.as_secs()).collect();
        assert_eq!(told[..4], [4, 2, 2, 4], "{told:?}");
        assert!(told[4..].iter().all(|it| *it == 4));
        let torn: Vec<_> = segments.iter().map(|it| it.2.independent).collect();
        assert_eq!(torn.iter().filter(|it| !**it).count(), 1, "{torn:?}");
    }
}

#[test]
fn keyframes_that_come_with_scenes_begin_segments_before_the_next_may_be_too_late() {
    let config = Config::default();
    let regular = scenes(&[0, 50, 68, 118, 128, 178, 228, 245, 295], 50, 40);
    assert_eq!(targets(&config, regular), (vec![4, 2], true));
    // A scene too soon for a segment of its own; from then on each begins with a keyframe again.
    for gop in [58, 60, 61] {
        let tags = cut(&config, scenes(&[0, 50, 57], gop, 60));
        check(&config, &tags);
        let (_, segments) = parts(&tags);
        let torn = segments.iter().filter(|it| !it.2.independent).count();
        assert!(torn <= 2, "{gop}: {torn}");
    }
}

#[test]
fn the_target_duration_of_a_window_that_goes_on_grows_and_never_shrinks() {
    let ring = ring();
    let config = Config::default();
    let mut numbering = Numbering::after_crash(None, NOW);
    // The second has a single keyframe, and ends before its first segment does.
    for (number, (gop, seconds)) in (1..).zip([(50, 12), (500, 3), (75, 12), (25, 12)]) {
        let mut publisher = begin(&ring, number, &config, &numbering);
        push(&mut publisher, scenes(&[0], gop, seconds));
        drop(publisher);
        numbering = Numbering::carry_on(&ring.newest_segment().expect("one"), &config);
        assert!(numbering.carries_on());
    }
    let tags = all(&ring, media::Start::Window);
    let told = tags.iter().filter_map(|tag| tag.segment());
    let mut told: Vec<_> = told.map(|it| it.target.as_secs()).collect();
    told.dedup();
    assert_eq!(told, [4, 2, 3]);
}
