//! Encoders that share a key and credentials, and would take it from each other for ever.
//!
//! An encoder that comes back takes its stream over at once, though its old connection may still look
//! alive. Where the one that was replaced was really still sending, that may be an encoder that has moved;
//! where it happens again and again, it is two of them. Then only silence makes room, until those who are
//! refused have given up for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use media::StreamKey;

/// So many times a publisher that sends is replaced by its like…
const MOVES: usize = 3;
/// …within this.
const MEMORY: Duration = Duration::from_secs(60);
/// So many streams are remembered; one that is forgotten has its feud anew.
const CAPACITY: usize = 10_000;

/// Who was replaced while it was sending, by stream. It outlives the streams of a node, since those who
/// fight over a key move it from node to node.
#[derive(Default)]
pub(crate) struct Feuds(Mutex<HashMap<StreamKey, VecDeque<Instant>>>);

impl Feuds {
    /// Whether it may be replaced, if whoever asks goes on to do so: a yes does not count.
    pub(crate) fn might_replace(&self, key: &StreamKey, now: Instant) -> bool {
        let is_fresh = |moved: &&Instant| now.duration_since(**moved) < MEMORY;
        let moves = {
            let feuds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let moves = feuds.get(key);
            moves.map_or(0, |moves| moves.iter().filter(is_fresh).count())
        };
        moves < MOVES || self.may_replace(key, now)
    }

    /// Whether a publisher that sends may be replaced by one of the same identity. Asking counts: who goes on
    /// asking goes on being refused.
    pub(crate) fn may_replace(&self, key: &StreamKey, now: Instant) -> bool {
        let mut feuds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if feuds.len() >= CAPACITY && !feuds.contains_key(key) {
            let is_over = |moves: &VecDeque<Instant>| {
                moves
                    .back()
                    .is_none_or(|last| now.duration_since(*last) >= MEMORY)
            };
            feuds.retain(|_, moves| !is_over(moves));
            if feuds.len() >= CAPACITY {
                feuds.clear();
            }
        }
        let moves = feuds.entry(key.clone()).or_default();
        while moves
            .front()
            .is_some_and(|first| now.duration_since(*first) >= MEMORY)
        {
            moves.pop_front();
        }
        let may = moves.len() < MOVES;
        if !may {
            moves.pop_front();
        }
        moves.push_back(now);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> StreamKey {
        StreamKey::new("live", name).expect("a key")
    }

    #[test]
    fn a_fight_ends_and_does_not_begin_again_while_somebody_goes_on() {
        let (feuds, start) = (Feuds::default(), Instant::now());
        let at = |seconds| feuds.may_replace(&key("cam"), start + Duration::from_secs(seconds));
        assert!(at(0) && at(2) && at(4));
        for seconds in (6..300).step_by(10) {
            assert!(!at(seconds), "after {seconds} s");
        }
        assert!(feuds.may_replace(&key("other"), start));
        // The one has given up.
        assert!(at(400));
    }

    #[test]
    fn who_is_told_that_it_may_has_not_moved_yet_and_who_is_refused_has_asked() {
        let (feuds, start) = (Feuds::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..10 {
            assert!(feuds.might_replace(&key("cam"), start));
        }
        for _ in 0..MOVES {
            assert!(feuds.might_replace(&key("cam"), start));
            assert!(feuds.may_replace(&key("cam"), start));
        }
        for seconds in (1..200).step_by(10) {
            assert!(!feuds.might_replace(&key("cam"), at(seconds)));
        }
        assert!(feuds.might_replace(&key("cam"), at(300)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (feuds, now) = (Feuds::default(), Instant::now());
        for n in 0..CAPACITY + 10 {
            assert!(feuds.may_replace(&key(&format!("cam-{n}")), now));
        }
        assert!(feuds.0.lock().expect("locks").len() <= CAPACITY);
    }
}
