use flv::Kind;
use proptest::prelude::*;

use super::*;

const SECOND_NS: i64 = 1_000_000_000;

/// A frame that came in when its timestamp says.
fn frame(kind: Kind, dts: u32) -> Arrival {
    at(kind, dts, i64::from(dts) * NS_PER_MS)
}

fn at(kind: Kind, dts: u32, ingest: i64) -> Arrival {
    let track = 0;
    Arrival {
        kind,
        track,
        drives: true,
        dts,
        nano_offset: 0,
        composition: 0,
        samples: None,
        ingest,
    }
}

fn other(kind: Kind, dts: u32) -> Arrival {
    Arrival { drives: false, ..frame(kind, dts) }
}

/// What comes out for timestamps of one kind that come in together.
fn run(timeline: &mut Timeline, kind: Kind, dts: &[u32]) -> Vec<i64> {
    dts.iter().map(|&dts| timeline.stamp(&at(kind, dts, 0)).ms).collect()
}

#[test]
fn passes_sane_timestamps_as_they_are() {
    let mut timeline = Timeline::new();
    let dts = [5000, 5033, 5067, 5100];
    assert_eq!(run(&mut timeline, Kind::Video, &dts), [5000, 5033, 5067, 5100]);
    assert_eq!(run(&mut timeline, Kind::Audio, &[4990, 5012]), [4990, 5012]);
    assert_eq!(timeline.jumps(), 0);
}

#[test]
fn goes_on_across_the_32_bit_wrap() {
    let mut timeline = Timeline::new();
    let dts = [u32::MAX - 39, u32::MAX, 40, 80];
    let out = run(&mut timeline, Kind::Video, &dts);
    let wrap = 1 << 32;
    assert_eq!(out, [wrap - 40, wrap - 1, wrap + 40, wrap + 80]);
    assert_eq!(out.iter().map(|&ms| ms as u32).collect::<Vec<_>>(), dts);
    assert_eq!(run(&mut timeline, Kind::Audio, &[u32::MAX, 90]), [wrap - 1, wrap + 90]);
    assert_eq!(timeline.jumps(), 0);
}

#[test]
fn small_steps_back_pass_in_milliseconds_but_not_in_fine_time() {
    let mut timeline = Timeline::new();
    let stamps: Vec<_> =
        [1000, 1040, 1020, 1080].map(|dts| timeline.stamp(&frame(Kind::Video, dts))).into();
    assert_eq!(stamps.iter().map(|stamp| stamp.ms).collect::<Vec<_>>(), [1000, 1040, 1020, 1080]);
    assert!(stamps.is_sorted_by_key(|stamp| stamp.time));
}

#[test]
fn many_small_steps_back_do_not_add_up() {
    let mut timeline = Timeline::new();
    let dts: Vec<u32> = (0..100).map(|n| 100_000 - n * 900).collect();
    let out = run(&mut timeline, Kind::Video, &dts);
    assert!(out.iter().all(|&ms| ms >= 99_000), "{out:?}");
}

#[test]
fn an_encoder_that_restarts_its_clock_goes_on_where_the_stream_is() {
    let mut timeline = Timeline::new();
    for n in 0..100 {
        timeline.stamp(&frame(Kind::Video, 50_000 + n * 40));
        timeline.stamp(&frame(Kind::Audio, 50_010 + n * 40));
    }
    // 200 ms later by the wall clock.
    let then = (53_970 + 200) * NS_PER_MS;
    let video = timeline.stamp(&at(Kind::Video, 0, then));
    let audio = timeline.stamp(&at(Kind::Audio, 5, then));
    assert_eq!(video.ms, 53_970 + 200);
    // The same offset for both: they stay together.
    assert_eq!(audio.ms, video.ms + 5);
    assert_eq!(timeline.jumps(), 1);
    assert_eq!(timeline.stamp(&at(Kind::Video, 40, then)).ms, video.ms + 40);
}

