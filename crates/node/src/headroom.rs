//! How full the node is, and who is turned away for it.
//!
//! Four things run out: processors, bytes to send in a second, file descriptors and memory. Each second
//! the used share of each is looked at. Near its threshold the node says that it is not ready, so that
//! balancers send people elsewhere; from the threshold on it refuses new viewers; and at the very end,
//! in the reserve that files, etcd and the relay need, whoever connects. Those who are there stay.

mod cgroup;
mod full;
mod level;
mod look;
mod memory;
#[cfg(test)]
mod tests;
mod trim;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::admission::Admission;
use crate::config::LimitsConfig;
use crate::metrics::Metrics;
pub(crate) use full::{Full, Resource};
use level::Level;
use look::{Look, Machine};

/// How often is looked.
const INTERVAL: Duration = Duration::from_secs(1);
/// A look that follows sooner, as it does where a test moves the clock, has nothing to say.
const SHORTEST: Duration = Duration::from_millis(200);
/// From this share of its memory on, a node takes no new connections.
const NO_MEMORY: f64 = 0.98;

/// What a node may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// Bytes sent in a second; 0 is no limit.
    pub(crate) egress: u64,
    /// Bytes of memory; 0 is what its control group and the machine have.
    pub(crate) memory: u64,
    /// The share from which on new viewers are refused; 1 never refuses any for want of processors.
    pub(crate) full: f64,
}

impl Limits {
    /// Those that are configured.
    pub(crate) fn of(config: &LimitsConfig) -> Limits {
        Limits {
            egress: config.egress,
            memory: config.memory,
            full: config.headroom,
        }
    }
}

/// What of the node is used.
pub(crate) struct Headroom {
    limits: Limits,
    workers: usize,
    admission: Admission,
    sent: Arc<AtomicU64>,
    state: Mutex<State>,
}

/// What the last look has shown.
#[derive(Default)]
struct State {
    last: Option<Look>,
    processors: Level,
    egress: Level,
    descriptors: Level,
    memory: Level,
}

impl Headroom {
    /// Of a node on so many workers, whose connections `admission` counts and whose bytes `sent`.
    pub(crate) fn new(
        limits: Limits,
        workers: usize,
        admission: Admission,
        sent: Arc<AtomicU64>,
    ) -> Headroom {
        Headroom {
            limits,
            workers,
            admission,
            sent,
            state: Mutex::default(),
        }
    }

    /// The used share of what is used most, 0 to 1.
    pub(crate) fn load(&self) -> f64 {
        let state = self.state();
        let shares = Resource::ALL.map(|resource| self.level(&state, resource).share());
        shares.into_iter().fold(0.0, f64::max).min(1.0)
    }

    /// The free share of what is used most.
    pub(crate) fn free(&self) -> f64 {
        1.0 - self.load()
    }

    /// Whether a new viewer has to go elsewhere, and why.
    pub(crate) fn refuses_viewers(&self) -> Option<Full> {
        self.fullest(|_, level| level.is_full())
    }

    /// Whether whoever connects has to, publishers included.
    pub(crate) fn refuses_connections(&self) -> Option<Full> {
        self.fullest(|resource, level| match resource {
            Resource::Descriptors => level.share() >= 1.0,
            Resource::Memory => level.share() >= NO_MEMORY,
            Resource::Processors | Resource::Egress => false,
        })
    }

    /// Whether more people may be sent here: no longer, before the first has to be refused.
    pub(crate) fn ready(&self) -> Result<(), String> {
        match self.fullest(|_, level| level.is_nearly_full()) {
            None => Ok(()),
            Some(full) => Err(format!(
                "{}; new viewers are refused from {:.0} % on (limits.headroom)",
                full.what,
                self.limits.full * 100.0
            )),
        }
    }

