//! Streams that were looked for in vain: players ask for them over and over, and the cluster is not asked each time.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use media::StreamKey;

/// The keys that were absent a moment ago.
pub(super) struct Absent {
    ttl: Duration,
    capacity: usize,
    since: HashMap<StreamKey, Instant>,
    /// In the order of their coming, those included that are forgotten since.
    order: VecDeque<(Instant, StreamKey)>,
}

impl Absent {
    pub(super) fn new(ttl: Duration, capacity: usize) -> Absent {
        Absent {
            ttl,
            capacity,
            since: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn insert(&mut self, key: StreamKey, now: Instant) {
        if self.capacity == 0 || self.ttl.is_zero() {
            return;
        }
        while self.order.len() >= self.capacity
            || self
                .order
                .front()
                .is_some_and(|(then, _)| self.is_old(*then, now))
        {
            self.drop_oldest();
        }
        self.since.insert(key.clone(), now);
        self.order.push_back((now, key));
    }

    pub(super) fn holds(&self, key: &StreamKey, now: Instant) -> bool {
        let since = self.since.get(key);
        since.is_some_and(|since| !self.is_old(*since, now))
    }

    pub(super) fn forget(&mut self, key: &StreamKey) {
        self.since.remove(key);
    }

    pub(super) fn forget_all(&mut self) {
        self.since.clear();
        self.order.clear();
    }

    fn is_old(&self, since: Instant, now: Instant) -> bool {
        now.duration_since(since) >= self.ttl
    }

    fn drop_oldest(&mut self) {
        let Some((then, key)) = self.order.pop_front() else {
            return;
        };
        // Unless it was looked for again.
        if self.since.get(&key) == Some(&then) {
            self.since.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> StreamKey {
        StreamKey::new("live", name).expect("a key")
    }

    #[test]
    fn is_believed_for_a_while_or_until_it_is_told_otherwise() {
        let mut absent = Absent::new(Duration::from_secs(1), 10);
        let now = Instant::now();
        absent.insert(key("a"), now);
        absent.insert(key("b"), now);
        assert!(absent.holds(&key("a"), now + Duration::from_millis(999)));
        assert!(!absent.holds(&key("a"), now + Duration::from_secs(1)));
        absent.forget(&key("b"));
        assert!(!absent.holds(&key("b"), now));
    }

    #[test]
    fn is_bounded_whatever_is_asked_for() {
        let mut absent = Absent::new(Duration::from_secs(1), 10);
        let now = Instant::now();
        for n in 0..100 {
            absent.insert(key(&format!("{n}")), now);
            absent.insert(key("again"), now);
        }
        assert!(absent.since.len() <= 10 && absent.order.len() <= 10);
        assert!(absent.holds(&key("99"), now) && absent.holds(&key("again"), now));
        assert!(!absent.holds(&key("1"), now));
        let mut none = Absent::new(Duration::from_secs(1), 0);
        none.insert(key("a"), now);
        assert!(!none.holds(&key("a"), now));
    }
}
