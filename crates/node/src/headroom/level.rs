//! How full one resource is, and what follows from that.

use std::time::Duration;

/// What goes up and down by the second counts as a mean over about so long: a burst refuses nobody.
const SMOOTHED_OVER: Duration = Duration::from_secs(3);
/// From this part of the threshold on a node is not ready, and below the lower one it is again.
const NEARLY: f64 = 0.90;
pub(super) const READY_AGAIN: f64 = 0.85;
/// New viewers are welcome again below this part of the threshold.
const OPEN_AGAIN: f64 = 0.95;

/// The used share of one resource.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    share: f64,
    nearly: bool,
    full: bool,
}

impl Level {
    /// Takes a share as it is. It is full from `full` on.
    pub(super) fn set(&mut self, share: f64, full: f64) {
        self.share = share;
        self.full = share >= full || self.full && share >= full * OPEN_AGAIN;
        self.nearly = share >= full * NEARLY || self.nearly && share >= full * READY_AGAIN;
    }

    /// Takes a share that was measured over the time that has `passed` into the mean.
    pub(super) fn smooth(&mut self, share: f64, passed: Duration, full: f64) {
        let weight = 1.0 - (-passed.div_duration_f64(SMOOTHED_OVER)).exp();
        self.set(self.share + (share - self.share) * weight, full);
    }

    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// Whether new viewers are to be refused.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Whether they had better be sent elsewhere; so it is whenever they are refused.
    pub(super) fn is_nearly_full(&self) -> bool {
        self.nearly
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn says_so_before_it_is_full_and_is_open_again_before_it_is_ready() {
        let mut level = Level::default();
        let mut after = |share| {
            level.set(share, 0.8);
            (level.is_nearly_full(), level.is_full())
        };
        // Up…
        assert_eq!(after(0.71), (false, false));
        assert_eq!(after(0.73), (true, false));
        assert_eq!(after(0.79), (true, false));
        assert_eq!(after(0.80), (true, true));
        // … and down: each stays a little longer than it took to come.
        assert_eq!(after(0.77), (true, true));
        assert_eq!(after(0.75), (true, false));
        assert_eq!(after(0.69), (true, false));
        assert_eq!(after(0.67), (false, false));
        // On the way up again the lower bounds mean nothing.
        assert_eq!(after(0.71), (false, false));
    }

    #[test]
    fn a_burst_fills_nothing_and_what_lasts_does() {
        let mut level = Level::default();
        for _ in 0..60 {
            level.smooth(0.6, SECOND, 0.95);
        }
        assert!((level.share() - 0.6).abs() < 1e-6);
        for _ in 0..3 {
            level.smooth(1.0, SECOND, 0.95);
        }
        assert!(!level.is_full(), "{level:?}");
        for _ in 0..4 {
            level.smooth(1.0, SECOND, 0.95);
        }
        assert!(level.is_full(), "{level:?}");
        for _ in 0..2 {
            level.smooth(0.6, SECOND, 0.95);
        }
        assert!(!level.is_full() && level.share() > 0.7, "{level:?}");
    }

    #[test]
    fn many_short_looks_show_what_few_long_ones_do() {
        let (mut often, mut seldom) = (Level::default(), Level::default());
        for _ in 0..8 {
            often.smooth(0.9, SECOND / 4, 1.0);
        }
        seldom.smooth(0.9, SECOND * 2, 1.0);
        assert!((often.share() - seldom.share()).abs() < 1e-9);
    }
}
