//! Where a server has come to: it serves, has connections go elsewhere, or has stopped.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// Where it has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Serves,
    /// The connections there are go within this time, one after the other, where they can be told to.
    Leaves(Duration),
    Stopped,
}

/// What is told of it.
#[derive(Debug, Clone)]
pub(crate) struct Phases(watch::Receiver<Phase>);

impl Phases {
    /// And what tells it.
    pub(crate) fn new() -> (watch::Sender<Phase>, Self) {
        let (sender, phases) = watch::channel(Phase::Serves);
        (sender, Self(phases))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.now() == Phase::Stopped
    }

    fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// What comes after it serves.
    async fn next(&self) -> Phase {
        let mut phases = self.0.clone();
        let next = phases.wait_for(|phase| *phase != Phase::Serves).await;
        next.map_or(Phase::Stopped, |next| *next)
    }

    /// Returns once it has stopped.
    pub(crate) async fn stopped(&self) {
        // Made on first need: most who would wait for it are done before.
        let mut phases = self.0.clone();
        drop(phases.wait_for(|phase| *phase == Phase::Stopped).await);
    }

    /// Returns once it is the turn of a connection to go: at a moment of its own, or when the server stops.
    pub(crate) async fn turn_to_go(&self) {
        // Who comes later is told with its first answer.
        if self.now() == Phase::Serves
            && let Phase::Leaves(within) = self.next().await
        {
            tokio::select! {
                () = sleep(moment(within)) => return,
                () = self.stopped() => return,
            }
        }
        self.stopped().await;
    }
}

/// One of the moments within this time, left to chance.
fn moment(within: Duration) -> Duration {
    let number = RandomState::new().hash_one(());
    within.mul_f64(number as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use tokio::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(100);

    #[tokio::test(start_paused = true)]
    async fn connections_go_one_after_the_other_and_all_in_time() {
        let (sender, phases) = Phases::new();
        let begun = Instant::now();
        let goes = async || {
            phases.turn_to_go().await;
            begun.elapsed()
        };
        let all = join_all((0..100).map(|_| goes()));
        let leaves = async {
            tokio::task::yield_now().await;
            sender.send_replace(Phase::Leaves(LONG));
        };
        let (all, ()) = tokio::join!(all, leaves);
        for quarter in 0..4 {
            let (from, to) = (LONG / 4 * quarter, LONG / 4 * (quarter + 1));
            let of_it = all.iter().filter(|moment| (from..to).contains(*moment));
            assert!(of_it.count() > 0, "{all:?}");
        }
        assert!(all.iter().all(|moment| *moment <= LONG), "{all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_late_and_who_has_time_left_goes_when_the_server_stops() {
        let (sender, phases) = Phases::new();
        let begun = Instant::now();
        let early = phases.turn_to_go();
        let others = async {
            tokio::task::yield_now().await;
            sender.send_replace(Phase::Leaves(LONG * 1000));
            let late = phases.turn_to_go();
            let stops = async {
                sleep(Duration::from_millis(1)).await;
                sender.send_replace(Phase::Stopped);
            };
            tokio::join!(late, stops);
        };
        tokio::join!(early, others);
        assert!(begun.elapsed() < LONG);
        assert!(phases.is_stopped());
    }
}
