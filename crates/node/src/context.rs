//! What all parts of a node share: configuration, clock, pace, admission, headroom, metrics.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::admission::{Admission, Admitted, Over};
use crate::auth::Auth;
use crate::cluster::Leave;
use crate::config::{Config, Role};
use crate::headroom::{self, Headroom};
use crate::hls;
use crate::membership::Membership;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::publishers::Publishers;
use crate::stream::{Feuds, Numbers};

/// Shared by everything in a node, and never changed.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) rtmp: Arc<rtmp::Config>,
    pub(crate) clock: Clock,
    pub(crate) pace: Pace,
    pub(crate) auth: Auth,
    pub(crate) admission: Admission,
    pub(crate) headroom: Headroom,
    pub(crate) metrics: Metrics,
    pub(crate) membership: Membership,
    pub(crate) feuds: Feuds,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) leave: Leave,
    pub(crate) publishers: Arc<Publishers>,
    /// Shared with each answer to a node that takes a stream over. Until all are out this node is still needed.
    pub(crate) releasing: Arc<()>,
    /// The streams that are packaged here.
    pub(crate) hls: Arc<hls::Table>,
    /// How many processors may run at once.
    pub(crate) workers: usize,
}

impl Context {
    /// Of a node with that place in its cluster, on the runtime at hand.
    pub(crate) fn new(config: Config, membership: Membership) -> Context {
        let limits = &config.limits;
        let workers = tokio::runtime::Handle::current().metrics().num_workers();
        let admission = Admission::new(limits.connections, limits.connections_per_address);
        let metrics = Metrics::new();
        let may_use = headroom::Limits::of(limits);
        Context {
            headroom: Headroom::new(may_use, workers, admission.clone(), metrics.sent()),
            rtmp: Arc::new(config.session()),
            clock: Clock::start(),
            pace: Pace::new(config.egress.coalesce, workers),
            auth: Auth::new(&config.auth),
            admission,
            metrics,
            membership,
            feuds: Feuds::default(),
            numbers: Arc::default(),
            leave: Leave::default(),
            publishers: Arc::default(),
            releasing: Arc::default(),
            hls: Arc::default(),
            workers,
            config,
        }
    }
}

impl Context {
    /// Whether somebody at that address may connect.
    pub(crate) fn admit(&self, address: IpAddr) -> Admitted {
        match self.headroom.refuses_connections() {
            None => self.admission.admit(address),
            Some(full) => self.admission.refuse(Over::Node(full.to_string())),
        }
    }

    /// The share of the node that is in use.
    pub(crate) fn load(&self) -> f64 {
        self.headroom.load()
    }

    /// Whether more people may be sent here, or why not. An origin is there for encoders, which are let in for as
    /// long as anybody is.
    pub(crate) fn has_room(&self) -> Result<(), String> {
        match self.config.node.role {
            Role::Origin => match self.headroom.refuses_connections() {
                None => Ok(()),
                Some(full) => Err(format!("{}; new connections are refused", full.what)),
            },
            Role::All | Role::Edge => self.headroom.ready(),
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

    /// Milliseconds since 1970.
    pub(crate) fn unix_millis(&self) -> u64 {
        u64::try_from(self.now() / 1_000_000).unwrap_or(0)
    }

    /// How long ago `then` was.
    pub(crate) fn since(&self, then: i64) -> Duration {
        Duration::from_nanos(self.now().saturating_sub(then).max(0).unsigned_abs())
    }
}

#[cfg(test)]
impl Clock {
    /// As after the machine's was set back by so much.
    pub(crate) fn ahead(by: Duration) -> Clock {
        let now = Clock::start();
        let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        Clock {
            unix: now.unix.saturating_add(by),
            ..now
        }
    }
}

#[cfg(test)]
impl Context {
    /// Of a node alone.
    pub(crate) fn alone(config: Config) -> Context {
        let id = directory::NodeId::parse("alone").expect("a name");
        let membership = Membership::new(&config, id, None).expect("nothing that could fail");
        Context::new(config, membership)
    }
}
