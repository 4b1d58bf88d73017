//! Some tags that are kept and dropped together.

use std::ops::Range;

use crate::MarkedTag;
use crate::sync::{AtomicU32, Once, Ordering};

/// How many tags lie together. Few enough that a lagging reader pins little memory, many enough
/// that the step to the next block does not count. Loom must see blocks end soon.
#[cfg(not(loom))]
pub(crate) const SLOTS: usize = 32;
#[cfg(loom)]
pub(crate) const SLOTS: usize = 2;

/// A run of slots for tags with consecutive numbers.
///
/// Blocks do not point at each other: one that a slow reader holds keeps no other alive.
#[derive(Debug)]
pub(crate) struct Block {
    first: u64,
    /// How many slots will ever be used. Less than all in a block that was closed for its bytes.
    ///
    /// It is stored before the head moves beyond the block, and read by those who saw the head
    /// there, so it needs no ordering of its own.
    used: AtomicU32,
    slots: Box<[Once<MarkedTag>]>,
}

impl Block {
    pub(crate) fn new(first: u64) -> Self {
        Self {
            first,
            used: AtomicU32::new(SLOTS as u32),
            slots: (0..SLOTS).map(|_| Once::new()).collect(),
        }
    }

    /// The number of the first tag.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Sets the slot of the tag with its number. The writer alone, before it moves the head.
    pub(crate) fn set(&self, tag: MarkedTag) {
        let slot = usize::try_from(tag.seq - self.first)
            .ok()
            .and_then(|at| self.slots.get(at));
        debug_assert!(slot.is_some(), "the writer opens a new block in time");
        if let Some(slot) = slot {
            slot.set(tag);
        }
    }

    /// Declares that tags from the number `next` on are in the next block.
    pub(crate) fn close(&self, next: u64) {
        self.used
            .store((next - self.first) as u32, Ordering::Relaxed);
    }

    /// Which slots hold the tags from `position` on, as far as `head`; `None` if they lie in
    /// another block.
    pub(crate) fn find(&self, position: u64, head: u64) -> Option<Range<usize>> {
        let start = position.checked_sub(self.first)?;
        let end = u64::from(self.used.load(Ordering::Relaxed)).min(head.checked_sub(self.first)?);
        (start < end).then_some(start as usize..end as usize)
    }

    /// The slots in `range`.
    pub(crate) fn slots(&self, range: Range<usize>) -> Option<&[Once<MarkedTag>]> {
        self.slots.get(range)
    }

    /// The tags that are here so far.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &MarkedTag> {
        self.slots.iter().map_while(Once::get)
    }

    /// How many tags there are before the first of which `is_before` does not hold.
    pub(crate) fn partition_point(&self, is_before: impl Fn(&MarkedTag) -> bool) -> u64 {
        let before = |slot: &Once<MarkedTag>| slot.get().is_some_and(&is_before);
        self.slots.partition_point(before) as u64
    }

    /// The tag with the number `seq`, if it is here.
    pub(crate) fn get(&self, seq: u64) -> Option<&MarkedTag> {
        let at = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.slots.get(at)?.get()
    }
}
