//! Which epoch comes next.

use media::Epoch;

/// Higher numbers are not believed: the year is beyond 140 000, and whoever adds one to a number must
/// not overflow.
pub(crate) const MAX: u64 = 1 << 52;

/// The highest epoch number that this process has seen or chosen, over all keys.
///
/// It lives in the process and not in the directory: a directory that is restored from an old
/// snapshot brings old numbers back, and the next epoch must be above the newer ones too. It is one
/// number and not one for each key, so that it also covers keys that are gone and costs nothing;
/// numbers of different keys then grow together, which nobody minds.
#[derive(Debug, Default)]
pub(crate) struct Highest(u64);

impl Highest {
    /// `epoch` exists. One that nobody believes would make all that follow it unbelievable too.
    pub(crate) fn saw(&mut self, epoch: Epoch) {
        if epoch.number < MAX {
            self.0 = self.0.max(epoch.number);
        }
    }

    /// An epoch above all that exist, chosen at `now` (unix milliseconds) by the node with this
    /// number.
    pub(crate) fn next(&mut self, now: u64, node: u64) -> Epoch {
        self.0 = self.0.saturating_add(1).max(now);
        Epoch::new(self.0, node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_time_and_over_everything_seen() {
        let mut highest = Highest::default();
        assert_eq!(highest.next(1000, 7), Epoch::new(1000, 7));
        assert_eq!(
            highest.next(1000, 7),
            Epoch::new(1001, 7),
            "twice in one millisecond"
        );
        highest.saw(Epoch::new(5000, 9));
        highest.saw(Epoch::new(4000, 9));
        assert_eq!(
            highest.next(1000, 7),
            Epoch::new(5001, 7),
            "a clock that is ahead elsewhere"
        );
        assert_eq!(
            highest.next(500, 7),
            Epoch::new(5002, 7),
            "a clock that was set back"
        );
        assert_eq!(highest.next(9000, 7), Epoch::new(9000, 7));
        highest.saw(Epoch::new(u64::MAX, 9));
        assert_eq!(
            highest.next(9000, 7),
            Epoch::new(9001, 7),
            "what cannot be is not believed"
        );
    }
}
