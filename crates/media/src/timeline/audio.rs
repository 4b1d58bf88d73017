//! The grid of audio samples.

use super::NS_PER_MS;

/// A packet may come earlier than its samples say by so many packets: some encoders give two
/// packets the same timestamp.
const EARLY_PACKETS: i64 = 3; // halves
/// And later by so many. Beyond, samples are missing.
const LATE_PACKETS: i64 = 1; // halves

/// Timestamps in milliseconds are good for half of one, whatever the length of a packet.
const MIN_TOLERANCE: i64 = 2 * NS_PER_MS;

/// Places packets one behind the other, sample by sample, from an anchor on.
#[derive(Debug, Default)]
pub(super) struct AudioGrid {
    rate: u32,
    /// Samples of a packet, if they are the same in all.
    samples: Option<u32>,
    anchor: Option<Anchor>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    /// In nanoseconds.
    time: i64,
    /// Samples since.
    samples: u64,
}

impl AudioGrid {
    pub(super) fn configure(&mut self, rate: u32, samples: Option<u32>) {
        if (self.rate, self.samples) != (rate, samples) {
            *self = Self { rate, samples, anchor: None };
        }
    }

    /// Time does not go on as before.
    pub(super) fn restart(&mut self) {
        self.anchor = None;
    }

    /// The time of the next packet, in nanoseconds.
    pub(super) fn snap(&mut self, ms: i64, samples: Option<u32>) -> i64 {
        let coarse = ms.saturating_mul(NS_PER_MS);
        let Some(samples) = samples.or(self.samples).filter(|&n| n > 0 && self.rate > 0) else {
            self.anchor = None;
            return coarse;
        };
        let half = duration(u64::from(samples), self.rate) / 2;
        let early = (EARLY_PACKETS * half).max(MIN_TOLERANCE);
        let late = (LATE_PACKETS * half).max(MIN_TOLERANCE);
        let kept = self.anchor.filter(|anchor| {
            let off = coarse.saturating_sub(anchor.at(self.rate));
            (-early..=late).contains(&off)
        });
        let mut anchor = kept.unwrap_or(Anchor { time: coarse, samples: 0 });
        let time = anchor.at(self.rate);
        anchor.samples += u64::from(samples);
        self.anchor = Some(anchor);
        time
    }
}

impl Anchor {
    fn at(self, rate: u32) -> i64 {
        self.time.saturating_add(duration(self.samples, rate))
    }
}

/// How long so many samples last, in nanoseconds.
fn duration(samples: u64, rate: u32) -> i64 {
    let ns = u128::from(samples) * 1_000_000_000 / u128::from(rate.max(1));
    i64::try_from(ns).unwrap_or(i64::MAX)
}

/// Samples per second on which Opus counts, whatever was encoded (RFC 6716, 2).
pub(crate) const OPUS_RATE: u32 = 48_000;

/// The longest Opus packet: 120 ms.
const MAX_OPUS_SAMPLES: u32 = 5760;

/// How many samples an Opus packet has (RFC 6716, 3.1).
pub(crate) fn opus_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let size = usize::from(toc >> 3 & 3);
    let frame: u32 = match toc >> 3 {
        0..=11 => [480, 960, 1920, 2880][size],
        12..=15 => [480, 960][size & 1],
        _ => [120, 240, 480, 960][size],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (1..=MAX_OPUS_SAMPLES).contains(&samples).then_some(samples)
}
