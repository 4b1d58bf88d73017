//! What all parts of a node share: configuration, clock, pace, admission, metrics.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::admission::Admission;
use crate::auth::Auth;
use crate::cluster::Leave;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::pace::Pace;

/// Shared by everything in a node, and never changed.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) rtmp: Arc<rtmp::Config>,
    pub(crate) clock: Clock,
    pub(crate) pace: Pace,
    pub(crate) auth: Auth,
    pub(crate) admission: Admission,
    pub(crate) metrics: Metrics,
    pub(crate) leave: Leave,
    /// How many processors may run at once.
    pub(crate) workers: usize,
    /// The node in an epoch: orders publishes that two nodes begin in the same millisecond.
    pub(crate) node_number: u64,
}

impl Context {
    /// Of a node with that number, on the runtime at hand.
    pub(crate) fn new(config: Config, node_number: u64) -> Context {
        let limits = &config.limits;
        let workers = tokio::runtime::Handle::current().metrics().num_workers();
        Context {
            rtmp: Arc::new(config.session()),
            clock: Clock::start(),
            pace: Pace::new(config.egress.coalesce, workers),
            auth: Auth::new(&config.auth),
            admission: Admission::new(limits.connections, limits.connections_per_address),
            metrics: Metrics::new(),
            leave: Leave::default(),
            workers,
            node_number,
            config,
        }
    }
}

/// Wall-clock nanoseconds that never step back: ages are differences of them.
pub(crate) struct Clock {
    start: Instant,
    unix: i64,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            start: Instant::now(),
            unix: i64::try_from(unix.as_nanos()).unwrap_or(i64::MAX),
        }
    }

    /// Nanoseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.unix
            .saturating_add(i64::try_from(self.start.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }

    /// How long ago `then` was.
    pub(crate) fn since(&self, then: i64) -> Duration {
        Duration::from_nanos(self.now().saturating_sub(then).max(0).unsigned_abs())
    }
}
