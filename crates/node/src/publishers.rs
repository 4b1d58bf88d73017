//! Who publishes to this node, by stream: an encoder that stands by is told from the one on air by its epoch.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::{Epoch, StreamKey};

/// All that publish, as their connections say.
#[derive(Debug, Default)]
pub(crate) struct Publishers(Mutex<HashMap<StreamKey, Vec<Publisher>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Publisher {
    epoch: Epoch,
    address: SocketAddr,
}

/// A publisher's entry, until dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    publishers: Arc<Publishers>,
    key: StreamKey,
    publisher: Publisher,
}

impl Publishers {
    pub(crate) fn enter(
        self: &Arc<Self>,
        key: StreamKey,
        epoch: Epoch,
        address: SocketAddr,
    ) -> Entry {
        let publisher = Publisher { epoch, address };
        self.list().entry(key.clone()).or_default().push(publisher);
        Entry {
            publishers: Arc::clone(self),
            key,
            publisher,
        }
    }

    /// Where somebody publishes from whose tags do not count yet, where those of `on_air` do.
    pub(crate) fn standby(&self, key: &StreamKey, on_air: Option<Epoch>) -> Option<SocketAddr> {
        let list = self.list();
        let mut publishers = list.get(key)?.iter();
        let aside = publishers.find(|publisher| Some(publisher.epoch) != on_air);
        aside.map(|publisher| publisher.address)
    }

    fn list(&self) -> MutexGuard<'_, HashMap<StreamKey, Vec<Publisher>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// It publishes in this epoch from now on.
    pub(crate) fn goes_on(&mut self, epoch: Epoch) {
        if let Some(publishers) = self.publishers.list().get_mut(&self.key) {
            let mut own = publishers.iter_mut();
            if let Some(own) = own.find(|publisher| **publisher == self.publisher) {
                own.epoch = epoch;
            }
        }
        self.publisher.epoch = epoch;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut list = self.publishers.list();
        let Some(publishers) = list.get_mut(&self.key) else {
            return;
        };
        publishers.retain(|publisher| *publisher != self.publisher);
        if publishers.is_empty() {
            list.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_by_does_so_until_it_is_on_air_or_leaves() {
        let publishers = Arc::new(Publishers::default());
        let key = StreamKey::parse("live/cam").expect("a key");
        let [first, second, third] = [1, 2, 3].map(|number| Epoch::new(number, 7));
        let [one, other] = ["10.0.0.1:1", "10.0.0.2:1"].map(|at| at.parse().expect("one"));
        let on_air = publishers.enter(key.clone(), first, one);
        assert_eq!(publishers.standby(&key, Some(first)), None);
        let mut aside = publishers.enter(key.clone(), second, other);
        assert_eq!(publishers.standby(&key, Some(first)), Some(other));
        drop(on_air);
        aside.goes_on(third);
        assert_eq!(publishers.standby(&key, Some(third)), None);
        // The stream is on air elsewhere.
        assert_eq!(publishers.standby(&key, Some(first)), Some(other));
        drop(aside);
        assert!(publishers.list().is_empty());
    }
}
