//! What anybody can make us say is said seldom.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A warning speaks for those of the next minute.
const AGAIN: Duration = Duration::from_secs(60);

/// When something was last said.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it is time to say it, which then counts as said.
    pub(crate) fn is_time(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = said.is_none_or(|said| said.elapsed() >= AGAIN);
        if is_time {
            *said = Some(Instant::now());
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_speaks_for_a_while() {
        let warning = Seldom::default();
        assert!(warning.is_time());
        assert!((0..100).all(|_| !warning.is_time()));
    }
}
