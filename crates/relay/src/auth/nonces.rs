//! Memory of the calls that were made, so that none is made again by somebody who listened.

use std::collections::HashSet;
use std::mem;
use std::time::Duration;

use tracing::warn;

use super::{NONCE_LEN, WINDOW};

/// Nonces are forgotten after this at the earliest: then their tokens are too old, wherever in the window their
/// time was.
const GENERATION: Duration = WINDOW.saturating_mul(2);

/// How many are remembered of each generation; about 2000 calls per second.
const CAPACITY: usize = 1 << 17;

/// Clocks may be apart by this without anybody minding, and a node takes longer to come back.
const RESTART: i64 = 1000;

/// The calls of the last minute or two.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    young: Generation,
    old: Generation,
    /// When `young` began, by the time since the start.
    since: Duration,
    /// Tokens of this time and before may have been forgotten.
    forgotten: Option<i64>,
    /// When the memory began, by the time since the start: then, or when the clock was last set back.
    began: Duration,
    /// When the start was, in milliseconds of the clock as it stood at the last call.
    started: Option<i64>,
}

#[derive(Debug, Default)]
struct Generation {
    nonces: HashSet<[u8; NONCE_LEN]>,
    /// The latest time of its tokens, in milliseconds.
    latest: Option<i64>,
}

/// Why a call is not taken for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// It was made before.
    Seen,
    /// It may have been made before we remember.
    Forgotten,
    /// More calls than can be remembered.
    Full,
}

impl Nonces {
    /// Remembers a call whose token says `time`; `now` in milliseconds of the clock, `up` since the start.
    pub(crate) fn take(
        &mut self,
        nonce: [u8; NONCE_LEN],
        time: i64,
        now: i64,
        up: Duration,
    ) -> Result<(), Rejected> {
        self.age(up);
        self.watch(now, up);
        // Before it began nothing was remembered. The clock may have been set since: count back.
        let began = now.saturating_sub(millis(up.saturating_sub(self.began)));
        if time < began.saturating_sub(RESTART)
            || self.forgotten.is_some_and(|forgotten| time <= forgotten)
        {
            return Err(Rejected::Forgotten);
        }
        if self.old.nonces.contains(&nonce) || self.young.nonces.contains(&nonce) {
            return Err(Rejected::Seen);
        }
        if self.young.nonces.len() >= CAPACITY {
            return Err(Rejected::Full);
        }
        self.young.nonces.insert(nonce);
        self.young.latest = self.young.latest.max(Some(time));
        Ok(())
    }

    /// A clock that is set back goes once more through times of which the calls may have been forgotten. To refuse
    /// them all would be to be gone for as long as it was set back by; so it is as if the node had started anew, only
    /// that what is remembered stays so.
    fn watch(&mut self, now: i64, up: Duration) {
        let started = now.saturating_sub(millis(up));
        let before = self.started.replace(started).unwrap_or(started);
        let back = before.saturating_sub(started);
        if back <= millis(WINDOW) {
            return;
        }
        let seconds = back / 1000;
        warn!(
            seconds,
            "the clock was set back: calls of before cannot all be told from new ones"
        );
        self.began = up;
        self.forgotten = None;
        (self.young.latest, self.old.latest) = (None, None);
    }

    fn age(&mut self, up: Duration) {
        let age = up.saturating_sub(self.since);
        if age < GENERATION {
            return;
        }
        self.since = up;
        let old = mem::replace(&mut self.old, mem::take(&mut self.young));
        self.forgotten = self.forgotten.max(old.latest);
        if age >= GENERATION * 2 {
            let old = mem::take(&mut self.old);
            self.forgotten = self.forgotten.max(old.latest);
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_000;
    const UP: Duration = Duration::from_secs(1000);

    fn nonce(number: u32) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&number.to_be_bytes());
        nonce
    }

    #[test]
    fn takes_each_once() {
        let mut nonces = Nonces::default();
        assert_eq!(nonces.take(nonce(1), NOW, NOW, UP), Ok(()));
        assert_eq!(nonces.take(nonce(2), NOW, NOW, UP), Ok(()));
        assert_eq!(nonces.take(nonce(1), NOW, NOW, UP), Err(Rejected::Seen));
    }

