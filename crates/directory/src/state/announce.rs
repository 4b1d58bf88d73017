//! When a node says something about itself.

use std::time::Duration;

use tokio::time::Instant;

use crate::NodeRecord;
use crate::record::Lease;

/// News are told so long after the last.
const NEWS: Duration = Duration::from_millis(200);
/// That the load is another, so long after the last.
const LOAD: Duration = Duration::from_secs(2);
/// By less than this it has not changed.
const LOAD_STEP: f64 = 0.05;
/// That time goes by, so long after the last: others compare their clocks with ours.
const REFRESH: Duration = Duration::from_secs(10);
/// What failed is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

/// What this node says about itself, and what it last said.
#[derive(Debug, Default)]
pub(crate) struct Announcing {
    record: Option<NodeRecord>,
    said: Option<Said>,
    failed: Option<Instant>,
}

#[derive(Debug)]
struct Said {
    record: NodeRecord,
    lease: Lease,
    at: Instant,
}

impl Announcing {
    pub(crate) fn set(&mut self, record: NodeRecord) {
        self.record = Some(record);
    }

    /// When the next is due, under this lease.
    pub(crate) fn due(&self, lease: Lease, refreshed: bool) -> Option<Instant> {
        let record = self.record.as_ref()?;
        let now = Instant::now();
        let due = match self.said.as_ref().filter(|said| said.lease == lease) {
            None => now,
            Some(said) => {
                let like_said = NodeRecord {
                    load: said.record.load,
                    clock: said.record.clock,
                    ..record.clone()
                };
                let load = (record.load - said.record.load).abs();
                said.at
                    + match () {
                        () if like_said != said.record => NEWS,
                        () if load >= LOAD_STEP => LOAD,
                        () if refreshed => REFRESH,
                        () => return None,
                    }
            }
        };
        Some(self.failed.map_or(due, |failed| due.max(failed + RETRY)))
    }

    /// What to say now.
    pub(crate) fn next(&self, clock: u64) -> Option<NodeRecord> {
        let mut record = self.record.clone()?;
        record.clock = clock;
        Some(record)
    }

    pub(crate) fn said(&mut self, record: NodeRecord, lease: Lease) {
        self.said = Some(Said {
            record,
            lease,
            at: Instant::now(),
        });
        self.failed = None;
    }

    pub(crate) fn failed(&mut self) {
        self.failed = Some(Instant::now());
    }

    /// When the process started that says it.
    pub(crate) fn started(&self) -> Option<u64> {
        self.record.as_ref().map(|record| record.started)
    }

    /// This is there. If that is not what was said last, it is said again: the directory may have
    /// been restored from a snapshot.
    pub(crate) fn found(&mut self, there: Option<&NodeRecord>) {
        if self.said.as_ref().map(|said| &said.record) != there {
            self.said = None;
        }
    }

    /// It is not there any more. Returns whether it will be again.
    pub(crate) fn lost(&mut self) -> bool {
        self.said = None;
        self.record.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeId, Role};

    const LEASE: Lease = Lease(1);

    fn said(record: &NodeRecord) -> Announcing {
        let mut announcing = Announcing::default();
        announcing.set(record.clone());
        announcing.said(record.clone(), LEASE);
        announcing
    }

    #[tokio::test(start_paused = true)]
    async fn news_come_soon_load_later_and_time_last() {
        let record = NodeRecord::new(NodeId::parse("a").expect("a name"), Role::All);
        let now = Instant::now();
        let mut announcing = Announcing::default();
        assert_eq!(announcing.due(LEASE, true), None);
        announcing.set(record.clone());
        assert_eq!(announcing.due(LEASE, true), Some(now));

        let mut announcing = said(&record);
        assert_eq!(announcing.due(LEASE, true), Some(now + REFRESH));
        assert_eq!(announcing.due(LEASE, false), None);
        assert_eq!(announcing.due(Lease(2), false), Some(now), "another lease");
        announcing.set(NodeRecord {
            load: 0.01,
            ..record.clone()
        });
        assert_eq!(announcing.due(LEASE, true), Some(now + REFRESH));
        announcing.set(NodeRecord {
            load: 0.5,
            ..record.clone()
        });
        assert_eq!(announcing.due(LEASE, true), Some(now + LOAD));
        announcing.set(NodeRecord {
            draining: true,
            ..record.clone()
        });
        assert_eq!(announcing.due(LEASE, true), Some(now + NEWS));
        announcing.failed();
        assert_eq!(announcing.due(LEASE, true), Some(now + RETRY));
        announcing.lost();
        assert_eq!(announcing.due(LEASE, true), Some(now + RETRY));
    }
}
