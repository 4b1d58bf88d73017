//! What there is none left of, in words for people.

use std::fmt;
use std::time::Duration;

use super::look::Descriptors;
use super::memory::{Bound, Memory};

/// Whoever is refused may try again after this at the earliest, and at the latest: all at once, they
/// would meet again.
const SOONEST: u64 = 2;
const LATEST: u64 = 8;

/// What a node can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Processors,
    Egress,
    Descriptors,
    Memory,
}

impl Resource {
    pub(crate) const ALL: [Resource; 4] = [
        Resource::Processors,
        Resource::Egress,
        Resource::Descriptors,
        Resource::Memory,
    ];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Resource::Processors => "cpu",
            Resource::Egress => "egress",
            Resource::Descriptors => "descriptors",
            Resource::Memory => "memory",
        }
    }
}

/// Why somebody is turned away. Prints as the sentence that they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) resource: Resource,
    /// The figure, and the setting that it is measured against.
    pub(crate) what: String,
    /// When to try again: whole seconds, another number for each.
    pub(crate) retry_after: Duration,
}

impl Full {
    pub(super) fn new(resource: Resource, what: String) -> Full {
        let mut random = [0];
        // Without randomness all come back at once, to be told again.
        let drawn = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
        let [random] = if drawn.is_ok() { random } else { [0] };
        Full {
            resource,
            what,
            retry_after: pause(random),
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this node is full: {}; try another node, or this one again in {} s",
            self.what,
            self.retry_after.as_secs()
        )
    }
}

fn pause(random: u8) -> Duration {
    Duration::from_secs(SOONEST + u64::from(random) % (LATEST - SOONEST + 1))
}

pub(super) fn processors(share: f64) -> String {
    let percent = share * 100.0;
    format!("{percent:.0} % of its processors are in use (limits.headroom)")
}

pub(super) fn egress(share: f64, limit: u64) -> String {
    let (sent, limit) = (bytes(share * limit as f64), bytes(limit as f64));
    format!("it sends {sent} of the {limit} a second that it may (limits.egress)")
}

pub(super) fn descriptors(descriptors: Descriptors, connections: usize) -> String {
    let (open, most) = (descriptors.open(connections), descriptors.most);
    format!("it has {open} of at most {most} files and connections open (ulimit -n)")
}

pub(super) fn memory(memory: Memory) -> String {
    let (used, limit) = (bytes(memory.used as f64), bytes(memory.limit as f64));
    let whose = match memory.bound {
        Bound::Configured => "that it may",
        Bound::Group => "that its control group may",
        Bound::Machine => "that the machine has for it",
    };
    format!("it uses {used} of the {limit} of memory {whose} (limits.memory)")
}

/// `11.8 MB`.
fn bytes(count: f64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match units.into_iter().find(|(_, scale)| count >= *scale) {
        Some((unit, scale)) => format!("{:.1} {unit}", count / scale),
        None => format!("{count:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_refused_come_back_after_two_to_eight_seconds_and_not_at_once() {
        let mut pauses: Vec<u64> = (0..=u8::MAX)
            .map(|random| pause(random).as_secs())
            .collect();
        pauses.sort_unstable();
        pauses.dedup();
        assert_eq!(pauses, [2, 3, 4, 5, 6, 7, 8]);
        let drawn = || Full::new(Resource::Egress, String::new()).retry_after;
        let first = drawn();
        assert!((0..200).any(|_| drawn() != first), "always {first:?}");
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [0.0, 999.0, 1000.0, 12_345_678.0, 3e9].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "12.3 MB", "3.0 GB"]);
    }
}
