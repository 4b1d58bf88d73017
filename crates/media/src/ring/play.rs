//! Time as players see it: it goes on from publish to publish.

use crate::timeline::MAX_COMPOSITION_MS;

/// A clock that was set must not send players into next year.
const MAX_GAP_MS: i64 = 3_600_000;

/// Places the time of each epoch behind that of the one before.
#[derive(Debug, Default)]
pub(super) struct PlayClock {
    /// Of this epoch; `None` before its first frame.
    shift: Option<i64>,
    /// The highest time given to a frame, and when that frame came in.
    last: Option<(i64, i64)>,
    /// The highest time at which a frame is presented.
    shown: i64,
}

impl PlayClock {
    /// A new publish, which has a time of its own.
    pub(super) fn restart(&mut self) {
        self.shift = None;
    }

    /// The highest time given to a frame, in milliseconds.
    pub(super) fn now(&self) -> i64 {
        self.last.map_or(0, |(last, _)| last)
    }

    /// The shift for a tag at `ms` of its epoch, presented `composition` later.
    pub(super) fn shift(&mut self, ms: i64, composition: i64, drives: bool, ingest: i64) -> i64 {
        let shift = match (self.shift, self.last) {
            (Some(shift), _) => shift,
            (None, None) => 0,
            // Configuration in front of the first frame of an epoch.
            (None, Some((last, _))) if !drives => last - ms,
            (None, Some((last, then))) => {
                let gap = (ingest.saturating_sub(then) / 1_000_000).clamp(1, MAX_GAP_MS);
                // Pictures that were sent before the others they are shown after: time must not
                // step back for who shows them either.
                (last + gap).max(self.shown + 1) - ms
            }
        };
        if drives {
            self.shift = Some(shift);
            let shown = ms + shift + composition.min(MAX_COMPOSITION_MS);
            self.shown = self.shown.max(shown);
            let highest = self.last.map_or(i64::MIN, |(last, _)| last).max(ms + shift);
            self.last = Some((highest, ingest));
        }
        shift
    }
}
