//! How long segments and parts are, in nanoseconds.

use std::time::Duration;

use media::Configuration;

use super::SECOND;
use crate::config::{Config, Mode};
use crate::numbering::Carried;

const MS: i64 = 1_000_000;

/// A part may be so much longer than whole frames make it, in percent, before frames count as
/// missing: encoders round their timestamps, and cameras are not quite even.
const LEEWAY: i64 = 5;

/// The same where nobody tells how long a frame is. Whole frames of all usual rates come to a
/// length between 85 % of this and this.
const BLIND_LEEWAY: i64 = 15;

/// RFC 8216bis 4.4.4.9: no part but the last of a segment is shorter than this much of the part
/// target, in percent.
const LEAST: i64 = 85;

/// Of what exceeds the target duration of segments this is rounded away.
const ROUNDED: i64 = 450 * MS;

/// Segments behind the first may be so much longer than it before the target does not hold them.
const SLACK: i64 = 100 * MS;

/// Frame rates outside are time bases and mistakes.
const FRAME_RATES: std::ops::RangeInclusive<f64> = 1.0..=240.0;

/// How long segments and parts are.
#[derive(Debug)]
pub(super) struct Pace {
    /// Until the first segment is whole this is what holds any that may be cut; then what holds
    /// those that are.
    pub(super) target: Duration,
    /// What holds any segment that may be cut.
    highest_target: Duration,
    pub(super) segment: i64,
    /// No segment gets longer.
    pub(super) longest_segment: i64,
    /// Where nothing comes for longer there is a discontinuity.
    pub(super) longest_gap: i64,
    /// The part target.
    pub(super) part: Option<i64>,
    /// So long a part is before the next begins; 0 without parts.
    pub(super) least_part: i64,
    /// The part target is that of the publish before.
    carried: bool,
}

impl Pace {
    /// That of a publish of which no more is known than what it carries on from.
    pub(super) fn new(config: &Config, carried: Option<&Carried>) -> Self {
        let segment = nanoseconds(config.segment);
        let highest_target = config.longest_target();
        let mut pace = Self {
            target: highest_target,
            highest_target,
            segment,
            longest_segment: segment * 2 + ROUNDED,
            longest_gap: segment.max(SECOND),
            part: None,
            least_part: 0,
            carried: carried.is_some(),
        };
        if config.mode == Mode::LowLatency {
            let blind = nanoseconds(config.part) * (100 + BLIND_LEEWAY) / 100;
            let carried = carried.and_then(|carried| carried.part_target);
            let part = carried.map_or(blind, nanoseconds).clamp(MS, segment * 2);
            pace.set_part(part, 0);
        }
        // What is listed tells its target duration already.
        if let Some(carried) = carried {
            pace.tell(carried.target);
        }
        pace
    }

    /// The first segment is whole, from one keypoint to another: from now on none is longer than
    /// it, once rounded. So players that go by the target duration reload as often as there is
    /// something new.
    pub(super) fn learn(&mut self, first: i64) {
        if self.carried {
            return;
        }
        self.set_target(first.max(self.segment));
    }

    /// Keypoints are so far apart. Where segments that begin with them are longer than was told,
    /// but no longer than they may be, more is told from now on.
    pub(super) fn follow(&mut self, gop: i64) {
        let whole = gop.saturating_add(self.part.unwrap_or(0));
        if whole > self.longest_segment && gop <= self.segment * 2 + ROUNDED {
            self.set_target(gop);
        }
    }

    /// Segments are so long, and no part begins in the last one that it could not hold.
    fn set_target(&mut self, length: i64) {
        let rounded = (length.saturating_add(SLACK) + SECOND / 2) / SECOND;
        let whole = length.saturating_add(self.part.unwrap_or(0)) - ROUNDED;
        let seconds = rounded.max((whole + SECOND - 1) / SECOND);
        let seconds = u64::try_from(seconds).unwrap_or(1).max(1);
        self.tell(Duration::from_secs(seconds).min(self.highest_target));
    }

    fn tell(&mut self, target: Duration) {
        self.target = target;
        let longest = nanoseconds(target).saturating_add(ROUNDED);
        self.longest_segment = longest.min(self.segment * 2 + ROUNDED);
    }

    /// The publish begins: parts are made of whole frames, as far as anybody tells how long one
    /// is. From now on nothing changes any more.
    pub(super) fn settle(&mut self, config: &Config, configuration: &Configuration) {
        let Some(frame) = frame_length(configuration) else {
            return;
        };
        self.longest_gap = self.longest_gap.max(frame * 2);
        let Some(part) = self.part else { return };
        let length = nanoseconds(config.part);
        if self.carried {
            self.set_part(part, (part / frame).max(1) * frame - frame / 2);
            return;
        }
        let frames = ((length + frame / 2) / frame).max(1);
        let whole = frames * frame;
        self.set_part(whole * (100 + LEEWAY) / 100, whole - frame / 2);
    }

    /// Parts last no longer than `part`, and the next begins where one is as near as can be to
    /// its length, which is at `nearest` at the earliest.
    fn set_part(&mut self, part: i64, nearest: i64) {
        // Whole milliseconds, as playlists tell it.
        let part = (part + MS - 1) / MS * MS;
        self.part = Some(part);
        self.least_part = (part * LEAST / 100 + MS).max(nearest).min(part);
    }

    /// No part is longer, nor a segment without: see [`media::Segment::longest_part`].
    pub(super) fn longest_part(&self) -> i64 {
        self.part.unwrap_or(nanoseconds(self.target) + ROUNDED)
    }

    /// Pictures that do not come for longer are not waited for.
    pub(super) fn patience(&self) -> i64 {
        self.part.map_or(SECOND / 2, |part| part * 3 / 2)
    }

    pub(super) fn part_target(&self) -> Option<Duration> {
        let part = self.part.and_then(|part| u64::try_from(part).ok());
        part.map(Duration::from_nanos)
    }
}

/// How long a frame is that time goes by, if that is told.
fn frame_length(configuration: &Configuration) -> Option<i64> {
    let rate = match (configuration.main_video(), configuration.main_audio()) {
        (Some(track), _) => {
            let info = track.info.as_ref().and_then(|info| info.frame_rate);
            let own = info.map(|(num, den)| f64::from(num) / f64::from(den));
            let told = || configuration.metadata()?.frame_rate();
            own.or_else(told)?
        }
        (None, Some(track)) => {
            let info = track.info.as_ref()?;
            f64::from(info.sample_rate) / f64::from(info.samples_per_frame?)
        }
        (None, None) => return None,
    };
    let is_sane = FRAME_RATES.contains(&rate);
    is_sane.then(|| (SECOND as f64 / rate) as i64)
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
