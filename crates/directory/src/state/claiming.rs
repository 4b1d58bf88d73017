//! What becomes of this node's claims by what it does itself.

use std::sync::Arc;

use media::StreamKey;

use super::State;
use crate::claims::{Asking, Own, Step};
use crate::known::Instead;
use crate::record::{Held, Lease};
use crate::store::{Item, Outcome, When};
use crate::{Change, Revision, Standing, StreamRecord, wire};

/// How a key can be claimed.
pub(crate) enum Ask {
    /// Under this number; now the directory must be asked.
    As(u64),
    /// Not: this is there, and is not superseded.
    Held(Arc<Held>),
    /// Somebody on this node is at it; wait for its turn to end.
    Busy(Arc<tokio::sync::Mutex<()>>),
}

/// What is there is of a release far from this one.
pub(crate) struct Unreadable;

impl State {
    /// Begins a claim.
    pub(crate) fn ask(&mut self, record: StreamRecord, over: Option<Revision>) -> Ask {
        let key = &record.key;
        let known = self.known.stream(key);
        if let Some(own) = self.claims.get(key) {
            if own.asking.is_some() {
                return Ask::Busy(own.turn.clone());
            }
            // While it is ours it is not claimed again, unless that is meant, and never with an
            // epoch before the one that it has.
            if let (Some(wanted), Some(held)) = (&own.wanted, known)
                && (over != Some(held.revision) || record.epoch < wanted.epoch)
            {
                return Ask::Held(held.clone());
            }
        }
        self.highest.saw(record.epoch);
        let asking = Asking::new(over);
        Ask::As(self.claims.insert(Arc::new(record), Some(asking)))
    }

    /// Claims a key without asking.
    pub(crate) fn assume(&mut self, record: StreamRecord) -> u64 {
        self.highest.saw(record.epoch);
        let key = record.key.clone();
        let record = Arc::new(record);
        let id = self.claims.insert(record.clone(), None);
        self.show(record);
        self.mark(&key);
        self.count();
        id
    }

    /// A claim is to say something else. False: there is no such claim.
    pub(crate) fn change(&mut self, key: &StreamKey, id: u64, record: StreamRecord) -> bool {
        let own = self.claims.get_mut(key).filter(|own| own.id == id);
        let Some(own) = own.filter(|own| own.wanted.is_some()) else {
            return false;
        };
        let record = Arc::new(record);
        own.wanted = Some(record.clone());
        self.highest.saw(record.epoch);
        self.show(record);
        self.mark(key);
        true
    }

    /// A claim is to be no more. False: there is no such claim. One that came to nothing may have
    /// been taken by the directory all the same, if the answer was lost; the watch will show it.
    pub(crate) fn disown(&mut self, key: &StreamKey, id: u64) -> bool {
        let own = self.claims.get_mut(key).filter(|own| own.id == id);
        let Some(own) = own.filter(|own| own.wanted.is_some()) else {
            return false;
        };
        own.wanted = None;
        // Its own record may have been seen there before the answer that nobody waits for now.
        if let Some((_, seen)) = own.asking.take().and_then(|asking| asking.heard) {
            own.seen = seen;
        }
        self.mark(key);
        self.count();
        true
    }

    /// What is to be done about a key now.
    pub(crate) fn step(&self, key: &StreamKey, lease: Lease) -> Step {
        let free = |asking: &Asking, wanted: &StreamRecord| self.free(asking, wanted);
        self.claims.step(key, &self.node, lease, free)
    }

    /// Where a key that somebody else may have can be had; otherwise who has it.
    fn free(&self, asking: &Asking, wanted: &StreamRecord) -> Result<When, Arc<Held>> {
        let known = self.known.stream(&wanted.key);
        if let Some(held) = known.filter(|held| held.record.node != self.node) {
            let exactly = asking.over == Some(held.revision);
            // An epoch never follows a higher one.
            if exactly && held.record.epoch >= wanted.epoch {
                return Err(held.clone());
            }
            let back = self.known.held_back(&wanted.key);
            // What may be held back still holds, for all but those who know of it and mean it.
            if !exactly && (back.is_some() || self.settling(&held.record.node)) {
                return Err(held.clone());
            }
            match back {
                Some(Instead::Nothing) => return Ok(When::Absent),
                Some(Instead::Older(older)) => return Ok(When::At(older.revision.0)),
                None => {}
            }
        }
        Ok(match asking.over {
            Some(over) if !asking.gone => When::At(over.0),
            _ => When::Absent,
        })
    }

