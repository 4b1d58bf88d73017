//! Which streams are packaged here, for those who look them up with each request.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use media::StreamKey;

use super::Entry;

/// In so many pieces: what comes or goes is written by copying one.
const SHARDS: usize = 64;

type Shard = ArcSwap<HashMap<StreamKey, Arc<Entry>>>;

/// The streams that are packaged here. Reading takes no lock.
pub(crate) struct Table {
    shards: Vec<Shard>,
    hasher: RandomState,
    /// Nobody new is let in.
    is_closed: AtomicBool,
}

/// A stream that is in the table for as long as this is.
pub(crate) struct Listed {
    table: Arc<Table>,
    key: StreamKey,
    pub(crate) entry: Arc<Entry>,
}

impl Default for Table {
    fn default() -> Table {
        Table {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
            is_closed: AtomicBool::new(false),
        }
    }
}

impl Table {
    /// Says something of the stream of that key, if it is packaged here.
    pub(super) fn with<T>(&self, key: &StreamKey, say: impl FnOnce(&Entry) -> T) -> Option<T> {
        let shard = self.shard(key)?.load();
        shard.get(key).map(|entry| say(entry))
    }

    /// Lists a stream, in place of another of that key.
    pub(crate) fn list(self: &Arc<Self>, key: &StreamKey, entry: Arc<Entry>) -> Listed {
        self.change(key, |shard| {
            shard.insert(key.clone(), Arc::clone(&entry));
        });
        Listed {
            table: Arc::clone(self),
            key: key.clone(),
            entry,
        }
    }

    /// What is left of a stream that is over makes way for the next of that key.
    pub(crate) fn make_way(&self, key: &StreamKey) {
        if self.with(key, Entry::has_ended) == Some(true) {
            self.change(key, |shard| {
                shard.remove(key);
            });
        }
    }

    /// Lets nobody in any more whom it does not know.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn is_listed(&self, key: &StreamKey) -> bool {
        self.with(key, |_| ()).is_some()
    }

    fn shard(&self, key: &StreamKey) -> Option<&Shard> {
        let at = self.hasher.hash_one(key) % SHARDS as u64;
        self.shards.get(usize::try_from(at).unwrap_or(0))
    }

    fn change(&self, key: &StreamKey, change: impl Fn(&mut HashMap<StreamKey, Arc<Entry>>)) {
        if let Some(shard) = self.shard(key) {
            shard.rcu(|shard| {
                let mut shard = HashMap::clone(shard);
                change(&mut shard);
                shard
            });
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.table.change(&self.key, |shard| {
            // Unless another has come in its place.
            let is_this = |entry: &Arc<Entry>| Arc::ptr_eq(entry, &self.entry);
            if shard.get(&self.key).is_some_and(is_this) {
                shard.remove(&self.key);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{News, Stage};
    use super::*;

    fn entry() -> Arc<Entry> {
        let stage = Stage::new(News::nothing());
        Arc::new(Entry::new(stage.stream(), 0))
    }

    #[test]
    fn a_stream_is_listed_until_it_goes_or_another_takes_its_place() {
        let table = Arc::new(Table::default());
        let key = StreamKey::new("live", "a").expect("a key");
        let asked = || table.with(&key, Entry::asked);
        let first = table.list(&key, entry());
        assert!(asked().is_some());
        let second = table.list(&key, entry());
        drop(first);
        assert!(asked().is_some(), "it is the second's place by now");
        table.make_way(&key);
        assert!(asked().is_some(), "it goes on");
        second.entry.end();
        table.make_way(&key);
        assert!(asked().is_none());
        let third = table.list(&key, entry());
        drop(second);
        assert!(asked().is_some());
        drop(third);
        assert!(asked().is_none());
    }
}
