//! What time it is, here and on the other nodes.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{info, warn};

use crate::NodeId;

/// The wall clock of a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Milliseconds by which it is wrong, for tests.
    shift: i64,
}

impl Clock {
    /// A clock that is ahead of the system's by so many milliseconds: a node whose clock is wrong.
    #[must_use]
    pub fn shifted(millis: i64) -> Self {
        Self { shift: millis }
    }

    /// Unix time in milliseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        millis.saturating_add_signed(self.shift)
    }
}

/// A node whose clock differs from ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockDifference {
    /// The node.
    pub node: NodeId,
    /// By how many milliseconds its clock is ahead of ours; negative where it is behind.
    pub millis: i64,
}

/// A difference above this is reported.
const TOLERATED: u64 = 1000;
/// So many times in a row it must be seen before it counts, and before it no longer does.
const SURE: u8 = 2;
/// Our own way through the directory, when it was not measured for so long, says nothing.
const FRESH: Duration = Duration::from_secs(30);

/// The clocks of the other nodes, compared with ours.
///
/// A node's record carries its clock at the moment of writing; it reaches us later, and the way
/// takes time, so a clock seems to be behind by as much as the record was on its way. A clock that
/// is ahead cannot be explained by that. For one that seems behind, the way is measured: our own
/// record takes it too, and tells by our own clock how long it takes at the moment. Only what
/// remains counts, and only if it is seen twice in a row: what is slow once is no clock.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    /// Our own record's last way, and when it arrived.
    way: Option<(u64, tokio::time::Instant)>,
    others: HashMap<NodeId, Observed>,
}

#[derive(Debug, Default)]
struct Observed {
    millis: i64,
    differs: bool,
    /// So many observations in a row say otherwise.
    doubts: u8,
}

impl Clocks {
    /// Our own record, which said `clock`, came back to us at `now`.
    pub(crate) fn own(&mut self, clock: u64, now: u64) {
        self.way = Some((now.saturating_sub(clock), tokio::time::Instant::now()));
    }

    /// A record of `node` that said `clock` reached us as it was written, at `now`. Returns whether
    /// that changes what is reported of it.
    pub(crate) fn other(&mut self, node: &NodeId, clock: u64, now: u64) -> bool {
        let way = match self.way {
            Some((way, at)) if at.elapsed() < FRESH => way,
            _ => 0,
        };
        let ahead = clock.saturating_sub(now);
        let behind = now.saturating_sub(clock).saturating_sub(way);
        let millis = match ahead {
            0 => i64::try_from(behind).map_or(i64::MIN, |millis| -millis),
            _ => i64::try_from(ahead).unwrap_or(i64::MAX),
        };
        if !self.others.contains_key(node) {
            self.others.insert(node.clone(), Observed::default());
        }
        let Some(observed) = self.others.get_mut(node) else {
            return false;
        };
        observed.millis = millis;
        if (millis.unsigned_abs() > TOLERATED) == observed.differs {
            observed.doubts = 0;
            return false;
        }
        observed.doubts += 1;
        if observed.doubts < SURE {
            return false;
        }
        (observed.doubts, observed.differs) = (0, !observed.differs);
        match observed.differs {
            true => {
                warn!(%node, millis, "the clock of a node differs from ours; is time synchronised?")
            }
            false => info!(%node, millis, "the clock of a node agrees with ours again"),
        }
        true
    }

    /// The node is gone. Returns whether its clock was reported.
    pub(crate) fn gone(&mut self, node: &NodeId) -> bool {
        self.others
            .remove(node)
            .is_some_and(|observed| observed.differs)
    }

    /// Those that differ.
    pub(crate) fn differences(&self) -> Vec<ClockDifference> {
        let differ = self.others.iter().filter(|(_, observed)| observed.differs);
        differ
            .map(|(node, observed)| ClockDifference {
                node: node.clone(),
                millis: observed.millis,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId::parse("b").expect("a name")
    }

    const NOW: u64 = 1_000_000;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_wrong_twice_is_reported_once() {
        for (clock, millis) in [(NOW + 1500, 1500), (NOW - 1500, -1500)] {
            let mut clocks = Clocks::default();
            assert!(!clocks.other(&node(), clock, NOW), "once may be chance");
            assert!(clocks.other(&node(), clock, NOW));
            assert!(!clocks.other(&node(), clock, NOW), "it is known");
            assert_eq!(
                clocks.differences(),
                [ClockDifference {
                    node: node(),
                    millis
                }]
            );
            assert!(!clocks.other(&node(), NOW, NOW));
            assert!(clocks.other(&node(), NOW, NOW), "it agrees again");
            assert_eq!(clocks.differences(), []);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_directory_is_no_wrong_clock() {
        let mut clocks = Clocks::default();
        clocks.own(NOW - 2000, NOW);
        for _ in 0..5 {
            assert!(!clocks.other(&node(), NOW - 2500, NOW));
        }
        // Ahead cannot be explained by the way.
        clocks.other(&node(), NOW + 1500, NOW);
        assert!(clocks.other(&node(), NOW + 1500, NOW));
        // Nor can a way that was measured long ago.
        let mut clocks = Clocks::default();
        clocks.own(NOW - 2000, NOW);
        tokio::time::advance(FRESH).await;
        clocks.other(&node(), NOW - 2500, NOW);
        assert!(clocks.other(&node(), NOW - 2500, NOW));
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_was_late_once_is_no_wrong_clock() {
        let mut clocks = Clocks::default();
        for _ in 0..5 {
            assert!(!clocks.other(&node(), NOW - 5000, NOW));
            assert!(!clocks.other(&node(), NOW - 10, NOW));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_left_is_forgotten() {
        let mut clocks = Clocks::default();
        clocks.other(&node(), NOW + 1500, NOW);
        clocks.other(&node(), NOW + 1500, NOW);
        assert!(clocks.gone(&node()));
        assert!(!clocks.gone(&node()));
        assert_eq!(clocks.differences(), []);
    }
}
