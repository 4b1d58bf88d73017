//! What becomes of it all by what the directory says.

use std::sync::Arc;

use media::StreamKey;

use super::State;
use super::claiming::read;
use crate::claims::Step;
use crate::known::Seen;
use crate::path::Path;
use crate::record::{Held, Lease};
use crate::store::{Event, Item, Listing};
use crate::{Change, NodeId, NodeRecord, Revision, Setting, wire};

impl State {
    /// Everything that is there.
    pub(crate) fn listed(&mut self, listing: Listing) {
        let (mut streams, mut nodes) = (Vec::new(), Vec::new());
        let mut seen = Seen::default();
        for item in listing.items {
            match Path::parse(&item.key) {
                Some(Path::Stream(key)) => streams.extend(read(&key, item)),
                Some(Path::Node(id)) => nodes.extend(read_node(&id, &item)),
                Some(Path::Setting(kind, name)) => {
                    if let Some(setting) = setting(&item) {
                        seen.settings.insert((kind, name.clone()));
                        let change = self.known.put_setting(kind, name, setting);
                        self.tell(change);
                    }
                }
                None => {}
            }
        }
        let restored =
            listing.revision < self.latest || streams.iter().any(|held| self.is_older(held));
        if restored {
            tracing::warn!("the directory is older than it was: it was restored from a snapshot");
            self.settle_from_now();
        }
        self.latest = listing.revision;
        let own = nodes.iter().find(|(record, _)| record.id == self.node);
        self.announcing.found(own.map(|(record, _)| record));
        for (record, revision) in nodes {
            seen.nodes.insert(record.id.clone());
            self.node_is_listed(record, revision, restored);
        }
        for held in streams {
            let key = held.record.key.clone();
            self.stream_is(&key, held);
            seen.streams.insert(key);
        }
        let gone = self.known.besides(&seen);
        for key in &gone.streams {
            self.stream_is_gone(key);
        }
        for id in &gone.nodes {
            self.node_is_gone(id);
        }
        for (kind, name) in &gone.settings {
            let change = self.known.setting_gone(*kind, name);
            self.tell(change);
        }
        for key in self.claims.keys() {
            if !seen.streams.contains(&key) {
                self.stream_is_gone(&key);
            }
        }
        // Whatever was written in vain, or not at all, is written now.
        self.dirty.extend(self.claims.keys());
    }

    /// Whether this was said of a stream of another node before what we know of it. Epochs only grow.
    fn is_older(&self, held: &Held) -> bool {
        let known = self.known.stream(&held.record.key);
        let others = known.filter(|known| known.record.node != self.node);
        others.is_some_and(|known| known.record.epoch > held.record.epoch)
    }

    /// Something happened.
    pub(crate) fn happened(&mut self, event: Event) {
        self.latest = self.latest.max(event.revision());
        match event {
            Event::Put(item) => self.put_happened(item),
            Event::Gone { key, revision } => self.gone_happened(&key, revision),
        }
    }

    fn put_happened(&mut self, item: Item) {
        let revision = Revision(item.revision);
        match Path::parse(&item.key) {
            Some(Path::Stream(key)) if self.is_news(&key, revision) => {
                match read(&key, item) {
                    Some(held) => self.stream_is(&key, held),
                    // As good as nothing: its owner lives in another age.
                    None => self.stream_is_gone(&key),
                }
            }
            Some(Path::Node(id)) if self.known.node_revision(&id) < revision => {
                if let Some((record, revision)) = read_node(&id, &item) {
                    let clock = record.clock;
                    let change = self.known.put_node(record, revision);
                    self.tell(change);
                    self.meet_twin(&id);
                    self.compare_clocks(&id, clock);
                }
            }
            Some(Path::Setting(kind, name))
                if self.known.setting_revision(kind, &name) < revision =>
            {
                if let Some(setting) = setting(&item) {
                    let change = self.known.put_setting(kind, name, setting);
                    self.tell(change);
                }
            }
            _ => {}
        }
    }

    fn gone_happened(&mut self, key: &str, revision: i64) {
        let revision = Revision(revision);
        match Path::parse(key) {
            Some(Path::Stream(key)) => {
                if let Some(asking) = self
                    .claims
                    .get_mut(&key)
                    .and_then(|own| own.asking.as_mut())
                {
                    asking.heard = Some((revision.0, None));
                }
                if self.is_news(&key, revision) {
                    self.stream_is_gone(&key);
                }
            }
            Some(Path::Node(id)) if self.known.node_revision(&id) < revision => {
                self.node_is_gone(&id)
            }
            Some(Path::Setting(kind, name))
                if self.known.setting_revision(kind, &name) < revision =>
            {
                let change = self.known.setting_gone(kind, &name);
                self.tell(change);
            }
            _ => {}
        }
    }

