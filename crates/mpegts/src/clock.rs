//! The clock of the programme (ISO 13818-1, 2.4.2.2), by which readers decode and play.

use crate::elementary::pid;
use crate::packet::{self, Adaptation};
use crate::units::Unit;

/// How much earlier than the frame beside it the clock shows, in 1/90,000 s: half a second, in
/// which a decoder receives the frame. Times below it make a clock that wraps during them.
pub const LEAD: u64 = 45_000;

/// The clock is told at least as often, in 1/90,000 s (ISO 13818-1, 2.7.2: 100 ms).
const INTERVAL: u64 = 9_000;

/// In a gap of the stream that is longer nobody needs a clock: 10 s.
const LONGEST_GAP: u64 = 900_000;

/// When the clock was told last.
pub(crate) struct Clock {
    /// The position of the track whose packets tell it.
    pub(crate) track: usize,
    pid: u16,
    /// The time of the frame beside it.
    last: Option<u64>,
}

impl Clock {
    pub(crate) fn new(track: usize) -> Self {
        Self {
            track,
            pid: pid(track),
            last: None,
        }
    }

    /// Before a unit: what the clock shows in its first packet, if that can tell.
    ///
    /// Where it would be told too rarely, packets with nothing but the clock are written, with
    /// the counter of the packet before, since they do not count.
    pub(crate) fn before(
        &mut self,
        out: &mut Vec<u8>,
        unit: &Unit<'_>,
        counter: u8,
    ) -> Option<u64> {
        let dts = unit.dts();
        let tells = unit.track == self.track;
        match self.last {
            // It does not go back, even if the stream does, and is told once.
            Some(last) if dts <= last => return None,
            Some(last) if dts - last <= LONGEST_GAP => {
                let mut next = last.saturating_add(INTERVAL);
                while next < dts {
                    self.write(out, next, counter);
                    next = next.saturating_add(INTERVAL);
                }
            }
            _ if !tells => self.write(out, dts, counter),
            _ => {}
        }
        if !tells {
            return None;
        }
        self.last = Some(dts);
        Some(shown(dts))
    }

    fn write(&mut self, out: &mut Vec<u8>, time: u64, counter: u8) {
        let adaptation = Adaptation {
            random_access: false,
            clock: Some(shown(time)),
        };
        packet::write(out, self.pid, counter, false, adaptation, &[]);
        self.last = Some(time);
    }
}

fn shown(time: u64) -> u64 {
    time.wrapping_sub(LEAD)
}
