//! How long to wait before the directory is tried again: the one place that decides it.

use std::time::Duration;

/// The first wait is at most this.
const FIRST: Duration = Duration::from_millis(50);
/// No wait is longer. It is shorter than any lease, so that nodes are back before they count as gone.
const LONGEST: Duration = Duration::from_secs(1);

/// Exponential back-off with jitter, so that the nodes of a cluster do not come back all at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next wait: between half of the step and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let step = FIRST.saturating_mul(1 << self.tries.min(10)).min(LONGEST);
        self.tries += 1;
        step.mul_f64(0.5 + random() / 2.0)
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

/// A number from 0 to 1.
pub(crate) fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without entropy the waits are all the same, which is no disaster.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_up_to_a_second_and_differs() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        assert!(
            waits
                .first()
                .is_some_and(|wait| *wait <= FIRST && *wait >= FIRST / 2)
        );
        let late = waits.get(20..).expect("some");
        assert!(
            late.iter()
                .all(|wait| *wait <= LONGEST && *wait >= LONGEST / 2)
        );
        assert!(late.iter().any(|wait| Some(wait) != late.first()));
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
