//! What this node claims: what it wants the directory to say, and what it last saw there.

use std::collections::HashMap;
use std::sync::Arc;

use media::StreamKey;

use crate::record::{Held, Lease};
use crate::store::{Put, When, Write};
use crate::{NodeId, Revision, StreamRecord, path, wire};

/// All claims of a node, by key.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    own: HashMap<StreamKey, Own>,
    last_id: u64,
}

/// One key that this node has something to do with.
#[derive(Debug)]
pub(crate) struct Own {
    /// Tells it from earlier claims of the same key.
    pub(crate) id: u64,
    /// What the directory should say. None: nothing.
    pub(crate) wanted: Option<Arc<StreamRecord>>,
    /// It is not ours yet.
    pub(crate) asking: Option<Asking>,
    /// What was last seen there. None: nothing, or nothing is known.
    pub(crate) seen: Option<Arc<Held>>,
    /// Held by whoever writes at the moment.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
}

/// How a key that is not ours is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asking {
    /// What is to be superseded.
    pub(crate) over: Option<Revision>,
    /// That has gone by itself.
    pub(crate) gone: bool,
    /// What the watch said of the key in the meantime, and when: it may be news from before the
    /// answer, or from after it.
    pub(crate) heard: Option<(i64, Option<Arc<Held>>)>,
}

impl Asking {
    pub(crate) fn new(over: Option<Revision>) -> Self {
        Self {
            over,
            gone: false,
            heard: None,
        }
    }
}

/// What is to be done about a key.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing: the directory says what it should.
    Done(Revision),
    /// This must be written; it makes the record what is to be seen there.
    Write(Write, Option<Arc<StreamRecord>>),
    /// It is somebody else's now.
    Lost(Arc<Held>),
    /// There is no such claim.
    Gone,
}

impl Claims {
    /// How many there are, with those that are about to come or go.
    pub(crate) fn count(&self) -> usize {
        self.own.len()
    }

    pub(crate) fn get(&self, key: &StreamKey) -> Option<&Own> {
        self.own.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &StreamKey) -> Option<&mut Own> {
        self.own.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: &StreamKey) -> Option<Own> {
        self.own.remove(key)
    }

    pub(crate) fn keys(&self) -> Vec<StreamKey> {
        self.own.keys().cloned().collect()
    }

    /// A new claim of a key, in place of an earlier one of ours. What that one left in the
    /// directory is ours to overwrite.
    pub(crate) fn insert(&mut self, record: Arc<StreamRecord>, asking: Option<Asking>) -> u64 {
        self.last_id += 1;
        let earlier = self.own.remove(&record.key);
        let (seen, turn) = earlier.map(|own| (own.seen, own.turn)).unwrap_or_default();
        // What others have there may be another by now: the directory is asked.
        let seen = seen.filter(|held| held.record.node == record.node);
        let own = Own {
            id: self.last_id,
            wanted: Some(record.clone()),
            asking,
            seen,
            turn,
        };
        self.own.insert(record.key.clone(), own);
        self.last_id
    }

    /// Something of ours is in the directory that nobody claims: it is to be deleted.
    pub(crate) fn orphan(&mut self, seen: Arc<Held>) {
        self.last_id += 1;
        let own = Own {
            id: self.last_id,
            wanted: None,
            asking: None,
            seen: Some(seen.clone()),
            turn: Arc::default(),
        };
        self.own.insert(seen.record.key.clone(), own);
    }

    /// What is to be done about a key, by a node that writes under `lease`. A key that is asked for
    /// and not ours can be had where `free` says so.
    pub(crate) fn step(
        &self,
        key: &StreamKey,
        node: &NodeId,
        lease: Lease,
        free: impl FnOnce(&Asking, &StreamRecord) -> Result<When, Arc<Held>>,
    ) -> Step {
        let Some(own) = self.own.get(key) else {
            return Step::Gone;
        };
        let write = |when, change| Write {
            key: path::stream(key),
            when,
            change,
        };
        let seen = own.seen.as_ref();
        let Some(wanted) = &own.wanted else {
            return match seen {
                Some(held) if held.record.node == *node && held.lease == lease => {
                    Step::Write(write(When::At(held.revision.0), Put::Nothing), None)
                }
                // What is under another lease goes with it, or is not ours.
                _ => Step::Gone,
            };
        };
        let when = match (seen, &own.asking) {
            (Some(held), _) if held.lease == lease && held.record == **wanted => {
                return Step::Done(held.revision);
            }
            // Ours already: of this process, or left by an earlier one.
            (Some(held), _) if held.record.node == *node && held.record.epoch <= wanted.epoch => {
                When::At(held.revision.0)
            }
            (Some(held), Some(_)) => return Step::Lost(held.clone()),
            // Of two that serve one key, the higher epoch wins.
            (Some(held), None) if held.record.epoch > wanted.epoch => {
                return Step::Lost(held.clone());
            }
            (Some(held), None) => When::At(held.revision.0),
            (None, Some(asking)) => match free(asking, wanted) {
                Ok(when) => when,
                Err(held) => return Step::Lost(held),
            },
            (None, None) => When::Absent,
        };
        let value = Put::Value {
            value: wire::write_stream(wanted),
            lease,
        };
        Step::Write(write(when, value), Some(wanted.clone()))
    }
}
