use super::*;

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
    let times: Vec<_> = [0, 21, 43, 1000, 1021]
        .map(|dts| timeline.stamp(&frame(Kind::Audio, dts)).time)
        .into();
    let packet = 1024 * SECOND_NS / 48_000;
    assert_eq!(
        times,
        [0, packet, 2 * packet, SECOND_NS, SECOND_NS + packet]
    );
}

#[test]
fn two_packets_with_one_timestamp_lie_one_behind_the_other() {
    let mut timeline = Timeline::new();
    timeline.audio(0, 44_100, Some(1024));
    let times: Vec<_> = [0, 0, 46, 46, 93, 93]
        .map(|dts| timeline.stamp(&frame(Kind::Audio, dts)).time)
        .into();
    let exact: Vec<_> = (0..6).map(|n| n * 1024 * SECOND_NS / 44_100).collect();
    assert_eq!(times, exact);
}

#[test]
fn packets_that_tell_their_length_are_believed() {
    let mut timeline = Timeline::new();
    let mut next = |dts, count| {
        let samples = Some(Samples {
            count,
            rate: 48_000,
        });
        timeline
            .stamp(&Arrival {
                samples,
                ..frame(Kind::Audio, dts)
            })
            .time
    };
    assert_eq!(next(0, 120), 0);
    assert_eq!(next(3, 120), 2_500_000);
    assert_eq!(next(5, 960), 5_000_000);
    assert_eq!(next(25, 960), 25_000_000);
}

/// Rounded timestamps of frames at a steady rate, for so many seconds.
fn steady(num: u64, den: u64, seconds: u64, half_up: bool) -> Vec<u32> {
    let round = if half_up { num / 2 } else { 0 };
    (0..seconds * num / den)
        .map(|n| ((n * den * 1000 + round) / num) as u32)
        .collect()
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
    for (num, den) in [
        (30_000, 1001),
        (24_000, 1001),
        (30, 1),
        (25, 1),
        (10, 1),
        (60, 1),
        (15, 1),
    ] {
        for half_up in [false, true] {
            let mut timeline = Timeline::new();
            let times: Vec<_> = steady(num, den, 60, half_up)
                .into_iter()
                .map(|dts| timeline.stamp(&frame(Kind::Video, dts)).time)
                .collect();
            let found = &times[times.len() / 2..];
            for (n, time) in found.iter().enumerate() {
                let exact = found[0] + n as i64 * den as i64 * SECOND_NS / num as i64;
                assert!(
                    time.abs_diff(exact) <= 1,
                    "{num}/{den}: frame {n} at {time} for {exact}"
                );
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
            assert!(
                step.abs_diff(1001 * SECOND_NS / 30_000) <= 1,
                "{told:?}: {step}"
            );
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
    let stamp = timeline.stamp(&Arrival {
        composition: 67,
        ..frame(Kind::Video, 33)
    });
    assert_eq!(stamp.composition, 2 * SECOND_NS / 30);
    let stamp = timeline.stamp(&Arrival {
        composition: -33,
        ..frame(Kind::Video, 67)
    });
    assert!(stamp.composition.abs_diff(-SECOND_NS / 30) <= 1);
    let stamp = timeline.stamp(&Arrival {
        composition: 50,
        ..frame(Kind::Video, 100)
    });
    assert_eq!(stamp.composition, 50 * NS_PER_MS);
}

#[test]
fn nanoseconds_of_the_encoder_count_as_they_are() {
    let mut timeline = Timeline::new();
    timeline.video(0, Some((30, 1)));
    let mut next = |dts, nano_offset| {
        timeline
            .stamp(&Arrival {
                nano_offset,
                ..frame(Kind::Video, dts)
            })
            .time
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
