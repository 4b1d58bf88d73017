//! Who watches: counted from requests, since nobody says when he leaves.

mod sketch;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use sketch::{Sketch, SketchError};

/// Those who ask at the same moment seldom meet in the same one.
const SHARDS: usize = 16;

/// Beyond so many in a shard nobody new is remembered until others have gone.
const MOST_IN_A_SHARD: usize = 1 << 15;

/// Those who watch one stream at one node: whoever has asked for something of it lately.
///
/// A viewer is a number, made of what tells it from others. That must be made in the same way on
/// all nodes, so that their [sketches](Sketch) count who goes from one to the other once.
#[derive(Debug, Default)]
pub struct Audience {
    shards: [Mutex<HashMap<u64, Seen>>; SHARDS],
}

/// When somebody was seen last, in milliseconds of any clock.
type Seen = u64;

impl Audience {
    /// A viewer asks for something at `now`, on a clock of the caller's that never goes back.
    /// Returns whether it is one that has not asked `within` the time before, or ever.
    pub fn note(&self, viewer: u64, now: Duration, within: Duration) -> bool {
        let now = millis(now);
        let mut shard = self.shard(viewer);
        let full = shard.len() >= MOST_IN_A_SHARD;
        match shard.get_mut(&viewer) {
            Some(seen) => {
                let before = std::mem::replace(seen, now.max(*seen));
                now.saturating_sub(before) > millis(within)
            }
            // Who cannot be remembered must not be new again and again.
            None if full => false,
            None => {
                shard.insert(viewer, now);
                true
            }
        }
    }

    /// Whether `viewer` has asked `within` the time before `now`.
    pub fn knows(&self, viewer: u64, now: Duration, within: Duration) -> bool {
        let seen = self.shard(viewer).get(&viewer).copied();
        seen.is_some_and(|seen| millis(now).saturating_sub(seen) <= millis(within))
    }

    /// Forgets who has not asked `within` the time before `now`, and counts the others into a
    /// sketch. The number is exact.
    pub fn count(&self, now: Duration, within: Duration) -> (Sketch, usize) {
        let oldest = millis(now).saturating_sub(millis(within));
        let (mut sketch, mut count) = (Sketch::default(), 0);
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, seen| *seen >= oldest);
            shard.keys().for_each(|viewer| sketch.add(*viewer));
            count += shard.len();
            if shard.capacity() > shard.len().saturating_mul(4) {
                shard.shrink_to_fit();
            }
        }
        (sketch, count)
    }

    fn shard(&self, viewer: u64) -> MutexGuard<'_, HashMap<u64, Seen>> {
        let at = usize::try_from(viewer % SHARDS as u64).unwrap_or(0);
        let shard = self.shards.get(at).unwrap_or(&self.shards[0]);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(12);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    #[test]
    fn who_asks_again_in_time_is_the_same_viewer() {
        let audience = Audience::default();
        assert!(audience.note(7, at(0), WITHIN));
        assert!(!audience.note(7, at(12), WITHIN));
        assert!(!audience.note(7, at(24), WITHIN));
        assert!(audience.note(7, at(37), WITHIN), "away for too long");
        assert!(audience.note(8, at(37), WITHIN));
        assert!(audience.knows(8, at(49), WITHIN));
        assert!(!audience.knows(8, at(50), WITHIN));
        assert!(!audience.knows(9, at(37), WITHIN));
    }

    #[test]
    fn who_has_not_asked_for_long_is_forgotten() {
        let audience = Audience::default();
        for viewer in 0..100 {
            audience.note(viewer, at(viewer / 10), WITHIN);
        }
        let (sketch, count) = audience.count(at(9), WITHIN);
        assert_eq!((sketch.estimate(), count), (100, 100));
        let (sketch, count) = audience.count(at(17), WITHIN);
        assert_eq!((sketch.estimate(), count), (50, 50));
        assert_eq!(audience.count(at(30), WITHIN).1, 0);
    }

    #[test]
    fn numbers_that_are_made_up_do_not_fill_the_memory() {
        let audience = Audience::default();
        let most = MOST_IN_A_SHARD * SHARDS;
        for viewer in 0..most as u64 {
            assert!(audience.note(viewer, at(0), WITHIN));
        }
        assert!(!audience.note(u64::MAX, at(0), WITHIN));
        assert_eq!(audience.count(at(0), WITHIN).1, most);
    }
}
