//! For how long somebody may let us wait.

use std::time::Duration;

use tokio::time::Instant;

/// Time that a peer has left to take something of what it is sent. Letting us wait uses it up, and what is taken gives
/// some back. So nobody takes nothing for long, nor little for longer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    terms: Terms,
    left: Duration,
    /// Since when it lets us wait.
    since: Option<Instant>,
}

/// What is asked of who takes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// So long it may take nothing.
    pub(crate) patience: Duration,
    /// So many bytes in a second it has to take in the long run; 0 is any that are more than none.
    pub(crate) rate: usize,
}

impl Budget {
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            terms,
            left: terms.patience,
            since: None,
        }
    }

    /// It lets us wait, from now on or as before. Says until when it may.
    pub(crate) fn waits(&mut self) -> Instant {
        *self.since.get_or_insert_with(Instant::now) + self.left
    }

    /// It does not let us wait any more, and has taken so many bytes.
    pub(crate) fn takes(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        let back = match self.terms.rate {
            0 if bytes > 0 => self.terms.patience,
            0 => Duration::ZERO,
            rate => {
                let micros = bytes as u128 * 1_000_000 / rate as u128;
                Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
            }
        };
        self.left = self.left.saturating_add(back).min(self.terms.patience);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn budget(rate: usize) -> Budget {
        let patience = SECOND * 30;
        Budget::new(Terms { patience, rate })
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_byte_now_and_then_has_no_time_left_in_the_end() {
        let mut trickles = budget(1000);
        let mut seconds = 0;
        while trickles.waits() >= Instant::now() + SECOND {
            advance(SECOND).await;
            trickles.takes(1);
            seconds += 1;
        }
        assert_eq!(seconds, 30);
        // Where any byte will do, it goes on.
        let mut any = budget(0);
        for _ in 0..100 {
            assert_eq!(any.waits(), Instant::now() + SECOND * 30);
            advance(SECOND * 29).await;
            any.takes(1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_enough_has_all_of_it_again_and_no_more() {
        let mut budget = budget(1000);
        budget.takes(1_000_000);
        assert_eq!(budget.waits(), Instant::now() + SECOND * 30);
        advance(SECOND * 20).await;
        assert_eq!(budget.waits(), Instant::now() + SECOND * 10);
        budget.takes(5000);
        assert_eq!(budget.waits(), Instant::now() + SECOND * 15);
        budget.takes(usize::MAX);
        assert_eq!(budget.waits(), Instant::now() + SECOND * 30);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nothing_waits_is_not_counted() {
        let mut budget = budget(1000);
        budget.waits();
        budget.takes(0);
        advance(SECOND * 100).await;
        assert_eq!(budget.waits(), Instant::now() + SECOND * 30);
    }
}
