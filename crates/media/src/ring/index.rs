//! What readers look up when they join or step to another block.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Block;
use crate::configuration::Configuration;
use crate::{Epoch, MarkedTag};

/// The writer changes it once per block, keypoint, segment or configuration, and moves the head
/// while it does: who holds the lock sees a head that fits the rest.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) blocks: VecDeque<Arc<Block>>,
    pub(super) mark: Option<Mark>,
    /// Which configuration holds for a joiner from which position on; never empty. The last is
    /// the current one, those older than the oldest tag are dropped.
    configurations: VecDeque<(u64, Arc<Configuration>)>,
    /// Whether a joiner who finds no mark has to wait for a keypoint.
    pub(super) waits_for_keypoint: bool,
    /// Whether old tags are still being caught up with: nobody joins at a mark then.
    pub(super) backfilling: bool,
    /// Where the oldest listed segment begins.
    pub(super) window: Option<u64>,
    /// Where the numbers of the epoch that is written stand.
    pub(super) count: Option<Count>,
}

/// The caught-up mark.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) seq: u64,
    pub(super) configuration: Arc<Configuration>,
}

/// A place from which on numbers go along with those of the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) epoch: Epoch,
    pub(super) seq: u64,
    pub(super) number: u64,
}

impl Count {
    /// The number within the epoch of the tag `seq`, which does not come before this place.
    pub(super) fn number(&self, seq: u64) -> u64 {
        self.number.saturating_add(seq.saturating_sub(self.seq))
    }
}

impl Index {
    pub(super) fn new(configuration: Arc<Configuration>) -> Self {
        Self {
            blocks: VecDeque::new(),
            mark: None,
            configurations: VecDeque::from([(0, configuration)]),
            waits_for_keypoint: false,
            backfilling: false,
            window: None,
            count: None,
        }
    }

    /// The number of the oldest tag.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.blocks.front().map(|block| block.first())
    }

    pub(super) fn locate(&self, position: u64) -> Option<&Arc<Block>> {
        let behind = self
            .blocks
            .partition_point(|block| block.first() <= position);
        behind.checked_sub(1).and_then(|at| self.blocks.get(at))
    }

    pub(super) fn tag(&self, position: u64) -> Option<&MarkedTag> {
        self.locate(position)?.get(position)
    }

    /// Where the tag `number` of `epoch` is, or will be next, if a reader that has all tags
    /// before it misses none there.
    pub(super) fn find(&self, epoch: Epoch, number: u64, head: u64) -> Option<u64> {
        let count = self.count?;
        let wanted = (epoch, number);
        if wanted >= (count.epoch, count.number(head)) {
            // Of what comes it has a part already, or will have soon.
            return (epoch == count.epoch).then_some(head);
        }
        let is_before = |tag: &MarkedTag| (tag.epoch, tag.number) < wanted;
        let behind = self
            .blocks
            .partition_point(|block| block.get(block.first()).is_some_and(is_before));
        let block = behind.checked_sub(1).and_then(|at| self.blocks.get(at));
        let (before, at) = match block {
            Some(block) => (true, block.first() + block.partition_point(is_before)),
            None => (false, self.oldest()?),
        };
        match self.tag(at) {
            Some(tag) if (tag.epoch, tag.number) == wanted => Some(at),
            // Its epoch ended before it.
            Some(tag) => (before && tag.epoch > epoch && tag.number == 0).then_some(at),
            // The next tag is the first of a new epoch.
            None => (before && count.number(head) == 0).then_some(head),
        }
    }

    /// Where the window begins: the oldest listed segment, or else the oldest place where a
    /// joiner may start, or the oldest tag.
    pub(super) fn window(&self) -> Option<u64> {
        self.window.or_else(|| {
            let mut tags = self.blocks.iter().flat_map(|block| block.iter());
            let keypoint = tags.find(|tag| tag.keypoint).map(|tag| tag.seq);
            keypoint.or(self.oldest())
        })
    }

    /// The configuration for a joiner at `position`.
    pub(super) fn configuration(&self, position: u64) -> Arc<Configuration> {
        let at = self.behind(position).saturating_sub(1);
        self.configurations
            .get(at)
            .map(|(_, found)| Arc::clone(found))
            .unwrap_or_default()
    }

    /// The configuration that `epoch` had last before `position`.
    pub(super) fn configuration_of(
        &self,
        epoch: Epoch,
        position: u64,
    ) -> Option<Arc<Configuration>> {
        let known = self.configurations.iter().take(self.behind(position));
        known
            .rev()
            .find(|(_, found)| found.epoch == epoch)
            .map(|(_, found)| Arc::clone(found))
    }

    /// How many configurations are in force from `position` or before.
    fn behind(&self, position: u64) -> usize {
        self.configurations
            .partition_point(|(from, _)| *from <= position)
    }

    /// Puts a configuration in force for joiners from `position` on.
    pub(super) fn configure(&mut self, position: u64, configuration: Arc<Configuration>) {
        let newest = self.configurations.back();
        if newest.is_some_and(|(from, _)| *from == position) {
            let old = self.configurations.pop_back();
            // Nobody joins with that any more, but it may have been the last of its epoch.
            let before = self.configurations.back().map(|(_, before)| before.epoch);
            let last = old
                .filter(|(_, old)| before == Some(old.epoch) && old.epoch != configuration.epoch);
            self.configurations.extend(last);
        }
        self.configurations.push_back((position, configuration));
    }

    /// Forgets the oldest block and the configurations that nobody can join at any more.
    pub(super) fn evict(&mut self) {
        self.blocks.pop_front();
        if let Some(oldest) = self.oldest() {
            while self
                .configurations
                .get(1)
                .is_some_and(|(from, _)| *from <= oldest)
            {
                self.configurations.pop_front();
            }
        }
    }
}
