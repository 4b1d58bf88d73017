//! Where streams are cut that are made up, one by one.

mod support;

use std::time::Duration;

use flv::Tag;
use media::MarkedTag;
use support::*;
use weir_hls::{Config, Mode, Numbering};

fn headers(rate: Option<f64>) -> Vec<Tag> {
    let told = rate.map(|rate| metadata(&[("framerate", rate), ("videocodecid", 7.0)]));
    let records = [avc_header(0, 1), aac_header(0)];
    told.into_iter().chain(records).collect()
}

/// Checks what must hold of any, and returns its parts' lengths and its segments' in milliseconds.
fn lengths(config: &Config, tags: Vec<Tag>) -> (Vec<i64>, Vec<i64>) {
    let tags = cut(config, tags);
    check(config, &tags);
    let (parts, _) = parts(&tags);
    let ms = |lengths: Vec<i64>| lengths.into_iter().map(|it| (it + MS / 2) / MS).collect();
    let segments = segment_lengths(&parts);
    (ms(parts.iter().map(|it| it.length).collect()), ms(segments))
}

fn part_target(tags: &[MarkedTag]) -> Duration {
    let first = tags.iter().find_map(MarkedTag::segment);
    first.and_then(|it| it.part_target).expect("parts")
}

#[test]
fn pictures_at_usual_rates_make_parts_of_whole_frames() {
    // Rate, frames of a segment of two seconds, part target, frames of a part.
    let table = [
        (60.0, 120, 210, 12),
        (59.94, 120, 211, 12),
        (50.0, 100, 210, 10),
        (48.0, 96, 219, 10),
        (30.0, 60, 210, 6),
        (29.97, 60, 211, 6),
        (25.0, 50, 210, 5),
        (24.0, 48, 219, 5),
        (23.976, 48, 219, 5),
        (20.0, 40, 210, 4),
        (15.0, 30, 210, 3),
        (12.5, 25, 252, 3),
        (12.0, 24, 175, 2),
        (10.0, 20, 210, 2),
        (8.0, 16, 263, 2),
        (5.0, 10, 210, 1),
        (2.0, 4, 525, 1),
        (1.0, 2, 1050, 1),
    ];
    let config = Config::default();
    for (rate, gop, target, frames) in table {
        for told in [true, false] {
            let pictures = pictures(rate, gop, 20.1);
            let stream = interleaved(headers(told.then_some(rate)), &[pictures, sound(20.1)]);
            let tags = cut(&config, stream);
            check(&config, &tags);
            let blind = Duration::from_millis(230);
            if told {
                let expected = Duration::from_millis(target);
                assert_eq!(part_target(&tags), expected, "{rate}");
            } else {
                assert_eq!(part_target(&tags), blind, "{rate}");
            }
            if !told && (rate < 10.0 || [12.0, 12.5].contains(&rate)) {
                continue; // No number of these frames is between 85 % and all of it.
            }
            let (parts, segments) = parts(&tags);
            assert!(segments.iter().all(|(.., it)| it.independent));
            for part in &parts {
                let pictures = part.tags.iter().filter(|it| it.tag.is_video()).count();
                let at = (rate, told, part.msn, part.number);
                assert_eq!(part.start, part.tags[0].time, "{at:?}");
                assert!(pictures == frames || part.last, "{at:?}: {pictures}");
            }
            for length in segment_lengths(&parts) {
                assert!((length - 2 * SECOND).abs() < 3 * MS, "{rate}: {length}");
            }
        }
    }
}

#[test]
fn segments_begin_with_the_keyframe_nearest_to_their_length() {
    // Frames of a GOP at 25 a second, and how long segments become.
    let table = [
        (1, 2000),
        (5, 2000),
        (12, 1920),
        (25, 2000),
        (30, 2400),
        (36, 1440),
        (40, 1600),
        (48, 1920),
        (50, 2000),
        (75, 3000),
        (100, 4000),
        (110, 4400),
    ];
    for mode in [Mode::LowLatency, Mode::Fmp4, Mode::Ts] {
        let config = Config {
            mode,
            ..Config::default()
        };
        for (gop, length) in table {
            let stream = interleaved(headers(None), &[pictures(25.0, gop, 40.0), sound(40.0)]);
            let (parts, segments) = lengths(&config, stream);
            assert!(segments.len() > 7, "{gop}");
            assert!(
                segments.iter().all(|it| *it == length),
                "{gop}: {segments:?}"
            );
            assert_eq!(parts.len() > segments.len(), mode == Mode::LowLatency);
        }
    }
}

