//! Who has asked for a stream lately.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// In so many pieces, so that few viewers take the same lock.
const SHARDS: usize = 16;
/// So many viewers are told apart in each.
const MOST: usize = 16 << 10;

/// The viewers of a stream, by hashes of who they are, and when each asked last, in nanoseconds.
#[derive(Debug)]
pub(super) struct Audience {
    shards: [Mutex<HashMap<u64, i64>>; SHARDS],
    most: usize,
}

impl Default for Audience {
    fn default() -> Audience {
        Audience::of(MOST)
    }
}

impl Audience {
    /// Of so many in each shard at most.
    fn of(most: usize) -> Audience {
        let shards = Default::default();
        Audience { shards, most }
    }

    /// Whether somebody has asked since then.
    pub(super) fn knows(&self, viewer: u64, since: i64) -> bool {
        let shard = self.shard(viewer);
        shard.get(&viewer).is_some_and(|last| *last >= since)
    }

    /// Takes note that somebody asks now. Returns whether it is new: it had not asked since `since`. Beyond a bound
    /// nobody else is noted, who then is new each time.
    pub(super) fn note(&self, viewer: u64, now: i64, since: i64) -> bool {
        let mut shard = self.shard(viewer);
        if let Some(last) = shard.get_mut(&viewer) {
            let is_new = *last < since;
            *last = now.max(*last);
            return is_new;
        }
        if shard.len() < self.most {
            shard.insert(viewer, now);
        }
        true
    }

    /// How many have asked since then. The others are forgotten.
    pub(super) fn count(&self, since: i64) -> usize {
        let count = |shard: &Mutex<HashMap<u64, i64>>| {
            let mut shard = lock(shard);
            shard.retain(|_, last| *last >= since);
            if shard.capacity() > 4 * shard.len() + 16 {
                shard.shrink_to_fit();
            }
            shard.len()
        };
        self.shards.iter().map(count).sum()
    }

    fn shard(&self, viewer: u64) -> MutexGuard<'_, HashMap<u64, i64>> {
        // The map inside hashes it anew, so that its low bits are free for this.
        let [first, ..] = &self.shards;
        let at = usize::try_from(viewer % SHARDS as u64).unwrap_or(0);
        lock(self.shards.get(at).unwrap_or(first))
    }
}

fn lock(shard: &Mutex<HashMap<u64, i64>>) -> MutexGuard<'_, HashMap<u64, i64>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_over_and_over_is_one_until_it_was_silent_for_long() {
        let audience = Audience::default();
        assert!(!audience.knows(7, 0));
        assert!(audience.note(7, 10, 0));
        assert!(!audience.note(7, 20, 10) && audience.knows(7, 20));
        assert!(audience.note(8, 20, 10));
        assert_eq!(audience.count(10), 2);
        assert_eq!(audience.count(21), 0, "both are forgotten");
        assert!(audience.note(7, 30, 21), "a session of its own");
    }

    #[test]
    fn is_bounded_whoever_asks() {
        let audience = Audience::of(10);
        for viewer in 0..1000 {
            assert!(audience.note(viewer, 1, 0));
        }
        // Those who are there are known, and the places of those who went are for others.
        assert!(audience.knows(0, 0) && !audience.knows(999, 0));
        assert_eq!(audience.count(0), SHARDS * 10);
        assert_eq!(audience.count(2), 0);
        assert!(audience.note(999, 9, 2) && audience.knows(999, 2));
    }
}