    #[test]
    fn no_token_is_taken_twice_however_late_it_comes_again() {
        let mut nonces = Nonces::default();
        let window = WINDOW.as_millis() as i64;
        // Of a caller whose clock is ahead by all that is allowed, so that it stays valid longest.
        let time = NOW + window;
        assert_eq!(nonces.take(nonce(1), time, NOW, UP), Ok(()));
        for second in 1..=300 {
            let (now, up) = (NOW + second * 1000, UP + Duration::from_secs(second as u64));
            // Others call meanwhile.
            assert_eq!(
                nonces.take(nonce(1000 + second as u32), now, now, up),
                Ok(())
            );
            assert!(nonces.take(nonce(1), time, now, up).is_err(), "{second}");
        }
    }

    #[test]
    fn no_new_call_is_taken_for_an_old_one() {
        let mut nonces = Nonces::default();
        let apart = WINDOW.as_millis() as i64 - 1000;
        for second in 0..300 {
            let (now, up) = (NOW + second * 1000, UP + Duration::from_secs(second as u64));
            // Two callers, whose clocks are apart from ours by nearly all that is allowed.
            for (caller, time) in [(0, now + apart), (1, now - apart)] {
                let nonce = nonce(second as u32 * 2 + caller);
                assert_eq!(nonces.take(nonce, time, now, up), Ok(()), "{second}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_brings_no_call_back() {
        let mut nonces = Nonces::default();
        let back = WINDOW.as_millis() as i64;
        assert_eq!(nonces.take(nonce(1), NOW, NOW, UP), Ok(()));
        for second in 1..300 {
            let up = UP + Duration::from_secs(second as u64);
            let now = NOW + second * 1000 - back;
            assert!(nonces.take(nonce(1), NOW, now, up).is_err(), "{second}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_far_shuts_nobody_out() {
        let mut nonces = Nonces::default();
        let mut number = 0;
        let mut call = |nonces: &mut Nonces, time, now, up| {
            number += 1;
            nonces.take(nonce(number), time, now, up)
        };
        // Long enough for the first calls to be forgotten.
        for second in 0..200 {
            let (now, up) = (NOW + second * 1000, UP + Duration::from_secs(second as u64));
            assert_eq!(call(&mut nonces, now, now, up), Ok(()));
        }
        let hour = 3_600_000;
        for second in 200..500 {
            let up = UP + Duration::from_secs(second as u64);
            let now = NOW + second * 1000 - hour;
            assert_eq!(call(&mut nonces, now, now, up), Ok(()), "{second}");
            // From before it was set, as from before a start.
            let before = NOW + 199_000 - hour;
            let early = call(&mut nonces, before - RESTART, now, up);
            assert_eq!(early, Err(Rejected::Forgotten));
        }
    }

    #[test]
    fn what_is_remembered_as_the_clock_is_set_back_stays_so() {
        let mut nonces = Nonces::default();
        let hour = 3_600_000;
        assert_eq!(nonces.take(nonce(1), NOW, NOW, UP), Ok(()));
        let (now, up) = (NOW - hour, UP + Duration::from_secs(1));
        assert_eq!(nonces.take(nonce(2), now, now, up), Ok(()));
        assert_eq!(nonces.take(nonce(1), now, now, up), Err(Rejected::Seen));
    }

    #[test]
    fn what_was_said_before_the_start_may_have_been_heard() {
        let mut nonces = Nonces::default();
        let up = Duration::from_secs(5);
        let before = nonces.take(nonce(1), NOW - 6001, NOW, up);
        assert_eq!(before, Err(Rejected::Forgotten));
        assert_eq!(nonces.take(nonce(1), NOW - 6000, NOW, up), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_comes_back() {
        let mut nonces = Nonces::default();
        for number in 0..CAPACITY as u32 {
            assert_eq!(nonces.take(nonce(number), NOW, NOW, UP), Ok(()));
        }
        let one_more = nonce(CAPACITY as u32);
        assert_eq!(nonces.take(one_more, NOW, NOW, UP), Err(Rejected::Full));
        let (now, up) = (NOW + 60_000, UP + GENERATION);
        assert_eq!(nonces.take(one_more, now, now, up), Ok(()));
    }
}
