//! What is known of the directory: a copy in memory, and what is not believed yet.
//!
//! After an outage the directory may have lost what is still there: leases ran out while nobody could
//! renew them, or it was restored from a snapshot. So while it *settles*, what is missing, or is
//! older than what we know, is held back: we go on answering with what we know, until whoever it
//! belongs to has written it again, or the time is over.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use media::StreamKey;

use crate::record::Held;
use crate::{Change, Kind, NodeId, NodeRecord, Revision, Setting, SettingName};

/// The copy.
#[derive(Debug, Default)]
pub(crate) struct Known {
    streams: HashMap<StreamKey, Entry<Held>>,
    nodes: HashMap<NodeId, Entry<Announced>>,
    settings: BTreeMap<(Kind, SettingName), Arc<Setting>>,
}

#[derive(Debug)]
struct Entry<T> {
    value: Arc<T>,
    /// What the directory says instead, while that is held back.
    instead: Option<Instead<T>>,
}

#[derive(Debug)]
pub(crate) enum Instead<T> {
    /// There is nothing.
    Nothing,
    /// There is this, which is older.
    Older(Arc<T>),
}

#[derive(Debug)]
struct Announced {
    record: Arc<NodeRecord>,
    revision: Revision,
}

impl Known {
    pub(crate) fn stream(&self, key: &StreamKey) -> Option<&Arc<Held>> {
        self.streams.get(key).map(|entry| &entry.value)
    }

    /// What the directory itself says of a stream of which it knew more before the outage.
    pub(crate) fn held_back(&self, key: &StreamKey) -> Option<&Instead<Held>> {
        self.streams.get(key)?.instead.as_ref()
    }

    pub(crate) fn streams(&self) -> impl Iterator<Item = &Arc<Held>> {
        self.streams.values().map(|entry| &entry.value)
    }

    pub(crate) fn node(&self, id: &NodeId) -> Option<&Arc<NodeRecord>> {
        self.nodes.get(id).map(|entry| &entry.value.record)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Arc<NodeRecord>> {
        self.nodes.values().map(|entry| &entry.value.record)
    }

    pub(crate) fn setting(&self, kind: Kind, name: &SettingName) -> Option<&Arc<Setting>> {
        // The key is cloned for the look-up: a reference count.
        self.settings.get(&(kind, name.clone()))
    }

    pub(crate) fn settings(
        &self,
        kind: Kind,
    ) -> impl Iterator<Item = (&SettingName, &Arc<Setting>)> {
        let of_kind = self
            .settings
            .iter()
            .filter(move |((its, _), _)| *its == kind);
        of_kind.map(|((_, name), setting)| (name, setting))
    }

    /// The directory has this record.
    pub(crate) fn put_stream(&mut self, held: Arc<Held>, settling: bool) -> Option<Change> {
        let key = &held.record.key;
        if let Some(entry) = self.streams.get_mut(key) {
            if settling && held.record.epoch < entry.value.record.epoch {
                entry.instead = Some(Instead::Older(held));
                return None;
            }
            let news = entry.value.record != held.record;
            let change = news.then(|| Change::Stream(key.clone()));
            *entry = Entry {
                value: held,
                instead: None,
            };
            return change;
        }
        let key = key.clone();
        self.streams.insert(
            key.clone(),
            Entry {
                value: held,
                instead: None,
            },
        );
        Some(Change::Stream(key))
    }

    /// The directory has no record of this stream any more.
    pub(crate) fn stream_gone(&mut self, key: &StreamKey, settling: bool) -> Option<Change> {
        let entry = self.streams.get_mut(key)?;
        if settling {
            entry.instead = Some(Instead::Nothing);
            return None;
        }
        self.streams
            .remove(key)
            .map(|_| Change::Stream(key.clone()))
    }

    pub(crate) fn put_node(&mut self, record: NodeRecord, revision: Revision) -> Option<Change> {
        let id = record.id.clone();
        let news = match self.nodes.get(&id) {
            // That time goes by is no news.
            Some(entry) => {
                *entry.value.record
                    != NodeRecord {
                        clock: entry.value.record.clock,
                        ..record.clone()
                    }
            }
            None => true,
        };
        let value = Arc::new(Announced {
            record: Arc::new(record),
            revision,
        });
        self.nodes.insert(
            id.clone(),
            Entry {
                value,
                instead: None,
            },
        );
        news.then_some(Change::Node(id))
    }

    pub(crate) fn node_gone(&mut self, id: &NodeId, settling: bool) -> Option<Change> {
        let entry = self.nodes.get_mut(id)?;
        if settling {
            entry.instead = Some(Instead::Nothing);
            return None;
        }
        self.nodes.remove(id).map(|_| Change::Node(id.clone()))
    }

    pub(crate) fn put_setting(
        &mut self,
        kind: Kind,
        name: SettingName,
        setting: Setting,
    ) -> Option<Change> {
        let there = self
            .settings
            .insert((kind, name.clone()), Arc::new(setting.clone()));
        let same = there.is_some_and(|there| there.value == setting.value);
        (!same).then_some(Change::Setting(kind, name))
    }

    pub(crate) fn setting_gone(&mut self, kind: Kind, name: &SettingName) -> Option<Change> {
        let there = self.settings.remove(&(kind, name.clone()));
        there.map(|_| Change::Setting(kind, name.clone()))
    }

    /// The revision of what the directory says of a stream: what happened before is no news. (Of
    /// what is held back our own revision says nothing: it may be from before a restored snapshot.)
    pub(crate) fn stream_revision(&self, key: &StreamKey) -> Revision {
        let entry = self.streams.get(key);
        entry.map_or(Revision::NONE, |entry| match &entry.instead {
            None => entry.value.revision,
            Some(Instead::Nothing) => Revision::NONE,
            Some(Instead::Older(older)) => older.revision,
        })
    }

    pub(crate) fn node_revision(&self, id: &NodeId) -> Revision {
        let entry = self.nodes.get(id).filter(|entry| entry.instead.is_none());
        entry.map_or(Revision::NONE, |entry| entry.value.revision)
    }

    pub(crate) fn setting_revision(&self, kind: Kind, name: &SettingName) -> Revision {
        self.setting(kind, name)
            .map_or(Revision::NONE, |setting| setting.revision)
    }

    /// What there is besides these, in the order of the arguments.
    pub(crate) fn besides(&self, listed: &Seen) -> Seen {
        Seen {
            streams: self
                .streams
                .keys()
                .filter(|key| !listed.streams.contains(*key))
                .cloned()
                .collect(),
            nodes: self
                .nodes
                .keys()
                .filter(|id| !listed.nodes.contains(*id))
                .cloned()
                .collect(),
            settings: self
                .settings
                .keys()
                .filter(|key| !listed.settings.contains(*key))
                .cloned()
                .collect(),
        }
    }

    /// The time is over: what was held back is believed.
    pub(crate) fn settle(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        self.streams
            .retain(|key, entry| match entry.instead.take() {
                None => true,
                Some(instead) => {
                    changes.push(Change::Stream(key.clone()));
                    match instead {
                        Instead::Nothing => false,
                        Instead::Older(held) => {
                            entry.value = held;
                            true
                        }
                    }
                }
            });
        self.nodes.retain(|id, entry| {
            let gone = entry.instead.is_some();
            if gone {
                changes.push(Change::Node(id.clone()));
            }
            !gone
        });
        changes
    }
}

/// Keys of everything in a listing.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) streams: std::collections::HashSet<StreamKey>,
    pub(crate) nodes: std::collections::HashSet<NodeId>,
    pub(crate) settings: std::collections::HashSet<(Kind, SettingName)>,
}
