mod grids;

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
    Arrival {
        drives: false,
        ..frame(kind, dts)
    }
}

/// What comes out for timestamps of one kind that come in together.
fn run(timeline: &mut Timeline, kind: Kind, dts: &[u32]) -> Vec<i64> {
    dts.iter()
        .map(|&dts| timeline.stamp(&at(kind, dts, 0)).ms)
        .collect()
}

#[test]
fn passes_sane_timestamps_as_they_are() {
    let mut timeline = Timeline::new();
    let dts = [5000, 5033, 5067, 5100];
    assert_eq!(
        run(&mut timeline, Kind::Video, &dts),
        [5000, 5033, 5067, 5100]
    );
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
    assert_eq!(
        run(&mut timeline, Kind::Audio, &[u32::MAX, 90]),
        [wrap - 1, wrap + 90]
    );
    assert_eq!(timeline.jumps(), 0);
}

#[test]
fn small_steps_back_pass_in_milliseconds_but_not_in_fine_time() {
    let mut timeline = Timeline::new();
    let stamps: Vec<_> = [1000, 1040, 1020, 1080]
        .map(|dts| timeline.stamp(&frame(Kind::Video, dts)))
        .into();
    assert_eq!(
        stamps.iter().map(|stamp| stamp.ms).collect::<Vec<_>>(),
        [1000, 1040, 1020, 1080]
    );
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
fn what_comes_after_a_jump_is_shown_after_all_before() {
    let mut timeline = Timeline::new();
    let picture = |dts, composition, ingest| Arrival {
        composition,
        ..at(Kind::Video, dts, ingest)
    };
    // I, P, B: the second is shown last, and the clock restarts right behind the third.
    let shown: Vec<_> = [(50_000, 80), (50_040, 120), (50_080, 0), (0, 80), (40, 120)]
        .into_iter()
        .map(|(dts, composition)| {
            let stamp = timeline.stamp(&picture(dts, composition, 0));
            stamp.ms + i64::from(composition)
        })
        .collect();
    assert_eq!(shown, [50_080, 50_160, 50_080, 50_241, 50_321]);
    // Garbage does not send the stream into next week.
    timeline.stamp(&picture(80, i32::MAX, 0));
    let after = timeline.stamp(&picture(3_000_000, 0, 0)).ms;
    assert_eq!(after, 50_241 + MAX_COMPOSITION_MS + 1);
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
    assert_eq!(
        run(&mut timeline, Kind::Video, &[3_600_000, 3_600_040]),
        [41, 81]
    );
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
    assert_eq!(
        timeline.stamp(&frame(Kind::Video, 16_778_000)).ms,
        16_778_000
    );
    assert_eq!(
        timeline.stamp(&frame(Kind::Audio, 16_777_990)).ms,
        16_777_990
    );
    // A new header in mid stream, again at 0.
    assert_eq!(timeline.stamp(&other(Kind::Video, 0)).ms, 16_778_000);
    assert_eq!(timeline.stamp(&other(Kind::Data, 0)).ms, 16_778_000);
    assert_eq!(
        timeline.stamp(&frame(Kind::Video, 16_778_040)).ms,
        16_778_040
    );
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
fn tracks_beyond_the_limit_take_the_time_of_the_stream() {
    let mut timeline = Timeline::new();
    timeline.stamp(&frame(Kind::Video, 1000));
    for track in 0..=255 {
        timeline.stamp(&Arrival {
            track,
            ..frame(Kind::Audio, 1010)
        });
    }
    assert_eq!(timeline.tracks.len(), MAX_TRACKS);
    assert_eq!(
        timeline
            .stamp(&Arrival {
                track: 255,
                ..frame(Kind::Audio, 7)
            })
            .ms,
        1010
    );
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
    let samples = (any::<u32>(), any::<u32>()).prop_map(|(count, rate)| Samples { count, rate });
    let samples = proptest::option::of(samples);
    (
        kind,
        0..3_u8,
        any::<bool>(),
        dts,
        0..1_000_000_u32,
        any::<i32>(),
        samples,
        ingest,
    )
        .prop_map(
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

#[test]
fn time_stops_before_it_overflows() {
    let mut timeline = Timeline {
        now: Some(i64::MAX / NS_PER_MS),
        offset: i64::MAX / NS_PER_MS,
        ..Timeline::default()
    };
    for n in 0..3 {
        let stamp = timeline.stamp(&at(Kind::Video, n * 10_000, 0));
        assert_eq!(stamp.ms, MAX_MS);
        assert!(stamp.time > 0);
    }
    let followed = timeline.stamp(&other(Kind::Data, 0));
    assert!(followed.time > 0);
}
