//! Who is to be woken when a tag comes in.

use std::sync::Arc;
use std::task::Waker;

use crate::sync::{AtomicBool, AtomicWaker, Mutex, Ordering, lock};

/// The waiting cursors of a ring.
///
/// New ones queue at a door of their own and leave by raising a flag, so that neither waits while
/// the writer wakes the others, nor can a waker that drops a cursor lock itself out.
#[derive(Debug)]
pub(crate) struct Waiters {
    arriving: Mutex<Vec<Arc<Cell>>>,
    present: Mutex<Vec<Arc<Cell>>>,
}

#[derive(Debug)]
struct Cell {
    waker: AtomicWaker,
    gone: AtomicBool,
}

/// One waiting cursor; leaves when dropped.
#[derive(Debug)]
pub(crate) struct Waiter(Arc<Cell>);

impl Waiters {
    pub(crate) fn new() -> Self {
        Self {
            arriving: Mutex::new(Vec::new()),
            present: Mutex::new(Vec::new()),
        }
    }

    /// How many are listed, also such as left but were not struck off yet.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn len(&self) -> usize {
        lock(&self.arriving).len() + lock(&self.present).len()
    }

    pub(crate) fn attach(&self) -> Waiter {
        let cell = Arc::new(Cell {
            waker: AtomicWaker::new(),
            gone: AtomicBool::new(false),
        });
        let mut arriving = lock(&self.arriving);
        // While no tag comes in, players may come and go: make room before growing.
        if arriving.len() == arriving.capacity() {
            arriving.retain(|cell| !cell.is_gone());
        }
        arriving.push(Arc::clone(&cell));
        Waiter(cell)
    }

    /// Wakes everybody. Called after the news is published.
    pub(crate) fn wake(&self) {
        let mut present = lock(&self.present);
        {
            // This lock also orders us with a cursor that attaches right now: either we see it
            // here, or it took the lock later and its second look sees the news.
            let mut arriving = lock(&self.arriving);
            present.append(&mut arriving);
            if arriving.capacity() > KEPT_CAPACITY {
                *arriving = Vec::new();
            }
        }
        let mut at = 0;
        while let Some(cell) = present.get(at) {
            if cell.is_gone() {
                present.swap_remove(at);
            } else {
                cell.waker.wake();
                at += 1;
            }
        }
        let len = present.len();
        if present.capacity() > KEPT_CAPACITY && len < present.capacity() / 4 {
            present.shrink_to(len * 2);
        }
    }
}

/// A list that once was longer gives its memory back.
const KEPT_CAPACITY: usize = 64;

impl Cell {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

impl Waiter {
    pub(crate) fn register(&self, waker: &Waker) {
        #[cfg(not(loom))]
        self.0.waker.register(waker);
        #[cfg(loom)]
        self.0.waker.register_by_ref(waker);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
        #[cfg(not(loom))]
        drop(self.0.waker.take());
    }
}
