//! What a member and its driver share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::link::{Link, Open};
use crate::metrics::Metrics;
use crate::record::Lease;
use crate::state::State;
use crate::store::{Fault, Session};
use crate::{Change, Clock, NodeId, PATIENCE};

/// What a member can be told beside where its directory is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a node's claims outlive it.
    pub lease_ttl: Duration,
    /// The node's clock.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(5),
            clock: Clock::default(),
        }
    }
}

/// What a member and its driver share.
pub(crate) struct Shared {
    pub(crate) node: NodeId,
    pub(crate) options: Options,
    /// Leases run out in this store, and must be renewed.
    pub(crate) leases_expire: bool,
    state: Mutex<State>,
    pub(crate) link: watch::Sender<Link>,
    up: AtomicBool,
    /// The lease of this generation is said to be gone. 0: of none.
    doubted: AtomicU64,
    /// This node is leaving: it takes no lease any more.
    leaving: AtomicBool,
    /// The revision up to which the watch has told us everything.
    pub(crate) progress: watch::Sender<i64>,
    /// The driver has something to do.
    pub(crate) wake: Notify,
    pub(crate) metrics: Arc<Metrics>,
}

impl Shared {
    pub(crate) fn new(node: NodeId, options: Options, leases_expire: bool) -> Arc<Self> {
        let metrics = Arc::new(Metrics::new());
        metrics.up(false);
        metrics.claims(0);
        // Others may need as long as their leases to come back after an outage.
        let settling = options.lease_ttl + Duration::from_secs(1);
        let state = State::new(node.clone(), options.clock, settling, metrics.clone());
        Arc::new(Self {
            node,
            options,
            leases_expire,
            state: Mutex::new(state),
            link: watch::Sender::new(Link::Connecting),
            up: AtomicBool::new(false),
            doubted: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            progress: watch::Sender::new(0),
            wake: Notify::new(),
            metrics,
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // What panics while it is locked has left it as it was, or a test has failed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    pub(crate) fn was_up(&self) -> bool {
        self.state().generation > 0
    }

    /// The directory answered.
    pub(crate) fn contact(&self) {
        // Each node renews its lease three times in its life: after half of it without an answer to
        // us, the others may not have had theirs either.
        let silence = self.leases_expire.then_some(self.options.lease_ttl / 2);
        self.state().contact(silence);
    }

    /// The lease that this session writes under is said to be gone.
    pub(crate) fn doubt_lease(&self, generation: u64) {
        // Who asked before the last lease says nothing of that.
        self.doubted.fetch_max(generation, Ordering::AcqRel);
        self.wake.notify_one();
    }

    pub(crate) fn is_doubted(&self, generation: u64) -> bool {
        self.doubted.load(Ordering::Acquire) == generation
    }

    /// From here on this session is used, with this lease.
    pub(crate) fn opened(&self, session: Arc<dyn Session>, lease: Lease) -> u64 {
        // Locked to the end, so that a node that left is not up again.
        let mut state = self.state();
        state.generation += 1;
        let generation = state.generation;
        if state.lease != lease {
            state.lease_changed(lease);
        }
        if state.is_closed() {
            return generation;
        }
        let place = session.place().to_owned();
        self.link.send_replace(Link::Open(Open {
            session,
            lease,
            generation,
        }));
        if !self.up.swap(true, Ordering::AcqRel) {
            tracing::info!(%place, "the directory is reached");
            self.metrics.up(true);
            state.tell([Change::Up(true)]);
        }
        generation
    }

    /// This node is about to leave: what its lease takes with it is not claimed again.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// This node left.
    pub(crate) fn left(&self) {
        let mut state = self.state();
        self.link.send_replace(Link::Down);
        self.up.store(false, Ordering::Release);
        self.metrics.up(false);
        state.close();
    }

    /// No member of the directory can be reached.
    pub(crate) fn unreachable(&self, fault: &Fault) {
        // Where its members choose another leader, they will be back in a moment.
        let silence = self.state().last_contact().elapsed();
        if self.leases_expire && self.is_up() && silence < PATIENCE {
            return;
        }
        let was_down = matches!(self.link.send_replace(Link::Down), Link::Down);
        if !was_down {
            tracing::warn!(error = %fault, "the directory is out of reach; what was last known of it goes on");
        }
        if self.up.swap(false, Ordering::AcqRel) {
            self.metrics.up(false);
            self.state().tell([Change::Up(false)]);
        }
    }
}
