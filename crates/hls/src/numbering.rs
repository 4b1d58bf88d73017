//! Which numbers the segments of a publish get.

use std::time::Duration;

use media::Newest;

use crate::{Config, Mode};

/// The numbers that a publish begins with. Part of its claim, so that all agree on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// The media sequence number of its first segment.
    pub msn: u64,
    /// The discontinuity sequence number of that segment.
    pub discontinuity: u64,
    /// Where the publish before ended, in nanoseconds of unix time, if that is known: nothing of this one is dated
    /// earlier.
    pub not_before: Option<i64>,
    /// What goes on from the publish before; `None` if the window begins empty.
    pub carried: Option<Carried>,
}

/// What goes on from the publish before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The number of the oldest segment that is still listed.
    pub oldest: u64,
    /// The target duration, which gets no shorter as long as publishes carry on.
    pub target: Duration,
    /// The part target, which must not change in a playlist.
    pub part_target: Option<Duration>,
}

/// The highest numbers that were seen of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastKnown {
    /// A media sequence number.
    pub msn: u64,
    /// A discontinuity sequence number.
    pub discontinuity: u64,
}

/// 2025-01-01, in nanoseconds of unix time.
const YEAR_2025: i64 = 1_735_689_600 * 1_000_000_000;

/// So many numbers go by in a second, for any stream: more than it has segments.
pub(crate) const NUMBERS_PER_SECOND: i64 = 4;

/// So many discontinuities go by in an hour: more than a stream has publishes, for long. They stay small since
/// hls.js keeps a list with a place for each number from 0 on, and walks through it at each reload: hundreds
/// of millions stop a browser for seconds each time.
const DISCONTINUITIES_PER_HOUR: i64 = 12;

const SECOND: i128 = 1_000_000_000;

impl Numbering {
    /// The numbers of a publish whose predecessor may not be known, at `now` (nanoseconds of unix
    /// time): four for each second since 2025, and twelve discontinuities for each hour. Publishes
    /// before this one seldom got that far; where they may have, `last` is to tell. The window
    /// begins empty.
    pub fn after_crash(last: Option<LastKnown>, now: i64) -> Self {
        let since = i128::from(now.saturating_sub(YEAR_2025).max(0));
        let behind = |count: i64, period: i128, last: Option<u64>| {
            let number = since * i128::from(count) / period;
            let number = u64::try_from(number).unwrap_or(0);
            number.max(last.map_or(0, |last| last.saturating_add(1)))
        };
        let msn = last.map(|last| last.msn);
        let discontinuity = last.map(|last| last.discontinuity);
        Self {
            msn: behind(NUMBERS_PER_SECOND, SECOND, msn),
            discontinuity: behind(DISCONTINUITIES_PER_HOUR, 3600 * SECOND, discontinuity),
            not_before: None,
            carried: None,
        }
    }

    /// The numbers of a publish behind one that is known to its end, on this origin or on another
    /// that handed it over with its window: they go on by one and the window stays.
    ///
    /// Where the configuration has changed in what a playlist must not change, only the numbers
    /// go on.
    pub fn carry_on(newest: &Newest, config: &Config) -> Self {
        let segment = &newest.segment;
        let has_parts = config.mode == Mode::LowLatency;
        let targets = config.least_target()..=config.longest_target();
        let is_same = targets.contains(&segment.target)
            && segment.target.subsec_nanos() == 0
            && segment.part_target.is_some() == has_parts;
        Self {
            msn: newest.msn.saturating_add(1),
            discontinuity: segment.discontinuity.saturating_add(1),
            not_before: Some(newest.end),
            carried: is_same.then_some(Carried {
                oldest: segment.first_listed,
                target: segment.target,
                part_target: segment.part_target,
            }),
        }
    }

    /// Whether the window of the publish before stays.
    pub fn carries_on(&self) -> bool {
        self.carried.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn numbers_after_a_crash_are_beyond_all_that_were() {
        let at = |seconds: i64| Numbering::after_crash(None, YEAR_2025 + seconds * SECOND);
        assert_eq!((at(10).msn, at(10).discontinuity), (40, 0));
        assert_eq!((at(3600).msn, at(3600).discontinuity), (14_400, 12));
        assert!(!at(10).carries_on());
        // Of half a second too.
        let later = Numbering::after_crash(None, YEAR_2025 + 21 * SECOND / 2);
        assert_eq!(later.msn, 42);
        // A clock from before, or from long after.
        assert_eq!(Numbering::after_crash(None, 0).msn, 0);
        assert!(Numbering::after_crash(None, i64::MAX).msn > 1 << 34);

        let last = LastKnown {
            msn: 100,
            discontinuity: 7,
        };
        let behind = Numbering::after_crash(Some(last), YEAR_2025 + 10 * SECOND);
        assert_eq!((behind.msn, behind.discontinuity), (101, 8));
        let behind = Numbering::after_crash(Some(last), YEAR_2025 + 3600 * SECOND);
        assert_eq!((behind.msn, behind.discontinuity), (14_400, 12));
    }

    #[test]
    fn numbers_go_on_by_one_and_the_window_too_unless_its_playlist_would_change() {
        let config = Config::default();
        let newest = Newest {
            epoch: media::Epoch::new(1, 1),
            msn: 17,
            segment: media::Segment {
                first_listed: 7,
                discontinuity: 3,
                version: 1,
                date_time: 0,
                independent: true,
                target: Duration::from_secs(2),
                part_target: Some(Duration::from_millis(210)),
            },
            end: 5 * SECOND,
        };
        let next = Numbering::carry_on(&newest, &config);
        let carried = Carried {
            oldest: 7,
            target: Duration::from_secs(2),
            part_target: Some(Duration::from_millis(210)),
        };
        assert_eq!((next.msn, next.discontinuity), (18, 4));
        assert_eq!(next.carried, Some(carried));
        assert_eq!(next.not_before, Some(5 * SECOND));

        let shorter = Config {
            segment: Duration::from_millis(500),
            ..config.clone()
        };
        let whole = Config {
            mode: Mode::Fmp4,
            ..config
        };
        for config in [shorter, whole] {
            let next = Numbering::carry_on(&newest, &config);
            assert_eq!((next.msn, next.carries_on()), (18, false));
            assert_eq!(next.not_before, Some(5 * SECOND));
        }
    }
}
