//! Which streams are packaged here, for those who look them up with each request.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use hls::Name;
use media::{Epoch, StreamKey};

use super::Entry;

/// In so many pieces: what comes or goes is written by copying one.
const SHARDS: usize = 64;

/// Of what is left of streams that are over, no more than so many are kept beside the next of that key: who publishes
/// anew all the time would else fill the memory.
const LEFT: usize = 2;

type Shard = ArcSwap<HashMap<StreamKey, Entries>>;

/// The stream of a key, and behind it what is left of those before it that are over.
type Entries = Vec<Arc<Entry>>;

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
    /// Says something of the stream of that key that has what is asked for, or of the newest; nothing if that is not
    /// packaged here.
    pub(super) fn with<T>(
        &self,
        key: &StreamKey,
        name: Option<&Name>,
        say: impl FnOnce(&Entry) -> T,
    ) -> Option<T> {
        let shard = self.shard(key)?.load();
        choose(shard.get(key)?, name).map(say)
    }

    /// Lists a stream, in place of another of that key. What is left of one that is over stays beside it.
    pub(crate) fn list(self: &Arc<Self>, key: &StreamKey, entry: Arc<Entry>) -> Listed {
        self.change(key, |shard| {
            let entries = shard.entry(key.clone()).or_default();
            entries.retain(|entry| entry.ended().is_some());
            entries.insert(0, Arc::clone(&entry));
            entries.truncate(1 + LEFT);
        });
        Listed {
            table: Arc::clone(self),
            key: key.clone(),
            entry,
        }
    }

    /// The stream is published again: what is left of those that ended before this publish is there for who asks for
    /// it by name alone, and who waits for more of it asks anew.
    pub(crate) fn make_way(&self, key: &StreamKey, epoch: Epoch) {
        let Some(shard) = self.shard(key) else {
            return;
        };
        for entry in shard.load().get(key).into_iter().flatten() {
            if entry.ended().is_some_and(|ended| ended < epoch) {
                entry.stream().close();
            }
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
        self.shard(key)
            .is_some_and(|shard| shard.load().contains_key(key))
    }

    fn shard(&self, key: &StreamKey) -> Option<&Shard> {
        let at = self.hasher.hash_one(key) % SHARDS as u64;
        self.shards.get(usize::try_from(at).unwrap_or(0))
    }

    fn change(&self, key: &StreamKey, change: impl Fn(&mut HashMap<StreamKey, Entries>)) {
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
            // Another may have come in its place.
            let Some(entries) = shard.get_mut(&self.key) else {
                return;
            };
            entries.retain(|entry| !Arc::ptr_eq(entry, &self.entry));
            if entries.is_empty() {
                shard.remove(&self.key);
            }
        });
    }
}

/// Who of these answers.
fn choose<'a>(entries: &'a Entries, name: Option<&Name>) -> Option<&'a Entry> {
    let mut left = entries.iter().filter(|entry| entry.ended().is_some());
    if let Some(name) = name
        && let Some(left) = left.find(|left| left.has(name))
    {
        return Some(left);
    }
    let newest = entries.first()?;
    let is_later = |name: &Name| newest.ended().is_some_and(|ended| name.epoch() > ended);
    // What is over, or not of this stream any more, another has.
    (!newest.stream().is_over() && !name.is_some_and(is_later)).then_some(newest)
}

#[cfg(test)]
mod tests {
    use super::super::{News, Stage};
    use super::*;

    fn entry(stage: &Stage) -> Arc<Entry> {
        Arc::new(Entry::new(stage.stream(), 0))
    }

    fn stages<const N: usize>() -> [Stage; N] {
        std::array::from_fn(|_| Stage::new(News::nothing()))
    }

    #[test]
    fn a_stream_is_listed_until_it_goes_or_another_takes_its_place() {
        let table = Arc::new(Table::default());
        let key = StreamKey::new("live", "a").expect("a key");
        let asked = || table.with(&key, None, Entry::asked);
        let stages = stages::<3>();
        let [one, two, three] = stages.each_ref().map(entry);
        let first = table.list(&key, one);
        assert!(asked().is_some());
        let second = table.list(&key, two);
        drop(first);
        assert!(asked().is_some(), "it is the second's place by now");
        table.make_way(&key, Epoch::new(9, 1));
        assert!(asked().is_some(), "it goes on");
        second.entry.end(Epoch::new(8, 1));
        assert!(asked().is_some(), "for late comers");
        table.make_way(&key, Epoch::new(8, 1));
        assert!(asked().is_some(), "it is of that publish");
        let name = |epoch| Name::Init {
            epoch: Epoch::new(epoch, 1),
            version: 1,
        };
        let knows = |epoch| table.with(&key, Some(&name(epoch)), |_| ()).is_some();
        assert!(knows(8) && !knows(9), "somebody else may have the next");
        table.make_way(&key, Epoch::new(9, 1));
        assert!(asked().is_none());
        let third = table.list(&key, three);
        drop(second);
        assert!(asked().is_some());
        drop(third);
        assert!(asked().is_none() && !table.is_listed(&key));
    }

    #[test]
    fn what_is_left_of_streams_that_are_over_is_bounded() {
        let table = Arc::new(Table::default());
        let key = StreamKey::new("live", "a").expect("a key");
        let stages = stages::<9>();
        let listed: Vec<_> = (1..)
            .zip(&stages)
            .map(|(epoch, stage)| {
                let listed = table.list(&key, entry(stage));
                listed.entry.end(Epoch::new(epoch, 1));
                listed
            })
            .collect();
        let shard = table.shard(&key).expect("one").load();
        assert_eq!(shard.get(&key).map(Vec::len), Some(1 + LEFT));
        drop(listed);
        assert!(!table.is_listed(&key));
    }
}