#[test]
fn a_track_that_follows_a_jump_does_not_step_back() {
    let mut timeline = Timeline::new();
    timeline.stamp(&at(Kind::Video, 50_000, 0));
    timeline.stamp(&at(Kind::Audio, 50_000, 0));
    let video = timeline.stamp(&at(Kind::Video, 500, 0));
    let audio = timeline.stamp(&at(Kind::Audio, 100, 0));
    assert_eq!(video.ms, 50_001);
    assert_eq!(audio.ms, 50_000);
    assert_eq!(timeline.stamp(&at(Kind::Audio, 520, 0)).ms, 50_021);
    assert_eq!(timeline.jumps(), 1);
}

#[test]
fn an_absurd_jump_forward_is_mended() {
    let mut timeline = Timeline::new();
    assert_eq!(run(&mut timeline, Kind::Video, &[0, 40]), [0, 40]);
    assert_eq!(run(&mut timeline, Kind::Video, &[3_600_000, 3_600_040]), [41, 81]);
    assert_eq!(run(&mut timeline, Kind::Audio, &[3_600_045]), [86]);
    assert_eq!(timeline.jumps(), 1);
}

#[test]
fn a_gap_that_the_wall_clock_saw_too_is_no_jump() {
    let mut timeline = Timeline::new();
    timeline.stamp(&frame(Kind::Audio, 1000));
    assert_eq!(timeline.stamp(&frame(Kind::Audio, 61_000)).ms, 61_000);
    assert_eq!(timeline.jumps(), 0);
}

#[test]
fn a_sparse_track_is_measured_against_the_stream() {
    let mut timeline = Timeline::new();
    // Faster than real time, as a file that is sent without pacing.
    timeline.stamp(&at(Kind::Video, 0, 0));
    timeline.stamp(&at(Kind::Audio, 0, 0));
    for n in 1..3000 {
        timeline.stamp(&at(Kind::Audio, n * 20, 0));
    }
    assert_eq!(timeline.stamp(&at(Kind::Video, 60_000, 0)).ms, 60_000);
    assert_eq!(timeline.jumps(), 0);
}

#[test]
fn headers_at_zero_do_not_disturb_media_far_away() {
    let mut timeline = Timeline::new();
    assert_eq!(timeline.stamp(&other(Kind::Video, 0)).ms, 0);
    assert_eq!(timeline.stamp(&other(Kind::Audio, 0)).ms, 0);
    assert_eq!(timeline.stamp(&frame(Kind::Video, 16_778_000)).ms, 16_778_000);
    assert_eq!(timeline.stamp(&frame(Kind::Audio, 16_777_990)).ms, 16_777_990);
    // A new header in mid stream, again at 0.
    assert_eq!(timeline.stamp(&other(Kind::Video, 0)).ms, 16_778_000);
    assert_eq!(timeline.stamp(&other(Kind::Data, 0)).ms, 16_778_000);
    assert_eq!(timeline.stamp(&frame(Kind::Video, 16_778_040)).ms, 16_778_040);
    assert_eq!(timeline.jumps(), 0);
}

#[test]
fn the_end_of_a_sequence_takes_the_time_of_its_track() {
    let mut timeline = Timeline::new();
    timeline.stamp(&frame(Kind::Video, 4000));
    timeline.stamp(&frame(Kind::Audio, 4035));
    assert_eq!(timeline.stamp(&other(Kind::Video, 4000 - 35)).ms, 4000);
    assert_eq!(timeline.stamp(&frame(Kind::Audio, 4056)).ms, 4056);
}

#[test]
fn tracks_with_bases_of_their_own_are_brought_together() {
    let mut timeline = Timeline::new();
    for n in 0..50 {
        let video = timeline.stamp(&at(Kind::Video, n * 40, i64::from(n) * 40 * NS_PER_MS));
        let audio = timeline.stamp(&at(Kind::Audio, 9_000_000 + n * 40, 0));
        assert_eq!(video.ms, i64::from(n) * 40);
        assert_eq!(audio.ms, video.ms + 1);
    }
    assert_eq!(timeline.jumps(), 1);
}