    /// What has become of a claim.
    pub(crate) fn standing(&self, key: &StreamKey, id: u64) -> Standing {
        let own = self.claims.get(key).filter(|own| own.id == id);
        if own.is_none_or(|own| own.wanted.is_none()) {
            return Standing::Gone;
        }
        match self.step(key, self.lease) {
            Step::Done(revision) => Standing::Held(revision),
            Step::Write(..) => Standing::Pending,
            Step::Lost(_) | Step::Gone => Standing::Gone,
        }
    }

    /// What was written became this.
    pub(crate) fn wrote(
        &mut self,
        key: &StreamKey,
        record: Option<Arc<StreamRecord>>,
        lease: Lease,
        outcome: Outcome,
    ) -> Result<(), Unreadable> {
        match (outcome, record) {
            (Outcome::Done(revision), Some(record)) => {
                let record = StreamRecord::clone(&record);
                self.put(
                    key,
                    Held {
                        record,
                        revision: Revision(revision),
                        lease,
                    },
                );
            }
            // The watch will say so too, and with that it is gone for us.
            (Outcome::Done(_), None) => {
                if let Some(own) = self.claims.get_mut(key) {
                    own.seen = None;
                }
            }
            (Outcome::Differs(item), _) => return self.found(key, item),
        }
        Ok(())
    }

    fn put(&mut self, key: &StreamKey, held: Held) {
        let mut held = Arc::new(held);
        let Some(own) = self.claims.get_mut(key) else {
            // Given up in the meantime: the watch will show what is to be deleted.
            return;
        };
        if let Some((at, later)) = own.asking.take().and_then(|asking| asking.heard)
            && at > held.revision.0
        {
            // It was ours, and is not any more.
            own.seen = later;
            return self.mark(key);
        }
        // The watch may have been faster.
        if let Some(seen) = own
            .seen
            .as_ref()
            .filter(|seen| seen.revision >= held.revision)
        {
            held = seen.clone();
        }
        own.seen = Some(held.clone());
        // Unless something else is wanted by now.
        if own
            .wanted
            .as_ref()
            .is_some_and(|wanted| **wanted == held.record)
        {
            self.tell_known(held);
        }
        self.count();
    }

    /// Something else was there than was expected.
    fn found(&mut self, key: &StreamKey, item: Option<Item>) -> Result<(), Unreadable> {
        let held = match item.map(|item| read(key, item)) {
            Some(Some(held)) => Some(held),
            Some(None) => {
                // Where nothing was wanted there is nothing left to do.
                if let Some(own) = self.claims.get_mut(key).filter(|own| own.wanted.is_none()) {
                    own.seen = None;
                }
                return Err(Unreadable);
            }
            None => None,
        };
        if let Some(held) = &held {
            self.learn(held);
        }
        let Some(own) = self.claims.get_mut(key) else {
            return Ok(());
        };
        own.seen.clone_from(&held);
        let asking = own.asking.as_mut();
        match (held, asking) {
            // What was to be superseded is gone by itself.
            (None, Some(asking)) => asking.gone = true,
            (Some(held), Some(_)) if self.known.stream_revision(key) < held.revision => {
                self.tell_known(held);
            }
            _ => {}
        }
        Ok(())
    }

    // What was written may be overtaken before its writer says how it ended: by another wish for the
    // key, another lease, or the watch. So each end is looked at anew, and no mark is taken away that
    // somebody else has set.

    /// There is nothing left to do about a key, or there never was.
    pub(crate) fn forget(&mut self, key: &StreamKey) {
        if matches!(self.step(key, self.lease), Step::Gone) {
            self.drop_claim(key);
            self.dirty.remove(key);
        }
    }

