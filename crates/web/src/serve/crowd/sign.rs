//! What a connection shows of itself to those who look for room.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Bell;

/// Something is under way.
const BUSY: u64 = 0;
/// Nothing is, and it stands in line.
const LISTED: u64 = 1;
/// Nothing is, since so many nanoseconds beyond this.
const IDLE: u64 = 2;

/// Whether anything is under way on a connection. It turns from one to the other with each request, so no lock is taken
/// for that: whoever looks for room takes note of it.
pub(super) struct Sign {
    pub(super) bell: Bell,
    state: AtomicU64,
}

impl Sign {
    /// Of one that stands in line.
    pub(super) fn listed() -> Self {
        Self {
            bell: Bell::default(),
            state: AtomicU64::new(LISTED),
        }
    }

    /// Its connection says that something is under way. Returns whether it stood in line.
    pub(super) fn is_busy(&self) -> bool {
        let was_busy = self.state.load(Ordering::Relaxed) == BUSY;
        !was_busy && self.state.swap(BUSY, Ordering::AcqRel) == LISTED
    }

    /// Its connection says that nothing is under way from `now` on.
    pub(super) fn is_idle(&self, now: impl FnOnce() -> u64) {
        if self.state.load(Ordering::Relaxed) == BUSY {
            let since = now().saturating_add(IDLE);
            self.state.store(since, Ordering::Release);
        }
    }

    /// If it is idle and not in line yet it is from now on: since when it is idle.
    pub(super) fn list(&self) -> Option<u64> {
        let state = self.state.load(Ordering::Acquire);
        let since = state.checked_sub(IDLE)?;
        let listed =
            self.state
                .compare_exchange(state, LISTED, Ordering::AcqRel, Ordering::Relaxed);
        listed.ok().map(|_| since)
    }
}