#[test]
fn a_gop_that_is_too_long_is_cut_between_keyframes() {
    for mode in [Mode::LowLatency, Mode::Fmp4] {
        let config = Config {
            mode,
            ..Config::default()
        };
        let stream = interleaved(
            headers(Some(25.0)),
            &[pictures(25.0, 250, 60.0), sound(60.0)],
        );
        let tags = cut(&config, stream);
        check(&config, &tags);
        let (parts, segments) = parts(&tags);
        let pattern: Vec<_> = segments[..9]
            .iter()
            .map(|(.., it)| it.independent)
            .collect();
        let gop = [true, false, false];
        assert_eq!(pattern, [gop, gop, gop].concat());
        let lengths = segment_lengths(&parts);
        assert!(lengths[0] <= 4450 * MS && lengths[0] > 4000 * MS);
        // Nothing else changes, so there is no discontinuity.
        assert_eq!(segments[0].2.discontinuity, segments[8].2.discontinuity);
    }
}

#[test]
fn pictures_rarer_than_parts_make_no_segment_shorter() {
    // A picture a second, of which nobody tells, and the camera is covered for a while.
    let config = Config {
        segment: Duration::from_millis(2256),
        part: Duration::from_millis(675),
        ..Config::default()
    };
    let mut frames = pictures(1.0, 24, 32.0);
    frames.retain(|tag| !(1..3001).contains(&tag.dts));
    let tags = cut(&config, interleaved(headers(None), &[frames, sound(32.0)]));
    check(&config, &tags);
}

#[test]
fn sound_alone_is_cut_in_whole_parts() {
    let config = Config::default();
    let told = metadata(&[("audiocodecid", 10.0)]);
    let stream = [vec![told, aac_header(0)], sound(30.0)].concat();
    let tags = cut(&config, stream.clone());
    check(&config, &tags);
    assert_eq!(part_target(&tags), Duration::from_millis(202));
    let (parts, segments) = parts(&tags);
    assert!(segments.iter().all(|(.., it)| it.independent));
    // Nine frames of 1024 samples, and ten parts.
    assert!(parts.iter().all(|it| it.tags.len() == 9));
    let lengths = segment_lengths(&parts);
    assert!(lengths.iter().all(|it| *it / MS == 1920), "{lengths:?}");
    // It begins with the first frame, as nobody told of pictures.
    assert_eq!(parts[0].tags[0].number, 2);

    let whole = Config {
        mode: Mode::Fmp4,
        ..config
    };
    let tags = cut(&whole, stream);
    check(&whole, &tags);
    let lengths = segment_lengths(&support::parts(&tags).0);
    assert!(lengths.iter().all(|it| (it - 2 * SECOND).abs() < 12 * MS));
}

#[test]
fn a_lost_picture_makes_no_part_too_long_and_loses_no_time() {
    let config = Config::default();
    let mut frames = pictures(25.0, 50, 20.0);
    // The first of the third part, and two in the fifth.
    frames.retain(|tag| ![400, 840, 880].contains(&tag.dts));
    let stream = interleaved(headers(Some(25.0)), &[frames]);
    let tags = cut(&config, stream);
    check(&config, &tags);
    let (parts, _) = parts(&tags);
    let starts: Vec<_> = parts[..11].iter().map(|it| it.start / MS).collect();
    let expected = [0, 200, 410, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000];
    assert_eq!(starts, expected);
    assert_eq!(parts[2].tags[0].tag.dts, 440);
    assert!(segment_lengths(&parts).iter().all(|it| *it == 2 * SECOND));
}

