//! Keys, values, revisions, leases and what happened lately.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use crate::record::Lease;
use crate::store::{Event, Fault, Item, Listing, Outcome, Put, When, Write};

/// So much of what happened is remembered for those who watch.
const HISTORY: usize = 4096;

/// All of it. A clone is a snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    items: BTreeMap<String, Item>,
    /// When each lease runs out; never, if it is a node's.
    leases: BTreeMap<i64, Option<Instant>>,
    last_lease: i64,
    revision: i64,
    history: VecDeque<Event>,
    /// What happened up to here is forgotten.
    compacted: i64,
}

impl Data {
    pub(crate) fn grant(&mut self, until: Option<Instant>) -> Lease {
        self.last_lease += 1;
        self.leases.insert(self.last_lease, until);
        Lease(self.last_lease)
    }

    pub(crate) fn last_lease(&self) -> i64 {
        self.last_lease
    }

    /// Leases from here on come after `lease`.
    pub(crate) fn grant_after(&mut self, lease: i64) {
        self.last_lease = self.last_lease.max(lease);
    }

    pub(crate) fn has(&self, lease: Lease) -> bool {
        self.leases.contains_key(&lease.0)
    }

    pub(crate) fn revoke(&mut self, lease: Lease) {
        self.leases.remove(&lease.0);
        let under = self.items.values().filter(|item| item.lease == lease);
        let keys: Vec<_> = under.map(|item| item.key.clone()).collect();
        for key in keys {
            self.remove(key);
        }
    }

    pub(crate) fn list(&mut self) -> Listing {
        self.expire();
        Listing {
            items: self.items.values().cloned().collect(),
            revision: self.revision,
        }
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<Item> {
        self.expire();
        self.items.get(key).cloned()
    }

    pub(crate) fn write(&mut self, write: Write) -> Result<Outcome, Fault> {
        self.expire();
        let Write { key, when, change } = write;
        let there = self.items.get(&key);
        let as_expected = match when {
            When::Always => true,
            When::Absent => there.is_none(),
            When::At(revision) => there.is_some_and(|item| item.revision == revision),
        };
        if !as_expected {
            return Ok(Outcome::Differs(there.cloned()));
        }
        match change {
            Put::Value { lease, .. } if lease != Lease::NONE && !self.has(lease) => {
                return Err(Fault::NoLease);
            }
            Put::Value { value, lease } => {
                self.revision += 1;
                let item = Item {
                    key: key.clone(),
                    value,
                    revision: self.revision,
                    lease,
                };
                self.items.insert(key, item.clone());
                self.happened(Event::Put(item));
            }
            Put::Nothing => self.remove(key),
        }
        Ok(Outcome::Done(self.revision))
    }

    /// What happened after `revision`.
    pub(crate) fn since(&mut self, revision: i64) -> Result<Vec<Event>, Fault> {
        self.expire();
        if revision < self.compacted {
            return Err(Fault::Compacted);
        }
        let from = self
            .history
            .partition_point(|event| event.revision() <= revision);
        Ok(self.history.range(from..).cloned().collect())
    }

    pub(crate) fn compact(&mut self) {
        self.compacted = self.revision;
        self.history.clear();
    }

    /// When the next lease runs out by itself.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.leases.values().copied().flatten().min()
    }

    fn expire(&mut self) {
        if self.next_expiry().is_none() {
            return;
        }
        let now = Instant::now();
        let due = self
            .leases
            .iter()
            .filter(|(_, until)| until.is_some_and(|at| at <= now));
        let due: Vec<_> = due.map(|(id, _)| Lease(*id)).collect();
        for lease in due {
            self.revoke(lease);
        }
    }

    fn remove(&mut self, key: String) {
        if self.items.remove(&key).is_some() {
            self.revision += 1;
            self.happened(Event::Gone {
                key,
                revision: self.revision,
            });
        }
    }

    fn happened(&mut self, event: Event) {
        self.history.push_back(event);
        if self.history.len() > HISTORY
            && let Some(forgotten) = self.history.pop_front()
        {
            self.compacted = forgotten.revision();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(data: &mut Data, key: &str, when: When, lease: Lease) -> Result<Outcome, Fault> {
        let change = Put::Value {
            value: b"v".to_vec(),
            lease,
        };
        data.write(Write {
            key: key.to_owned(),
            when,
            change,
        })
    }

    #[test]
    fn writes_only_where_it_finds_what_is_expected() {
        let mut data = Data::default();
        let done = put(&mut data, "k", When::Absent, Lease::NONE);
        assert_eq!(done, Ok(Outcome::Done(1)));
        let there = data.get("k");
        assert_eq!(
            put(&mut data, "k", When::Absent, Lease::NONE),
            Ok(Outcome::Differs(there.clone()))
        );
        assert_eq!(
            put(&mut data, "k", When::At(2), Lease::NONE),
            Ok(Outcome::Differs(there))
        );
        assert_eq!(
            put(&mut data, "k", When::At(1), Lease::NONE),
            Ok(Outcome::Done(2))
        );
        let gone = Write {
            key: "k".to_owned(),
            when: When::At(2),
            change: Put::Nothing,
        };
        assert_eq!(data.write(gone.clone()), Ok(Outcome::Done(3)));
        assert_eq!(data.write(gone), Ok(Outcome::Differs(None)));
    }

    #[test]
    fn what_is_under_a_lease_goes_with_it() {
        let mut data = Data::default();
        let lease = data.grant(None);
        put(&mut data, "k", When::Always, lease).expect("a lease");
        data.revoke(lease);
        assert_eq!(data.get("k"), None);
        assert_eq!(
            put(&mut data, "k", When::Always, lease),
            Err(Fault::NoLease)
        );
        let events = data.since(0).expect("history");
        assert!(matches!(
            events.as_slice(),
            [Event::Put(_), Event::Gone { revision: 2, .. }]
        ));
    }

    #[test]
    fn history_is_bounded() {
        let mut data = Data::default();
        for _ in 0..HISTORY + 10 {
            put(&mut data, "k", When::Always, Lease::NONE).expect("no lease");
        }
        assert_eq!(data.since(9), Err(Fault::Compacted));
        assert_eq!(data.since(10).map(|events| events.len()), Ok(HISTORY));
    }
}