    /// A claim is as it should be.
    pub(crate) fn settled(&mut self, key: &StreamKey, id: u64) {
        if let Some(own) = self.claims.get_mut(key).filter(|own| own.id == id) {
            own.asking = None;
        }
        if matches!(self.step(key, self.lease), Step::Done(_)) {
            self.dirty.remove(key);
        }
        self.count();
    }

    /// The driver has done what it could about a key. False: there is more to do.
    pub(crate) fn conclude(&mut self, key: &StreamKey, unreadable: bool) -> bool {
        if self.claims.get(key).is_some_and(|own| own.asking.is_some()) {
            // Whoever asks for it will see to it.
            return true;
        }
        match self.step(key, self.lease) {
            Step::Done(_) => {
                self.dirty.remove(key);
            }
            Step::Gone => self.forget(key),
            Step::Lost(held) => self.lose(key, Some(held)),
            Step::Write(..) if unreadable => self.lose(key, None),
            Step::Write(..) => return false,
        }
        true
    }

    /// As [`lose`](Self::lose), unless the key has been claimed anew in the meantime.
    pub(crate) fn lose_claim(&mut self, key: &StreamKey, id: u64, held: Option<Arc<Held>>) {
        if self.claims.get(key).is_some_and(|own| own.id == id) {
            self.lose(key, held);
        }
    }

    /// A claim is lost to what is there now; nothing, if that cannot be read.
    pub(crate) fn lose(&mut self, key: &StreamKey, held: Option<Arc<Held>>) {
        if self.drop_claim(key).is_none() {
            return;
        }
        self.dirty.remove(key);
        self.metrics.lost();
        match &held {
            Some(held) => {
                tracing::warn!(%key, to = %held.record.node, epoch = %held.record.epoch, "a claim is lost")
            }
            None => tracing::warn!(%key, "a claim is lost to a node of another release"),
        }
        self.tell([Change::Lost(key.clone(), held.clone())]);
        match held {
            Some(held) => self.tell_known(held),
            None => {
                let change = self.known.stream_gone(key, false);
                self.tell(change);
            }
        }
    }

    pub(super) fn drop_claim(&mut self, key: &StreamKey) -> Option<Own> {
        let own = self.claims.remove(key);
        self.count();
        own
    }

    /// Somebody asked what is at a key.
    pub(crate) fn resolved(
        &mut self,
        key: &StreamKey,
        item: Option<Item>,
        generation: u64,
    ) -> Option<Arc<Held>> {
        let held = item.and_then(|item| read(key, item));
        if let Some(held) = &held {
            self.learn(held);
        }
        let known = self.known.stream(key).cloned();
        if let Some(known) = &known {
            // What is ours is as we want it.
            let own = self.claims.get(key);
            let ours = own.is_some_and(|own| own.wanted.is_some() && own.asking.is_none());
            // What the directory forgot in an outage may come back.
            let forgotten = held
                .as_ref()
                .is_none_or(|held| held.record.epoch < known.record.epoch);
            if ours || forgotten && self.settling(&known.record.node) {
                return Some(known.clone());
            }
        }
        let revision = self.known.stream_revision(key);
        if let Some(held) = held.as_ref().filter(|held| held.revision > revision)
            && self.generation == generation
        {
            self.tell_known(held.clone());
        }
        held
    }

    /// Shows what we want a key to say, before the directory says it.
    fn show(&mut self, record: Arc<StreamRecord>) {
        let revision = self.known.stream_revision(&record.key);
        let record = StreamRecord::clone(&record);
        self.tell_known(Arc::new(Held {
            record,
            revision,
            lease: Lease::NONE,
        }));
    }

    pub(super) fn tell_known(&mut self, held: Arc<Held>) {
        let change = self.known.put_stream(held, false);
        self.tell(change);
    }
}

/// What is said at the key of a stream, if it can be read.
pub(super) fn read(key: &StreamKey, item: Item) -> Option<Arc<Held>> {
    match wire::read_stream(key.clone(), &item.value) {
        Ok(record) => {
            let revision = Revision(item.revision);
            Some(Arc::new(Held {
                record,
                revision,
                lease: item.lease,
            }))
        }
        Err(error) => {
            tracing::debug!(%key, %error, "cannot read the record of a stream");
            None
        }
    }
}