#[test]
fn rounded_aac_lies_on_the_grid_of_its_samples_for_an_hour() {
    for rate in [44_100_u32, 48_000] {
        for round in [0, u64::from(rate) / 2] {
            let mut timeline = Timeline::new();
            timeline.audio(0, rate, Some(1024));
            for n in 0..(3600 * u64::from(rate) / 1024) {
                let dts = (n * 1024 * 1000 + round) / u64::from(rate);
                let stamp = timeline.stamp(&frame(Kind::Audio, dts as u32));
                let exact = n * 1024 * 1_000_000_000 / u64::from(rate);
                assert_eq!(stamp.time, exact as i64, "packet {n} at {rate}");
                assert_eq!(stamp.ms, dts as i64);
            }
        }
    }
}

#[test]
fn audio_finds_a_new_anchor_behind_a_gap() {
    let mut timeline = Timeline::new();
    timeline.audio(0, 48_000, Some(1024));
    let times: Vec<_> =
        [0, 21, 43, 1000, 1021].map(|dts| timeline.stamp(&frame(Kind::Audio, dts)).time).into();
    let packet = 1024 * SECOND_NS / 48_000;
    assert_eq!(times, [0, packet, 2 * packet, SECOND_NS, SECOND_NS + packet]);
}

#[test]
fn two_packets_with_one_timestamp_lie_one_behind_the_other() {
    let mut timeline = Timeline::new();
    timeline.audio(0, 44_100, Some(1024));
    let times: Vec<_> =
        [0, 0, 46, 46, 93, 93].map(|dts| timeline.stamp(&frame(Kind::Audio, dts)).time).into();
    let exact: Vec<_> = (0..6).map(|n| n * 1024 * SECOND_NS / 44_100).collect();
    assert_eq!(times, exact);
}

#[test]
fn opus_packets_have_lengths_of_their_own() {
    assert_eq!(opus_samples(&[0xfc, 0]), Some(960));
    assert_eq!(opus_samples(&[0xe0, 0]), Some(120));
    assert_eq!(opus_samples(&[0x03, 0x06]), Some(2880));
    assert_eq!(opus_samples(&[0x19]), Some(5760));
    assert_eq!(opus_samples(&[0x1b, 0x3f]), None);
    assert_eq!(opus_samples(&[0x03]), None);
    assert_eq!(opus_samples(&[]), None);

    let mut timeline = Timeline::new();
    timeline.audio(0, OPUS_RATE, None);
    let mut next = |dts, samples| {
        timeline.stamp(&Arrival { samples: Some(samples), ..frame(Kind::Audio, dts) }).time
    };
    assert_eq!(next(0, 120), 0);
    assert_eq!(next(3, 120), 2_500_000);
    assert_eq!(next(5, 960), 5_000_000);
    assert_eq!(next(25, 960), 25_000_000);
}

/// Rounded timestamps of frames at a steady rate, for so many seconds.
fn steady(num: u64, den: u64, seconds: u64, half_up: bool) -> Vec<u32> {
    let round = if half_up { num / 2 } else { 0 };
    (0..seconds * num / den).map(|n| ((n * den * 1000 + round) / num) as u32).collect()
}

#[test]
fn a_frame_rate_that_is_told_is_exact_from_the_first_frame_on() {
    for half_up in [false, true] {
        let mut timeline = Timeline::new();
        timeline.video(0, Some((30_000, 1001)));
        for (n, dts) in steady(30_000, 1001, 3600, half_up).into_iter().enumerate() {
            let stamp = timeline.stamp(&frame(Kind::Video, dts));
            assert_eq!(stamp.time, n as i64 * 1001 * SECOND_NS / 30_000);
        }
    }
}

