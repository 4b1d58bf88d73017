//! How many bits a stream takes, as its origin measures it.

use std::time::Duration;

use media::{Configuration, Cut, MarkedTag};

use crate::config::Mode;

/// Bits per second of a stream, as players are told. Rounded up to two digits, so that it seldom changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// At most, over a segment.
    pub peak: u64,
    /// On average.
    pub average: u64,
}

/// Measures what the segments of one publish take, by their tags alone: nothing needs to be made of them.
///
/// RFC 8216bis 4.4.6.2: the peak is that of segments, or of several together, that last half a target duration or
/// longer.
#[derive(Debug)]
pub struct Meter {
    mode: Mode,
    /// The newest segment, and those before it that were too short to count alone.
    bytes: u64,
    since: Option<i64>,
    least: i64,
    /// All that counted so far: bytes, and nanoseconds.
    total: (u64, i64),
    told: Bandwidth,
}

/// What fragmented MP4 adds to a part and to a frame, with sound and pictures.
const PART_OVERHEAD: u64 = 200;
const FRAME_OVERHEAD: u64 = 8;
/// What a transport stream adds to a picture in front, and the packets that it is then cut into. Several frames of
/// sound share them.
const PICTURE_OVERHEAD: u64 = 30;
const SOUND_OVERHEAD: u64 = 40;
const PACKET: u64 = 188;
const PACKET_PAYLOAD: u64 = 184;

const SECOND: u128 = 1_000_000_000;
const BITS: u128 = 8;

impl Meter {
    /// One of a publish that is cut for `mode`, of which nothing is known.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            bytes: 0,
            since: None,
            least: 0,
            total: (0, 0),
            told: Bandwidth::default(),
        }
    }

    /// Counts the next tag, which `cut` begins with. Returns what is to be told from now on, if that is another.
    pub fn count(
        &mut self,
        tag: &MarkedTag,
        cut: Option<&Cut>,
        configuration: &Configuration,
    ) -> Option<Bandwidth> {
        let mut news = None;
        if let Some(cut) = cut {
            if let Some(segment) = &cut.segment {
                news = self.begin(cut.start, segment.target);
            }
            self.bytes += PART_OVERHEAD;
        }
        let frame = &tag.tag;
        let is_carried = configuration.is_main_picture(frame) || configuration.is_main_sound(frame);
        if frame.is_frame() && is_carried && self.since.is_some() {
            let bytes = frame.payload.len() as u64;
            self.bytes += match self.mode {
                Mode::LowLatency | Mode::Fmp4 => bytes + FRAME_OVERHEAD,
                Mode::Ts if frame.is_video() => {
                    (bytes + PICTURE_OVERHEAD).div_ceil(PACKET_PAYLOAD) * PACKET
                }
                Mode::Ts => bytes + SOUND_OVERHEAD,
            };
        }
        news
    }

    /// A segment begins there.
    fn begin(&mut self, start: i64, target: Duration) -> Option<Bandwidth> {
        let since = *self.since.get_or_insert(start);
        self.least = i64::try_from(target.as_nanos() / 2).unwrap_or(i64::MAX);
        let lasted = start.saturating_sub(since);
        if lasted < self.least.max(1) {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        self.since = Some(start);
        self.total.0 = self.total.0.saturating_add(bytes);
        self.total.1 = self.total.1.saturating_add(lasted);
        let (peak, average) = (rate(bytes, lasted), rate(self.total.0, self.total.1));
        let before = self.told;
        let told = Bandwidth {
            peak: rounded_up(peak).max(before.peak),
            average: match before.average {
                // Not to and fro where it lies between two figures.
                told if is_near(average, told) => told,
                _ => rounded_up(average),
            },
        };
        (std::mem::replace(&mut self.told, told) != told).then_some(told)
    }
}

fn rate(bytes: u64, nanoseconds: i64) -> u64 {
    let time = u128::from(nanoseconds.max(1).unsigned_abs());
    u64::try_from(u128::from(bytes) * BITS * SECOND / time).unwrap_or(u64::MAX)
}

fn is_near(rate: u64, told: u64) -> bool {
    rate <= told && rate >= told - told / 5
}

fn rounded_up(rate: u64) -> u64 {
    let mut unit: u64 = 1;
    while rate.div_ceil(unit) >= 100 {
        unit = unit.saturating_mul(10);
    }
    rate.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_two_digits_and_are_not_too_low() {
        let rounded = [0, 7, 99, 100, 101, 991, 999, 1_234_567, 2_000_000].map(rounded_up);
        assert_eq!(
            rounded,
            [0, 7, 99, 100, 110, 1000, 1000, 1_300_000, 2_000_000]
        );
        assert!(rounded_up(u64::MAX) >= u64::MAX / 100 * 99);
    }

    #[test]
    fn short_segments_count_together_and_the_average_stays_where_it_is() {
        let mut meter = Meter::new(Mode::Fmp4);
        let target = Duration::from_secs(4);
        let second = 1_000_000_000;
        let mut begin = |at: i64, bytes: u64| {
            meter.bytes = bytes;
            meter.begin(at * second, target)
        };
        let told = |peak, average| Some(Bandwidth { peak, average });
        assert_eq!(begin(0, 0), None, "nothing is measured yet");
        assert_eq!(begin(1, 250_000), None, "too short");
        assert_eq!(begin(2, 500_000), told(2_000_000, 2_000_000));
        assert_eq!(begin(4, 500_000), None, "as before");
        assert_eq!(begin(6, 1_000_000), told(4_000_000, 2_700_000));
        assert_eq!(begin(8, 250_000), None, "not much less");
        assert_eq!(begin(10, 0), told(4_000_000, 1_800_000));
    }
}