#[test]
fn pictures_at_uneven_times_keep_the_rules() {
    let config = Config::default();
    // Whatever was told.
    for told in [None, Some(30.0), Some(60.0), Some(5.0)] {
        let mut dts = 0;
        let uneven = (0..1000_u32).map(|n| {
            dts += [33, 50, 17, 40, 100, 33, 34, 20][(n % 8) as usize];
            if n % 50 == 0 {
                keyframe(dts)
            } else {
                inter(dts)
            }
        });
        let stream = interleaved(headers(told), &[uneven.collect()]);
        let tags = cut(&config, stream);
        check(&config, &tags);
        // No time is lost.
        let (parts, segments) = parts(&tags);
        let all: i64 = segment_lengths(&parts).iter().sum();
        let (first, last) = (&segments[0], &segments[segments.len() - 1]);
        assert_eq!(last.1 - first.1, all, "{told:?}");
    }
}

#[test]
fn a_stream_that_stands_still_goes_on_behind_a_discontinuity() {
    let config = Config::default();
    let later = |tag: Tag, ms: u32| {
        let dts = tag.dts + ms;
        tag.with_dts(dts)
    };
    let gap = |ms: u32| {
        let before = pictures(25.0, 50, 5.0);
        let after = pictures(25.0, 50, 6.0).into_iter();
        let frames = before
            .into_iter()
            .chain(after.map(|it| later(it, 5000 + ms)));
        let tags = cut(
            &config,
            interleaved(headers(Some(25.0)), &[frames.collect()]),
        );
        check(&config, &tags);
        let (_, segments) = parts(&tags);
        let discontinuities: Vec<_> = segments
            .windows(2)
            .filter(|it| it[0].2.discontinuity < it[1].2.discontinuity)
            .map(|it| it[1].1 / MS)
            .collect();
        discontinuities
    };
    assert_eq!(gap(40), []);
    assert_eq!(gap(500), []);
    assert_eq!(gap(1900), []);
    assert_eq!(gap(2100), [7100]);
    assert_eq!(gap(9000), [14_000]);
}

#[test]
fn a_change_of_the_main_record_begins_a_segment_with_the_next_picture() {
    let config = Config::default();
    for key in [true, false] {
        let mut stream = headers(Some(25.0));
        stream.extend(pictures(25.0, 50, 2.6));
        stream.push(avc_header(2600, 2));
        // Sound in between goes with what was.
        stream.push(aac(2595));
        stream.push(if key { keyframe(2600) } else { inter(2600) });
        stream.extend((66..200).map(|n| {
            if n % 50 == 0 {
                keyframe(n * 40)
            } else {
                inter(n * 40)
            }
        }));
        let tags = cut(&config, stream);
        check(&config, &tags);
        let (parts, segments) = parts(&tags);
        let starts: Vec<_> = segments.iter().map(|it| it.1 / MS).collect();
        assert_eq!(starts, [0, 2000, 2600, 4000, 6000]);
        assert!(parts.iter().any(|it| it.last && it.length == 2 * 100 * MS));
        let versions: Vec<_> = segments.iter().map(|it| it.2.version).collect();
        assert_eq!(versions[0], versions[1]);
        assert!(versions[1] < versions[2] && versions[2] == versions[4]);
        let first = segments[0].2.discontinuity;
        let since: Vec<_> = segments
            .iter()
            .map(|it| it.2.discontinuity - first)
            .collect();
        assert_eq!(since, [0, 0, 1, 1, 1]);
        assert_eq!(segments[2].2.independent, key);
    }
}

#[test]
fn other_changes_wait_for_a_keyframe() {
    let config = Config::default();
    let stream = interleaved(
        headers(Some(25.0)),
        &[pictures(25.0, 25, 20.0), sound(20.0)],
    );
    let (before, after): (Vec<_>, Vec<_>) = stream.into_iter().partition(|it| it.dts < 4500);
    let tags = cut(
        &config,
        [before, vec![other_aac_header(4500)], after].concat(),
    );
    check(&config, &tags);
    let (_, segments) = parts(&tags);
    let starts: Vec<_> = segments[..5].iter().map(|it| it.1 / MS).collect();
    assert_eq!(starts, [0, 2000, 4000, 5000, 7000]);
    assert!(segments.iter().all(|(.., it)| it.independent));
    assert!(segments[2].2.version < segments[3].2.version);
    assert_eq!(segments[2].2.discontinuity + 1, segments[3].2.discontinuity);
}

