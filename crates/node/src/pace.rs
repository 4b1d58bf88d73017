//! How long tags gather before they are written, by how busy the node is.
//!
//! The kernel charges for a write more than for its bytes. So a node that has time writes each video
//! frame as it comes, and one that fills up gathers longer, the same for all viewers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::Coalesce;

/// The longest a busy node lets tags gather.
const MAX_GATHER: Duration = Duration::from_millis(200);
/// How often the load is looked at.
const INTERVAL: Duration = Duration::from_millis(250);
/// Above this share of the processors, gather longer; below the lower one, shorter.
const BUSY: f64 = 0.70;
const CALM: f64 = 0.50;
/// So many writes in a second are a good part of what a processor can do.
const MANY_WRITES: f64 = 10_000.0;
/// So many publishers for each processor are worth a wait for fuller reads.
const MANY_PUBLISHERS: usize = 32;

/// The gathering time of this moment, shared by all groups of players.
#[derive(Clone)]
pub(crate) struct Pace {
    coalesce: Coalesce,
    gather_us: Arc<AtomicU64>,
    busy_permille: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
    publishers: Arc<AtomicUsize>,
    workers: usize,
}

/// One more publisher, until dropped.
pub(crate) struct Publisher(Arc<AtomicUsize>);

impl Drop for Publisher {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pace {
    pub(crate) fn new(coalesce: Coalesce, workers: usize) -> Pace {
        let fixed = match coalesce {
            Coalesce::Adaptive => Duration::ZERO,
            Coalesce::Fixed(gather) => gather,
        };
        let gather_us = u64::try_from(fixed.as_micros()).unwrap_or(u64::MAX);
        Pace {
            coalesce,
            gather_us: Arc::new(AtomicU64::new(gather_us)),
            busy_permille: Arc::default(),
            writes: Arc::default(),
            publishers: Arc::default(),
            workers: workers.max(1),
        }
    }

    /// How long tags gather between two writes.
    pub(crate) fn gather(&self) -> Duration {
        Duration::from_micros(self.gather_us.load(Ordering::Relaxed))
    }

    /// So many players were written to.
    pub(crate) fn wrote(&self, players: usize) {
        self.writes.fetch_add(players as u64, Ordering::Relaxed);
    }

    /// Whether audio waits for the video frame that is due.
    pub(crate) fn audio_rides(&self) -> bool {
        self.coalesce == Coalesce::Adaptive
    }

    /// Whether audio waits for video already before it is read: where publishers are many, that saves
    /// most reads, and with few it saves nothing.
    pub(crate) fn audio_waits(&self) -> bool {
        let crowd = MANY_PUBLISHERS * self.workers;
        self.audio_rides() && self.publishers.load(Ordering::Relaxed) >= crowd
    }

    pub(crate) fn publisher(&self) -> Publisher {
        self.publishers.fetch_add(1, Ordering::Relaxed);
        Publisher(Arc::clone(&self.publishers))
    }

    /// Whether more than half of what the processors can do is in use.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy() > CALM
    }

    /// The share of the processors in use, 0 to 1.
    pub(crate) fn busy(&self) -> f64 {
        self.busy_permille.load(Ordering::Relaxed) as f64 / 1000.0
    }

    /// Follows the load for as long as the node lives.
    pub(crate) async fn follow(self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        let look = || {
            let writes = self.writes.load(Ordering::Relaxed);
            (std::time::Instant::now(), processor_time(), writes)
        };
        let mut last = look();
        loop {
            ticks.tick().await;
            let now = look();
            let wall = now.0.duration_since(last.0).as_secs_f64() * self.workers as f64;
            if wall <= 0.0 {
                continue;
            }
            let busy = now.1.saturating_sub(last.1).as_secs_f64() / wall;
            let writes = now.2.saturating_sub(last.2) as f64 / wall;
            last = now;
            self.busy_permille
                .store((busy * 1000.0) as u64, Ordering::Relaxed);
            if self.coalesce == Coalesce::Adaptive {
                let gather = adapt(self.gather(), busy, writes);
                self.gather_us
                    .store(gather.as_micros() as u64, Ordering::Relaxed);
            }
        }
    }
}

/// Lengthens fast and shortens slowly, so that a load near the limit does not swing. Where it is not the
/// `writes` (in a second, of each processor) that keep the node busy, to gather would help nobody.
fn adapt(gather: Duration, busy: f64, writes: f64) -> Duration {
    if busy > BUSY && writes > MANY_WRITES {
        (gather.mul_f64(1.0 + (busy - BUSY) * 2.0) + Duration::from_millis(10)).min(MAX_GATHER)
    } else if busy < CALM || writes < MANY_WRITES / 2.0 {
        let shorter = gather.mul_f64(0.9);
        if shorter < Duration::from_millis(5) {
            Duration::ZERO
        } else {
            shorter
        }
    } else {
        gather
    }
}

/// How long the threads of this process have run.
pub(crate) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITES: f64 = 50_000.0;

    #[test]
    fn gathers_longer_while_busy_and_not_at_all_when_calm() {
        let mut gather = Duration::ZERO;
        for _ in 0..40 {
            gather = adapt(gather, 0.95, WRITES);
        }
        assert_eq!(gather, MAX_GATHER);
        assert_eq!(adapt(gather, 0.6, WRITES), gather);
        for _ in 0..60 {
            gather = adapt(gather, 0.3, WRITES);
        }
        assert_eq!(gather, Duration::ZERO);
    }

    #[test]
    fn does_not_gather_for_a_load_that_is_not_players() {
        assert_eq!(adapt(Duration::ZERO, 0.95, 1_000.0), Duration::ZERO);
        assert!(adapt(MAX_GATHER, 0.95, 1_000.0) < MAX_GATHER);
    }
}