#[test]
fn a_frame_rate_nobody_tells_is_found() {
    for (num, den) in [(30_000, 1001), (24_000, 1001), (30, 1), (25, 1), (10, 1), (60, 1), (15, 1)] {
        for half_up in [false, true] {
            let mut timeline = Timeline::new();
            let times: Vec<_> = steady(num, den, 60, half_up)
                .into_iter()
                .map(|dts| timeline.stamp(&frame(Kind::Video, dts)).time)
                .collect();
            let found = &times[times.len() / 2..];
            for (n, time) in found.iter().enumerate() {
                let exact = found[0] + n as i64 * den as i64 * SECOND_NS / num as i64;
                assert!(time.abs_diff(exact) <= 1, "{num}/{den}: frame {n} at {time} for {exact}");
            }
            assert!(times.is_sorted());
        }
    }
}

#[test]
fn a_wrong_rate_is_given_up_for_the_right_one() {
    for told in [(30, 1), (25, 1), (60, 1), (24, 1)] {
        let mut timeline = Timeline::new();
        timeline.video(0, Some(told));
        let times: Vec<_> = steady(30_000, 1001, 60, true)
            .into_iter()
            .map(|dts| timeline.stamp(&frame(Kind::Video, dts)).time)
            .collect();
        let found = &times[times.len() / 2..];
        for pair in found.windows(2) {
            let step = pair[1] - pair[0];
            assert!(step.abs_diff(1001 * SECOND_NS / 30_000) <= 1, "{told:?}: {step}");
        }
    }
}

#[test]
fn frames_left_out_stay_on_the_grid() {
    let mut timeline = Timeline::new();
    timeline.video(0, Some((30, 1)));
    let all = steady(30, 1, 10, true);
    for (n, &dts) in all.iter().enumerate().filter(|(n, _)| n % 7 < 4) {
        let stamp = timeline.stamp(&frame(Kind::Video, dts));
        assert_eq!(stamp.time, n as i64 * SECOND_NS / 30);
    }
}

#[test]
fn uneven_frames_keep_their_milliseconds() {
    let mut timeline = Timeline::new();
    let mut dts = 0;
    for n in 0..2000_u32 {
        dts += 20 + n * 7919 % 37;
        let stamp = timeline.stamp(&frame(Kind::Video, dts));
        assert_eq!(stamp.time, i64::from(dts) * NS_PER_MS);
    }
}

#[test]
fn composition_offsets_are_whole_frames_where_frames_are_even() {
    let mut timeline = Timeline::new();
    timeline.video(0, Some((30, 1)));
    timeline.stamp(&frame(Kind::Video, 0));
    let stamp = timeline.stamp(&Arrival { composition: 67, ..frame(Kind::Video, 33) });
    assert_eq!(stamp.composition, 2 * SECOND_NS / 30);
    let stamp = timeline.stamp(&Arrival { composition: -33, ..frame(Kind::Video, 67) });
    assert!(stamp.composition.abs_diff(-SECOND_NS / 30) <= 1);
    let stamp = timeline.stamp(&Arrival { composition: 50, ..frame(Kind::Video, 100) });
    assert_eq!(stamp.composition, 50 * NS_PER_MS);
}

#[test]
fn nanoseconds_of_the_encoder_count_as_they_are() {
    let mut timeline = Timeline::new();
    timeline.video(0, Some((30, 1)));
    let mut next = |dts, nano_offset| {
        timeline.stamp(&Arrival { nano_offset, ..frame(Kind::Video, dts) }).time
    };
    assert_eq!(next(0, 0), 0);
    assert_eq!(next(33, 366_667), 33_366_667);
    assert_eq!(next(66, 733_333), 66_733_333);
    assert_eq!(next(100, 0), 100_000_000);
}

#[test]
fn numbers_of_metadata_become_fractions() {
    assert_eq!(frame_rate_from_number(29.97), Some((30_000, 1001)));
    assert_eq!(frame_rate_from_number(29.97002997), Some((30_000, 1001)));
    assert_eq!(frame_rate_from_number(23.976), Some((24_000, 1001)));
    assert_eq!(frame_rate_from_number(30.0), Some((30, 1)));
    assert_eq!(frame_rate_from_number(144.0), Some((144, 1)));
    assert_eq!(frame_rate_from_number(7.5), Some((7500, 1000)));
    for wrong in [0.0, -30.0, 1000.0, f64::NAN, f64::INFINITY] {
        assert_eq!(frame_rate_from_number(wrong), None);
    }
}