#[test]
fn what_changes_and_changes_back_before_a_keyframe_is_no_change() {
    let config = Config::default();
    let stream = interleaved(
        headers(Some(25.0)),
        &[pictures(25.0, 50, 20.0), sound(20.0)],
    );
    let (before, after): (Vec<_>, Vec<_>) = stream.into_iter().partition(|it| it.dts < 4500);
    let flaps = vec![other_aac_header(4500), aac_header(4500)];
    // Nor is what metadata tells.
    let told = metadata(&[("framerate", 24.0)]).with_dts(4600);
    let tags = cut(&config, [before, flaps, vec![told], after].concat());
    check(&config, &tags);
    let (_, segments) = parts(&tags);
    assert!(tags.last().unwrap().version == segments[0].2.version + 3);
    assert!(
        segments
            .iter()
            .all(|(.., it)| it.version == segments[0].2.version)
    );
    let discontinuity = segments[0].2.discontinuity;
    assert!(
        segments
            .iter()
            .all(|(.., it)| it.discontinuity == discontinuity)
    );
}

#[test]
fn an_encoder_that_changes_everything_all_the_time_does_not_outrun_its_numbers() {
    let config = Config::default();
    let frames = pictures(50.0, 1, 10.0).into_iter().enumerate();
    let stream = frames.flat_map(|(n, frame)| [avc_header(frame.dts, n as u8), frame]);
    let tags = cut(&config, stream.collect::<Vec<_>>());
    check(&config, &tags);
    let (_, segments) = parts(&tags);
    assert!((38..=42).contains(&segments.len()), "{}", segments.len());
}

#[test]
fn pictures_that_come_late_get_a_segment_of_their_own() {
    let config = Config::default();
    let first_of = |headers: Vec<Tag>, late: u32| {
        let frames = pictures(25.0, 50, 10.0).into_iter().map(|tag| {
            let dts = tag.dts + late;
            tag.with_dts(dts)
        });
        let frames = frames.collect::<Vec<_>>();
        let record = vec![avc_header(late, 1)];
        let tags = cut(
            &config,
            interleaved(headers, &[sound(12.0), record, frames]),
        );
        check(&config, &tags);
        let (parts, segments) = parts(&tags);
        let independent = segments[..2]
            .iter()
            .map(|(.., it)| it.independent)
            .collect::<Vec<_>>();
        (parts[0].start / MS, segments[1].1 / MS, independent)
    };
    let told = || {
        vec![
            metadata(&[("videocodecid", 7.0), ("framerate", 25.0)]),
            aac_header(0),
        ]
    };
    let both = vec![true, true];
    // As its metadata tells of them, they are waited for, but not for ever.
    assert_eq!(first_of(told(), 0), (0, 2000, both.clone()));
    assert_eq!(first_of(told(), 500), (500, 2500, both.clone()));
    let (start, next, independent) = first_of(told(), 1500);
    assert_eq!((start, independent), (1002, both.clone()));
    assert!((1500..1530).contains(&next), "{next}");
    // Nobody told of them.
    let (start, next, _) = first_of(vec![aac_header(0)], 5000);
    assert_eq!(start, 320);
    assert!(next < 2400, "sound alone until then: {next}");
    let silent = vec![metadata(&[("audiocodecid", 10.0)]), aac_header(0)];
    assert_eq!(first_of(silent, 5000).0, 0);
}

#[test]
fn a_camera_that_is_covered_leaves_the_sound_in_its_segments() {
    let config = Config::default();
    for mode in [Mode::LowLatency, Mode::Fmp4] {
        let config = Config {
            mode,
            ..config.clone()
        };
        // Sound is ahead of the pictures by as much as some encoders interleave.
        for ahead in [0, 700] {
            let mut frames = pictures(25.0, 50, 40.0);
            frames.iter_mut().for_each(|tag| tag.dts += ahead);
            frames.retain(|tag| !(10_000..16_000).contains(&tag.dts));
            let mut stream = interleaved(headers(Some(25.0)), &[frames, sound(40.0)]);
            for tag in &mut stream {
                if tag.is_video() && tag.is_frame() {
                    tag.dts -= ahead;
                }
            }
            let tags = cut(&config, stream);
            check(&config, &tags);
            let (parts, segments) = parts(&tags);
            let discontinuity = segments[0].2.discontinuity;
            assert!(
                segments
                    .iter()
                    .all(|(.., it)| it.discontinuity == discontinuity)
            );
            let all: i64 = segment_lengths(&parts).iter().sum();
            assert!(all > 36 * SECOND, "{all}");
            let whole = segments.iter().filter(|(.., it)| !it.independent).count();
            assert!((1..4).contains(&whole), "{whole}");
        }
    }
}