    /// Whether what happened to a stream at `revision` is not what we did ourselves, or older.
    fn is_news(&self, key: &StreamKey, revision: Revision) -> bool {
        match self.claims.get(key).filter(|own| own.asking.is_none()) {
            Some(own) => own
                .seen
                .as_ref()
                .is_none_or(|seen| seen.revision < revision),
            None => self.known.stream_revision(key) < revision,
        }
    }

    /// The directory says this of a stream.
    fn stream_is(&mut self, key: &StreamKey, held: Arc<Held>) {
        self.learn(&held);
        let ours = held.record.node == self.node;
        let Some(own) = self.claims.get_mut(key) else {
            // Written by this process, and wanted by nobody: its answer came too late.
            if ours && held.lease == self.lease && self.lease != Lease::NONE {
                self.claims.orphan(held.clone());
                self.mark(key);
            }
            let change = self.known.put_stream(held, self.is_settling());
            return self.tell(change);
        };
        if let Some(asking) = &mut own.asking {
            // Its answer will say whose it is.
            asking.heard = Some((held.revision.0, Some(held.clone())));
            return self.tell_known(held);
        }
        own.seen = Some(held.clone());
        match own.wanted.clone() {
            None if ours => {
                self.mark(key);
                self.tell_known(held);
            }
            None => {
                self.drop_claim(key);
                self.tell_known(held);
            }
            Some(wanted) if ours && held.record == *wanted => self.tell_known(held),
            Some(wanted) if held.record.epoch > wanted.epoch => self.lose(key, Some(held)),
            // Ours is newer, or the epoch is higher.
            Some(_) => {}
        }
        let own = self.claims.get(key).is_some();
        if own && !matches!(self.step(key, self.lease), Step::Done(_)) {
            self.mark(key);
        }
    }

    /// The directory says nothing of a stream.
    fn stream_is_gone(&mut self, key: &StreamKey) {
        let own = self.claims.get_mut(key);
        match own {
            Some(own) if own.asking.is_none() && own.wanted.is_some() => {
                own.seen = None;
                return self.mark(key);
            }
            Some(own) if own.asking.is_none() => {
                self.drop_claim(key);
            }
            _ => {}
        }
        let settling = self
            .known
            .stream(key)
            .is_some_and(|held| self.settling(&held.record.node));
        let change = self.known.stream_gone(key, settling);
        self.tell(change);
    }

    /// The directory has this record of a node, maybe for long.
    fn node_is_listed(&mut self, record: NodeRecord, revision: Revision, restored: bool) {
        let known = self.known.node(&record.id);
        // It may be reached elsewhere by now, and is about to say so again.
        let is_older = restored && known.is_some_and(|known| known.clock > record.clock);
        let change = match is_older {
            true => self.known.node_gone(&record.id, true),
            false => self.known.put_node(record, revision),
        };
        self.tell(change);
    }

    fn node_is_gone(&mut self, id: &NodeId) {
        // Our own is about to be there again.
        let settling = self.settling(id) || *id == self.node && self.announcing.lost();
        let change = self.known.node_gone(id, settling);
        if change.is_some() && self.clocks.gone(id) {
            self.tell([Change::Clock(id.clone())]);
        }
        self.tell(change);
    }

    /// Two nodes of one name would take each other's claims for their own.
    fn meet_twin(&mut self, id: &NodeId) {
        let Some(record) = self
            .known
            .node(id)
            .filter(|_| *id == self.node && !self.twin)
        else {
            return;
        };
        // What a dead process left is not written while we watch.
        if self
            .announcing
            .started()
            .is_some_and(|started| started != record.started)
        {
            self.twin = true;
            tracing::error!(node = %id, "another node has the name of this one; give each a node.id of its own");
        }
    }

    fn compare_clocks(&mut self, id: &NodeId, clock: u64) {
        let now = self.clock.now();
        if *id == self.node {
            self.clocks.own(clock, now);
        } else if self.clocks.other(id, clock, now) {
            self.tell([Change::Clock(id.clone())]);
        }
    }
}

fn read_node(id: &NodeId, item: &Item) -> Option<(NodeRecord, Revision)> {
    match wire::read_node(id.clone(), &item.value) {
        Ok(record) => Some((record, Revision(item.revision))),
        Err(error) => {
            tracing::debug!(node = %id, %error, "cannot read the record of a node");
            None
        }
    }
}

fn setting(item: &Item) -> Option<Setting> {
    match wire::read_setting(&item.value) {
        Ok(value) => Some(Setting {
            value,
            revision: Revision(item.revision),
        }),
        // Neither the name nor the value: both may hold what is nobody's business.
        Err(_) => {
            tracing::debug!(revision = item.revision, "cannot read a setting");
            None
        }
    }
}
