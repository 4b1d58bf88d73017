//! How far the clocks of other nodes are ahead of ours: asked once for all that is pulled from a node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use relay::{Client, Peer, Pong};
use tokio::sync;
use tokio::time::Instant;
use tracing::debug;

use crate::chance;
use crate::context::Clock;
use crate::membership::PROBE;

/// What was found out is true for so long.
const FRESH: Duration = Duration::from_secs(5);
/// A feed asks again after this: clocks are set, and go at a pace of their own.
const AGAIN: Duration = Duration::from_secs(60);
/// A node that was not asked for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// What is known of all nodes that are pulled from.
#[derive(Default)]
pub(crate) struct Clocks(Mutex<HashMap<Peer, Arc<Compared>>>);

/// Whoever asks holds it until there is an answer, for all who wait.
type Compared = sync::Mutex<Difference>;

/// How far the clock of a node is ahead of ours.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Difference {
    /// In nanoseconds, by the last answer.
    pub(super) ahead: i64,
    asked: Option<Instant>,
    /// There was an answer when it was last asked.
    is_told: bool,
}

impl Clocks {
    /// What is known, or what the node says now.
    pub(super) async fn compare(&self, client: &Client, clock: &Clock, peer: &Peer) -> Difference {
        let compared = self.of(peer);
        let mut known = compared.lock().await;
        if known.is_fresh() {
            return *known;
        }
        let pong = client.ping(peer, PROBE).await;
        *known = Difference {
            ahead: match &pong {
                Ok(pong) => ahead(pong, clock.now()),
                // Still what it was, more likely than not.
                Err(_) => known.ahead,
            },
            asked: Some(Instant::now()),
            is_told: pong.is_ok(),
        };
        if let Err(error) = pong {
            debug!(%peer, %error, "its clock is not known");
        }
        *known
    }

    fn of(&self, peer: &Peer) -> Arc<Compared> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compared) = known.get(peer) {
            return Arc::clone(compared);
        }
        known.retain(|_, compared| {
            // One that is held is being asked.
            let known = compared.try_lock();
            known.map_or(true, |known| known.is_younger_than(FORGOTTEN))
        });
        Arc::clone(known.entry(peer.clone()).or_default())
    }
}

impl Difference {
    fn is_fresh(&self) -> bool {
        self.is_younger_than(FRESH)
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        self.asked.is_some_and(|asked| asked.elapsed() < age)
    }

    /// When a feed that goes on asks again.
    pub(super) fn ask_again(&self) -> Duration {
        match self.is_told {
            true => chance::about(AGAIN),
            false => FRESH + chance::about(FRESH),
        }
    }
}

/// How far the clock of who answered is ahead of ours, in nanoseconds; nothing where that may be the way's fault.
fn ahead(pong: &Pong, now: i64) -> i64 {
    let there = (pong.clock + pong.round_trip / 2).as_nanos();
    let ahead = i64::try_from(there).unwrap_or(i64::MAX).saturating_sub(now);
    // Clocks are told in milliseconds.
    let unsure = pong.round_trip + Duration::from_millis(2);
    match Duration::from_nanos(ahead.unsigned_abs()) <= unsure {
        true => 0,
        false => ahead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_ahead_by_more_than_its_answer_took() {
        let second = 1_000_000_000;
        let now = 1_790_000_000 * second;
        let pong = |clock: i64| Pong {
            clock: Duration::from_nanos(clock.unsigned_abs()),
            round_trip: Duration::from_millis(10),
            release: String::new(),
        };
        let half = 5_000_000;
        assert_eq!(ahead(&pong(now), now), 0);
        assert_eq!(ahead(&pong(now + half), now), 0);
        assert_eq!(ahead(&pong(now + 5 * second), now), 5 * second + half);
        assert_eq!(ahead(&pong(now - 5 * second), now), half - 5 * second);
        assert_eq!(ahead(&pong(0), i64::MAX), half - i64::MAX);
    }
}