#[test]
fn a_camera_that_is_off_leaves_sound_that_can_be_joined() {
    let config = Config::default();
    let stream = interleaved(headers(Some(25.0)), &[pictures(25.0, 50, 4.0), sound(40.0)]);
    let tags = cut(&config, stream);
    check(&config, &tags);
    let (_, segments) = parts(&tags);
    assert!(segments.last().unwrap().2.independent);
}

#[test]
fn numbers_dates_and_the_window_go_on_over_a_publish_that_carries_on() {
    let config = Config::default();
    let ring = ring();
    let numbering = Numbering::after_crash(None, NOW);
    let stream = |rate| {
        interleaved(
            headers(Some(rate)),
            &[pictures(rate, 50, 31.0), sound(31.0)],
        )
    };
    push(&mut begin(&ring, 1, &config, &numbering), stream(25.0));
    let newest = ring.newest_segment().unwrap();
    assert_eq!(newest.end, NOW + 31 * SECOND);
    let next = Numbering::carry_on(&newest, &config);
    // It is there at once, and its clock lags.
    let mut publisher = begin(&ring, 2, &config, &next);
    push(&mut publisher, stream(24.0));
    let tags = all(&ring, media::Start::Oldest);
    let of = |epoch: u64| {
        let tags = tags.iter().filter(|it| it.epoch.number == epoch);
        tags.cloned().collect::<Vec<_>>()
    };
    let ((_, old), (_, new)) = (parts(&of(1)), parts(&of(2)));
    check(&config, &of(1));
    let (last, first) = (old.last().unwrap(), &new[0]);
    assert_eq!(first.0, last.0 + 1);
    assert_eq!(first.2.discontinuity, last.2.discontinuity + 1);
    // How long the old ones are is not known, so they stay until they are not needed.
    assert_eq!(first.2.first_listed, last.2.first_listed);
    assert_eq!(first.2.date_time, newest.end);
    // A playlist has one part target.
    assert_eq!(first.2.part_target, last.2.part_target);
    assert_eq!(new[10].2.first_listed, first.0);
    let (parts, _) = parts(&of(2));
    let most = parts.iter().map(|it| it.length).max().unwrap();
    assert!(most <= 210 * MS && most > 200 * MS, "{most}");
}

#[test]
fn the_window_of_a_publish_after_a_crash_begins_empty() {
    let config = Config::default();
    let stream = interleaved(headers(None), &[pictures(25.0, 50, 31.0)]);
    let (_, segments) = parts(&cut(&config, stream));
    let first = Numbering::after_crash(None, NOW);
    assert_eq!(
        (segments[0].0, segments[0].2.first_listed),
        (first.msn, first.msn)
    );
    assert_eq!(segments[0].2.discontinuity, first.discontinuity);
    assert_eq!(segments[0].2.date_time, NOW);
    let listed: Vec<_> = segments
        .iter()
        .map(|(msn, _, it)| msn - it.first_listed)
        .collect();
    assert_eq!(listed[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]);
}

#[test]
fn a_list_of_short_segments_is_long_enough_to_play() {
    let config = Config {
        window: 3,
        ..Config::default()
    };
    let stream = interleaved(headers(None), &[pictures(25.0, 50, 61.0)]);
    let tags = cut(&config, stream);
    check(&config, &tags);
    let (_, segments) = parts(&tags);
    // Three target durations of four seconds.
    let (msn, _, last) = segments.last().unwrap();
    assert_eq!(msn - last.first_listed, 6);
}
