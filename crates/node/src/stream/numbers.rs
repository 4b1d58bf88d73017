//! Numbers of segments that are ahead of the clock.
//!
//! A publish whose predecessor is not known begins at a number that grows with the clock
//! ([`Numbering::after_crash`]), so that it comes behind all that were. An encoder that is lost and comes back all the
//! time, or sends faster than time goes by, is ahead of it: then it is remembered how far it came, until the clock has
//! gone by. Every node does so, of what it publishes and of what the directory tells.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hls::{LastKnown, Numbering};
use media::StreamKey;

/// So many streams are remembered. Of more than that, which are all ahead, the next publish may use numbers again.
const CAPACITY: usize = 100_000;

/// Where so many are, one looks no more often which the clock has reached, in nanoseconds.
const LOOK: i64 = 60_000_000_000;

/// The highest numbers of streams, where these are ahead of the clock.
#[derive(Debug, Default)]
pub(crate) struct Numbers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<StreamKey, LastKnown>,
    looked: i64,
}

impl Numbers {
    /// Takes note that these were used. Returns whether they are ahead at `now`, in nanoseconds of unix time.
    pub(crate) fn note(&self, key: &StreamKey, used: LastKnown, now: i64) -> bool {
        if !is_ahead(used, now) {
            return false;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { numbers, looked } = &mut *known;
        if numbers.len() >= CAPACITY && now.saturating_sub(*looked) >= LOOK {
            *looked = now;
            numbers.retain(|_, used| is_ahead(*used, now));
        }
        if let Some(known) = numbers.get_mut(key) {
            known.msn = known.msn.max(used.msn);
            known.discontinuity = known.discontinuity.max(used.discontinuity);
        } else if numbers.len() < CAPACITY {
            numbers.insert(key.clone(), used);
        }
        true
    }

    /// The highest that were used of a stream, as far as that is remembered.
    pub(crate) fn last(&self, key: &StreamKey) -> Option<LastKnown> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.numbers.get(key).copied()
    }
}

/// Whether a publish that begins now, and knows nothing, would use these again.
fn is_ahead(used: LastKnown, now: i64) -> bool {
    let next = Numbering::after_crash(None, now);
    used.msn >= next.msn || used.discontinuity >= next.discontinuity
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In 2027, in nanoseconds.
    const NOW: i64 = 1_800_000_000 * 1_000_000_000;
    const HOUR: i64 = 3600 * 1_000_000_000;

    fn key(name: &str) -> StreamKey {
        StreamKey::new("live", name).expect("a key")
    }

    fn ahead_by(discontinuities: u64) -> LastKnown {
        let clock = Numbering::after_crash(None, NOW);
        LastKnown {
            msn: clock.msn - 1,
            discontinuity: clock.discontinuity + discontinuities,
        }
    }

    #[test]
    fn what_is_ahead_of_the_clock_is_remembered_and_never_goes_back() {
        let (numbers, key) = (Numbers::default(), key("a"));
        assert!(numbers.note(&key, ahead_by(30), NOW));
        assert!(numbers.note(&key, ahead_by(0), NOW));
        assert_eq!(numbers.last(&key), Some(ahead_by(30)));
        // In three hours the clock is there.
        assert!(!numbers.note(&key, ahead_by(30), NOW + 3 * HOUR));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_goes_when_time_has_gone_by() {
        let numbers = Numbers::default();
        for n in 0..CAPACITY + 10 {
            numbers.note(&key(&format!("cam-{n}")), ahead_by(1), NOW);
        }
        assert!(numbers.last(&key("cam-1")).is_some());
        assert_eq!(numbers.0.lock().expect("locks").numbers.len(), CAPACITY);
        let later = ahead_by(100);
        assert!(numbers.note(&key("later"), later, NOW + HOUR));
        assert_eq!(numbers.last(&key("later")), Some(later));
        assert_eq!(numbers.last(&key("cam-1")), None);
    }
}
