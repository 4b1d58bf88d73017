//! The grid of audio samples.

use super::{NS_PER_MS, Samples};

/// A packet may come earlier than its samples say by so many halves of a packet: some encoders
/// give two packets the same timestamp.
const EARLY_HALVES: i64 = 3;

/// And later by so many. Beyond, samples are missing.
const LATE_HALVES: i64 = 1;

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
            *self = Self {
                rate,
                samples,
                anchor: None,
            };
        }
    }

    /// Time does not go on as before.
    pub(super) fn restart(&mut self) {
        self.anchor = None;
    }

    /// The time of the next packet, in nanoseconds. What it says itself goes before what was told.
    pub(super) fn snap(&mut self, ms: i64, samples: Option<Samples>) -> i64 {
        let coarse = ms.saturating_mul(NS_PER_MS);
        if let Some(samples) = samples.filter(|samples| samples.rate != self.rate) {
            (self.rate, self.anchor) = (samples.rate, None);
        }
        let count = samples.map(|samples| samples.count).or(self.samples);
        let Some(samples) = count.filter(|&count| count > 0 && self.rate > 0) else {
            self.anchor = None;
            return coarse;
        };
        let half = duration(u64::from(samples), self.rate) / 2;
        let early = (EARLY_HALVES * half).max(MIN_TOLERANCE);
        let late = (LATE_HALVES * half).max(MIN_TOLERANCE);
        let kept = self.anchor.filter(|anchor| {
            let off = coarse.saturating_sub(anchor.at(self.rate));
            (-early..=late).contains(&off)
        });
        let mut anchor = kept.unwrap_or(Anchor {
            time: coarse,
            samples: 0,
        });
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