#[test]
fn tracks_beyond_the_limit_take_the_time_of_the_stream() {
    let mut timeline = Timeline::new();
    timeline.stamp(&frame(Kind::Video, 1000));
    for track in 0..=255 {
        timeline.stamp(&Arrival { track, ..frame(Kind::Audio, 1010) });
    }
    assert_eq!(timeline.tracks.len(), MAX_TRACKS);
    assert_eq!(timeline.stamp(&Arrival { track: 255, ..frame(Kind::Audio, 7) }).ms, 1010);
}

/// What an encoder, a bad network and malice can send.
fn any_arrival() -> impl Strategy<Value = Arrival> {
    let kind = prop_oneof![Just(Kind::Audio), Just(Kind::Video), Just(Kind::Data)];
    let dts = prop_oneof![
        4 => 0..100_000_u32,
        1 => any::<u32>(),
        1 => (u32::MAX - 1000)..=u32::MAX,
    ];
    let ingest = prop_oneof![4 => 0..100 * SECOND_NS, 1 => any::<i64>()];
    let samples = proptest::option::of(any::<u32>());
    (kind, 0..3_u8, any::<bool>(), dts, 0..1_000_000_u32, any::<i32>(), samples, ingest).prop_map(
        |(kind, track, drives, dts, nano_offset, composition, samples, ingest)| Arrival {
            kind,
            track,
            drives,
            dts,
            nano_offset: if dts % 16 == 0 { nano_offset } else { 0 },
            composition,
            samples,
            ingest,
        },
    )
}

proptest! {
    #[test]
    fn fine_time_never_steps_back_within_a_track(
        arrivals in proptest::collection::vec(any_arrival(), 1..400),
        rate in proptest::option::of(1..300_000_u32),
        frame_rate in proptest::option::of((any::<u32>(), any::<u32>())),
    ) {
        let mut timeline = Timeline::new();
        timeline.audio(0, rate.unwrap_or(0), Some(1024));
        timeline.audio(1, rate.unwrap_or(0), None);
        timeline.video(0, frame_rate);
        let mut last = std::collections::HashMap::new();
        let mut highest = std::collections::HashMap::new();
        for arrival in arrivals {
            let stamp = timeline.stamp(&arrival);
            if !arrival.drives {
                continue;
            }
            let key = (arrival.kind, arrival.track);
            let before = last.insert(key, stamp.time).unwrap_or(i64::MIN);
            prop_assert!(before <= stamp.time);
            let before = highest.entry(key).or_insert(stamp.ms);
            prop_assert!(stamp.ms >= *before - MAX_BACK_MS, "a step back of more than a second");
            *before = stamp.ms.max(*before);
        }
    }

    /// Whatever an encoder's clock does, in time that goes on the milliseconds never step back.
    #[test]
    fn milliseconds_never_step_back_while_the_encoder_moves_on(
        runs in proptest::collection::vec((any::<u32>(), 2..80_u32), 1..20),
        interval in 5..50_u32,
    ) {
        let mut timeline = Timeline::new();
        let (mut last, mut ingest) = (i64::MIN, 0);
        for (start, frames) in runs {
            // A start a little behind is a small step back, which passes.
            let near = start.wrapping_sub(last as u32) as i32;
            if (-2000..=0).contains(&near) {
                continue;
            }
            for n in 0..frames {
                ingest += i64::from(interval) * NS_PER_MS;
                let dts = start.wrapping_add(n * interval);
                let ms = timeline.stamp(&at(Kind::Video, dts, ingest)).ms;
                prop_assert!(ms >= last);
                last = ms;
            }
        }
    }
}
