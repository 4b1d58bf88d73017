//! When the samples of a part are, and how long they last.

use bytes::Bytes;
use fmp4::Sample;

/// A frame of a track, at the times of its epoch.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// When it is decoded, in nanoseconds.
    pub(crate) time: i64,
    /// What is to be added for when it is shown.
    pub(crate) composition: i64,
    /// Whether a decoder may start with it.
    pub(crate) sync: bool,
    pub(crate) body: Bytes,
}

/// A nanosecond of `time` that was rounded away must not turn a half sample down for one frame
/// and up for the next.
const ROUNDED: i128 = 1;

/// The time `time`, in nanoseconds, in units of which there are `timescale` a second: the nearest.
pub(crate) fn ticks(time: i64, timescale: u32) -> i64 {
    const SECOND: i128 = 1_000_000_000;
    let scaled = (i128::from(time) + ROUNDED) * i128::from(timescale) + SECOND / 2;
    i64::try_from(scaled.div_euclid(SECOND)).unwrap_or(i64::MAX)
}

/// Frames as the samples of a fragment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) decode_time: u64,
    pub(crate) samples: Vec<Sample>,
}

impl Run {
    /// The samples of `frames`, in units of `timescale`. Each lasts until the next is decoded; the
    /// last has the length that `last` says, told when it is decoded and how long the one before
    /// it lasts.
    pub(crate) fn new(
        frames: &[Frame],
        timescale: u32,
        last: impl FnOnce(&Frame, i64, Option<u32>) -> u32,
    ) -> Self {
        let mut run = Self::default();
        let mut decoded: Option<i64> = None;
        for frame in frames {
            let mut at = ticks(frame.time.max(0), timescale);
            if let (Some(before), Some(sample)) = (decoded, run.samples.last_mut()) {
                // Frames at the same time would last no time at all, which players refuse.
                at = at.max(before + 1);
                sample.duration = u32::try_from(at - before).unwrap_or(u32::MAX);
            } else {
                run.decode_time = u64::try_from(at).unwrap_or(0);
            }
            let shown = ticks(frame.time.saturating_add(frame.composition), timescale);
            run.samples.push(Sample {
                duration: 0,
                size: u32::try_from(frame.body.len()).unwrap_or(u32::MAX),
                composition: clamp(shown.saturating_sub(at)),
                sync: frame.sync,
            });
            decoded = Some(at);
        }
        let before = run
            .samples
            .iter()
            .rev()
            .nth(1)
            .map(|sample| sample.duration);
        if let (Some(sample), Some(frame), Some(at)) =
            (run.samples.last_mut(), frames.last(), decoded)
        {
            sample.duration = last(frame, at, before).max(1);
        }
        run
    }
}

/// How long a sample lasts that is decoded at `at` and ends at `end` nanoseconds.
pub(crate) fn until(end: i64, at: i64, timescale: u32) -> u32 {
    let length = ticks(end, timescale).saturating_sub(at).max(1);
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn clamp(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn frame(time: i64, composition: i64) -> Frame {
        Frame {
            time,
            composition,
            sync: false,
            body: Bytes::from_static(b"x"),
        }
    }

    #[test]
    fn samples_of_sound_lie_end_to_end_wherever_they_began() {
        for rate in [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000] {
            for begins in 0..40 {
                // As the timeline places them: nanoseconds, rounded down.
                let time = |n: i64| begins * MS + n * 1024 * 1_000_000_000 / i64::from(rate);
                let frames: Vec<_> = (0..50).map(|n| frame(time(n), 0)).collect();
                let run = Run::new(&frames, rate, |_, _, _| 1024);
                let off = run.samples.iter().find(|sample| sample.duration != 1024);
                assert_eq!(off, None, "{rate} from {begins}");
            }
        }
    }

    #[test]
    fn pictures_last_until_the_next_and_the_last_until_the_end() {
        let frames: Vec<_> = (0..3_i64)
            .map(|n| frame(n * 1001 * 1_000_000_000 / 30_000, 2 * 33_366_666))
            .collect();
        let end = 3 * 1001 * 1_000_000_000 / 30_000;
        let run = Run::new(&frames, 90_000, |_, at, _| until(end, at, 90_000));
        let lengths: Vec<_> = run.samples.iter().map(|it| it.duration).collect();
        assert_eq!(lengths, [3003, 3003, 3003]);
        assert!(run.samples.iter().all(|it| it.composition == 6006));
    }

    #[test]
    fn frames_at_the_same_time_follow_each_other_and_are_shown_when_they_were_to_be() {
        let frames = [frame(MS, 0), frame(MS, 0), frame(MS, -MS), frame(2 * MS, 0)];
        let run = Run::new(&frames, 90_000, |_, at, _| until(0, at, 90_000));
        let lengths: Vec<_> = run.samples.iter().map(|it| it.duration).collect();
        assert_eq!((run.decode_time, lengths), (90, vec![1, 1, 88, 1]));
        let shown: Vec<_> = run.samples.iter().map(|it| it.composition).collect();
        assert_eq!(shown, [0, -1, -92, 0]);
    }

    #[test]
    fn no_time_is_too_strange() {
        let times = [i64::MIN, -1, 0, 1, i64::MAX];
        for &time in &times {
            for &composition in &times {
                let frames = [frame(time, composition), frame(time, composition)];
                let run = Run::new(&frames, 96_000, |_, at, _| until(time, at, 96_000));
                assert!(run.samples.iter().all(|it| it.duration > 0));
            }
        }
        assert_eq!(Run::new(&[], 1, |_, _, _| 1), Run::default());
    }
}
