//! What the system says of this process.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::Limits;
use super::cgroup::Groups;
use super::level::READY_AGAIN;
use super::memory::{self, Memory};
use super::trim::Trimmer;
use crate::pace::processor_time;

/// What changes by an operator's hand only is asked again after this.
const SELDOM: Duration = Duration::from_secs(30);
/// Descriptors are counted one by one no more often.
const COUNTED: Duration = Duration::from_secs(10);
/// Descriptors that are kept for files, etcd, the relay and HTTP; of a low limit, a quarter.
const RESERVE: u64 = 256;

/// One look.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) at: Instant,
    /// How long our threads have run.
    pub(super) ran: Duration,
    /// How long they could have run, and something else did.
    pub(super) waited: Duration,
    /// How many processors we may use.
    pub(super) processors: f64,
    /// Bytes sent since the start.
    pub(super) sent: u64,
    pub(super) descriptors: Descriptors,
    pub(super) memory: Memory,
}

impl Look {
    /// The share of the processors that was used since `last`, of the time that we could have had. When
    /// others want them too, that is less than all.
    pub(super) fn processors_since(&self, last: &Look) -> f64 {
        let passed = self.at.saturating_duration_since(last.at).as_secs_f64();
        let ran = self.ran.saturating_sub(last.ran).as_secs_f64();
        let waited = self.waited.saturating_sub(last.waited).as_secs_f64();
        let ours = (self.processors * passed - waited).max(ran);
        if ours > 0.0 { ran / ours } else { 0.0 }
    }
}

/// The descriptors of this process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Descriptors {
    /// Those that are no connection's.
    pub(super) others: u64,
    /// How many may be open; `u64::MAX` is no limit.
    pub(super) most: u64,
}

impl Descriptors {
    pub(super) fn open(&self, connections: usize) -> u64 {
        self.others.saturating_add(connections as u64)
    }

    /// The used share of what is left beside the reserve, so more than 1 within that.
    pub(super) fn share(&self, connections: usize) -> f64 {
        let room = self.most - RESERVE.min(self.most / 4);
        if room == 0 {
            return 0.0;
        }
        self.open(connections) as f64 / room as f64
    }
}

/// Looks, and keeps what need not be asked each time.
pub(super) struct Machine {
    workers: usize,
    limits: Limits,
    groups: Groups,
    processors: f64,
    asked: Option<Instant>,
    counted: Option<Counted>,
    trimmer: Trimmer,
}

struct Counted {
    at: Instant,
    others: u64,
}

impl Machine {
    /// Where so many threads work.
    pub(super) fn new(workers: usize, limits: Limits) -> Machine {
        Machine {
            workers,
            limits,
            groups: Groups::default(),
            processors: 1.0,
            asked: None,
            counted: None,
            trimmer: Trimmer::default(),
        }
    }

    /// Looks at a process that has so many connections and has sent so many bytes.
    pub(super) fn look(&mut self, connections: usize, sent: u64) -> Look {
        let at = Instant::now();
        if self.asked.is_none_or(|asked| at - asked >= SELDOM) {
            self.asked = Some(at);
            self.groups = Groups::find(read);
            self.processors = processors(self.workers, self.groups.quota(read));
        }
        Look {
            at,
            ran: processor_time(),
            waited: waited(),
            processors: self.processors,
            sent,
            descriptors: Descriptors {
                others: self.others(at, connections),
                most: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            },
            memory: self.memory(at),
        }
    }

    fn memory(&mut self, at: Instant) -> Memory {
        let measure = || memory::fullest(self.limits.memory, &self.groups, read);
        let memory = measure();
        // Before anybody is sent elsewhere for what is not even used.
        if memory.share() >= self.limits.full * READY_AGAIN {
            self.trimmer.trim(at, memory, measure)
        } else {
            memory
        }
    }

    fn others(&mut self, at: Instant, connections: usize) -> u64 {
        const OPEN: &str = "/proc/self/fd";
        let others = |open: u64| open.saturating_sub(connections as u64);
        // Linux 6.2 and later say how many there are, as the size of the folder.
        let open = std::fs::metadata(OPEN).map_or(0, |folder| folder.len());
        if open > 0 {
            return others(open);
        }
        match &self.counted {
            Some(counted) if at - counted.at < COUNTED => counted.others,
            _ => {
                let open = std::fs::read_dir(OPEN).map_or(0, Iterator::count);
                let others = others(open as u64);
                self.counted = Some(Counted { at, others });
                others
            }
        }
    }
}

/// How many processors so many threads can use at once, of those that affinity and the quota leave.
fn processors(workers: usize, quota: Option<f64>) -> f64 {
    let allowed = std::thread::available_parallelism().map_or(workers, usize::from);
    let whole = workers.min(allowed).max(1) as f64;
    quota.map_or(whole, |quota| whole.min(quota))
}

/// How long our threads were ready to run and did not. A thread that ended takes its time along: then
/// this steps back.
fn waited() -> Duration {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Duration::ZERO;
    };
    let waits = threads.filter_map(|thread| {
        let text = read(&thread.ok()?.path().join("schedstat"))?;
        waited_of(&text)
    });
    Duration::from_nanos(waits.sum())
}

/// The second number of a thread's `schedstat`.
fn waited_of(text: &str) -> Option<u64> {
    text.split_whitespace().nth(1)?.parse().ok()
}

fn read(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_reserve_of_descriptors_even_of_few() {
        let descriptors = |most| Descriptors { others: 20, most };
        assert_eq!(descriptors(64).share(28), 1.0);
        assert_eq!(descriptors(1256).share(480), 0.5);
        assert!(descriptors(u64::MAX).share(1_000_000) < 1e-9);
        // Nobody has looked yet.
        assert_eq!(Descriptors::default().share(7), 0.0);
    }

    #[test]
    fn a_quota_of_less_than_a_processor_counts() {
        assert_eq!(processors(1, Some(0.5)), 0.5);
        assert_eq!(processors(1, Some(8.0)), 1.0);
        assert_eq!(processors(0, None), 1.0);
    }

    #[test]
    fn sees_this_process() {
        let limits = Limits {
            egress: 0,
            memory: 0,
            full: 0.95,
        };
        let mut machine = Machine::new(1, limits);
        let before = machine.look(0, 0);
        let files: Vec<_> = (0..10)
            .map(|_| std::fs::File::open("/proc/self/stat").expect("a file"))
            .collect();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(50) {
            std::hint::black_box(0);
        }
        machine.counted = None;
        let after = machine.look(0, 0);
        drop(files);
        assert!(after.ran > before.ran);
        assert!(after.processors_since(&before) > 0.0);
        assert!(after.descriptors.others >= 10, "{:?}", after.descriptors);
        assert!(after.memory.used > 0 && after.memory.limit > after.memory.used);
    }

    #[test]
    fn reads_how_long_a_thread_waited() {
        assert_eq!(waited_of("123456 789 42\n"), Some(789));
        assert_eq!(waited_of(""), None);
    }
}