    /// Looks each second, for as long as the node lives.
    pub(crate) async fn follow(&self, metrics: &Metrics) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut machine = Machine::new(self.workers, self.limits);
        let mut refuses = false;
        loop {
            ticks.tick().await;
            if self.state().has_looked_within(SHORTEST) {
                continue;
            }
            let (connections, sent) = (self.admission.connections(), &self.sent);
            let sent = sent.load(Ordering::Relaxed);
            // Apart, since to count descriptors takes some systems a while.
            let looking = tokio::task::spawn_blocking(move || {
                let look = machine.look(connections, sent);
                (machine, look)
            });
            let Ok((same, look)) = looking.await else {
                return warn!("the load of this node is no longer followed");
            };
            machine = same;
            self.note(look);
            metrics.headroom(self.free());
            let full = self.refuses_viewers();
            match &full {
                Some(full) if !refuses => warn!(why = full.what, "new viewers are refused"),
                None if refuses => info!("new viewers are welcome again"),
                _ => {}
            }
            refuses = full.is_some();
        }
    }

    /// Takes in what a look has shown.
    fn note(&self, look: Look) {
        let mut state = self.state();
        if let Some(last) = &state.last {
            let passed = look.at.saturating_duration_since(last.at);
            if passed.is_zero() {
                return;
            }
            let sent = look.sent.saturating_sub(last.sent) as f64;
            let egress = match self.limits.egress {
                0 => 0.0,
                limit => sent / passed.as_secs_f64() / limit as f64,
            };
            let processors = look.processors_since(last);
            let full = |resource| self.full_from(resource);
            state
                .processors
                .smooth(processors, passed, full(Resource::Processors));
            state.egress.smooth(egress, passed, full(Resource::Egress));
        }
        let memory = look.memory.share();
        state.memory.set(memory, self.full_from(Resource::Memory));
        let descriptors = look.descriptors.share(self.admission.connections());
        let full = self.full_from(Resource::Descriptors);
        state.descriptors.set(descriptors, full);
        state.last = Some(look);
    }

    /// The fullest of the resources that are meant.
    fn fullest(&self, meant: impl Fn(Resource, &Level) -> bool) -> Option<Full> {
        let state = self.state();
        let levels = Resource::ALL.map(|resource| (resource, self.level(&state, resource)));
        let (resource, level) = levels
            .into_iter()
            .filter(|(resource, level)| meant(*resource, level))
            .max_by(|(_, one), (_, other)| one.share().total_cmp(&other.share()))?;
        Some(Full::new(resource, self.figure(&state, resource, level)))
    }

    /// How full a resource is at this moment.
    fn level(&self, state: &State, resource: Resource) -> Level {
        match resource {
            Resource::Processors => state.processors,
            Resource::Egress => state.egress,
            Resource::Memory => state.memory,
            Resource::Descriptors => {
                let mut level = state.descriptors;
                // Connections can come by the thousand between two looks.
                if let Some(look) = &state.last {
                    let share = look.descriptors.share(self.admission.connections());
                    level.set(share, self.full_from(resource));
                }
                level
            }
        }
    }

    /// The share from which on new viewers are refused.
    fn full_from(&self, resource: Resource) -> f64 {
        match resource {
            Resource::Processors if self.limits.full >= 1.0 => f64::INFINITY,
            _ => self.limits.full,
        }
    }

    /// How full a resource is, as a person is told.
    fn figure(&self, state: &State, resource: Resource, level: Level) -> String {
        let looked = state.last.as_ref();
        match resource {
            Resource::Processors => full::processors(level.share()),
            Resource::Egress => full::egress(level.share(), self.limits.egress),
            Resource::Descriptors => {
                let descriptors = looked.map(|look| look.descriptors).unwrap_or_default();
                full::descriptors(descriptors, self.admission.connections())
            }
            Resource::Memory => full::memory(looked.map(|look| look.memory).unwrap_or_default()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_looked_within(&self, time: Duration) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|look| look.at.elapsed() < time)
    }
}
